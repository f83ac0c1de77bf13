-- A number for each order, by which JOC's clients ask for its history.

-- JavaScript reads whole numbers exactly up to 2^53 - 1.
ALTER TABLE orders ADD COLUMN history_id INTEGER
    CONSTRAINT orders_history_id_is_exact CHECK (history_id BETWEEN 1 AND 9007199254740991);
UPDATE orders SET history_id = n.history_id
FROM (SELECT controller_id, order_id, row_number() OVER (ORDER BY created, controller_id, order_id) AS history_id
      FROM orders) n
WHERE orders.controller_id = n.controller_id AND orders.order_id = n.order_id;
CREATE UNIQUE INDEX orders_history_id ON orders (history_id);

-- The highest number of an order that was deleted: no other order gets it again.
INSERT INTO sqlite_sequence (name, seq) VALUES ('orders', 0);
CREATE TRIGGER orders_history_id_is_used_once AFTER DELETE ON orders
BEGIN UPDATE sqlite_sequence SET seq = max(seq, OLD.history_id) WHERE name = 'orders' AND OLD.history_id IS NOT NULL; END;

-- For inserts that bring none.
CREATE TRIGGER orders_history_id_is_drawn AFTER INSERT ON orders WHEN NEW.history_id IS NULL
BEGIN
    UPDATE orders SET history_id = 1 + max(
        coalesce((SELECT max(history_id) FROM orders), 0),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'orders'), 0))
    WHERE controller_id = NEW.controller_id AND order_id = NEW.order_id;
END;
CREATE TRIGGER orders_history_id_stays BEFORE UPDATE OF history_id ON orders
WHEN OLD.history_id IS NOT NULL AND NEW.history_id IS NOT OLD.history_id
BEGIN SELECT RAISE(ABORT, 'orders_history_id_stays: the history id of an order never changes'); END;
