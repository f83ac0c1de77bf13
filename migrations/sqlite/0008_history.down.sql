DROP TRIGGER orders_history_id_stays;
DROP TRIGGER orders_history_id_is_drawn;
DROP TRIGGER orders_history_id_is_used_once;
DELETE FROM sqlite_sequence WHERE name = 'orders';
DROP INDEX orders_history_id;
ALTER TABLE orders DROP COLUMN history_id;
