-- Changes of orders that the service did not make. `joc-orders capture on` creates the triggers
-- that write here.

CREATE TABLE orders_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- '-' for what concerns no controller.
    controller_id TEXT NOT NULL,
    -- Null for what concerns no single order.
    order_id TEXT,
    operation TEXT NOT NULL CONSTRAINT orders_changes_operation CHECK (
        operation IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'CAPTURE_ON', 'CAPTURE_OFF', 'PRUNE')),
    -- SQL: a person or a script; EXECUTOR: a report; SERVICE: this program switched or pruned.
    source TEXT NOT NULL CONSTRAINT orders_changes_source CHECK (
        source IN ('SQL', 'EXECUTOR', 'SERVICE')),
    old_values TEXT CHECK (old_values IS NULL OR json_valid(old_values)),
    new_values TEXT CHECK (new_values IS NULL OR json_valid(new_values)),
    -- Known on PostgreSQL alone.
    database_user TEXT,
    application TEXT,
    client_address TEXT,
    transaction_id INTEGER,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT orders_changes_years CHECK (
            created IS strftime('%Y-%m-%dT%H:%M:%fZ', created, '+0 days') AND created >= '0001' AND created NOT GLOB '*T24*')
) STRICT;
CREATE INDEX orders_changes_order ON orders_changes (controller_id, order_id, id);
CREATE INDEX orders_changes_recent ON orders_changes (created);
CREATE INDEX orders_changes_service ON orders_changes (id) WHERE source = 'SERVICE';

CREATE TRIGGER orders_changes_refuse_update BEFORE UPDATE ON orders_changes
BEGIN SELECT RAISE(ABORT, 'orders_changes is append-only'); END;
CREATE TRIGGER orders_changes_refuse_delete BEFORE DELETE ON orders_changes
BEGIN SELECT RAISE(ABORT, 'orders_changes is append-only'); END;
CREATE TRIGGER orders_changes_refuse_replace BEFORE INSERT ON orders_changes
WHEN EXISTS (SELECT 1 FROM orders_changes c WHERE c.id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'orders_changes is append-only'); END;
