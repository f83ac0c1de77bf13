DROP VIEW orders_effective;
ALTER TABLE orders DROP COLUMN history_id;
CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;
