-- A number for each order, by which JOC's clients ask for its history.

-- Existing orders get theirs as the table is written anew. JavaScript reads whole numbers exactly
-- up to 2^53 - 1.
ALTER TABLE orders ADD COLUMN history_id bigint
    GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991)
    CONSTRAINT orders_history_id_is_exact CHECK (history_id BETWEEN 1 AND 9007199254740991);
CREATE UNIQUE INDEX orders_history_id ON orders (controller_id, history_id);

-- A view's columns are those that its table had when it was made.
DROP VIEW orders_effective;
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;
