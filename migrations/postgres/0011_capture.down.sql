DROP TRIGGER IF EXISTS orders_capture_insert ON orders;
DROP TRIGGER IF EXISTS orders_capture_update ON orders;
DROP TRIGGER IF EXISTS orders_capture_delete ON orders;
DROP TRIGGER IF EXISTS orders_capture_truncate ON orders;
DROP FUNCTION IF EXISTS capture_orders();
DROP TABLE orders_changes;
