DROP TRIGGER IF EXISTS orders_capture_insert;
DROP TRIGGER IF EXISTS orders_capture_update;
DROP TRIGGER IF EXISTS orders_capture_delete;
DROP TABLE orders_changes;
