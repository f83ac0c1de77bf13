-- Changes of orders that the service did not make. `joc-orders capture on` creates the triggers
-- that write here.

CREATE TABLE orders_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- '-' for what concerns no controller.
    controller_id text COLLATE "C" NOT NULL,
    -- Null for what concerns no single order.
    order_id text COLLATE "C",
    operation text COLLATE "C" NOT NULL CONSTRAINT orders_changes_operation CHECK (
        operation IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'CAPTURE_ON', 'CAPTURE_OFF', 'PRUNE')),
    -- SQL: a person or a script; EXECUTOR: a report; SERVICE: this program switched or pruned.
    source text COLLATE "C" NOT NULL CONSTRAINT orders_changes_source CHECK (
        source IN ('SQL', 'EXECUTOR', 'SERVICE')),
    old_values jsonb,
    new_values jsonb,
    database_user text COLLATE "C",
    application text COLLATE "C",
    client_address text COLLATE "C",
    transaction_id bigint,
    created timestamptz(3) NOT NULL DEFAULT statement_timestamp()
        CONSTRAINT orders_changes_years CHECK (
            created >= '0001-01-01T00:00:00Z' AND created < '10000-01-01T00:00:00Z')
);
CREATE INDEX orders_changes_order ON orders_changes (controller_id, order_id, id);
CREATE INDEX orders_changes_recent ON orders_changes (created);
CREATE INDEX orders_changes_service ON orders_changes (id) WHERE source = 'SERVICE';

CREATE TRIGGER orders_changes_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON orders_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('orders_changes is append-only');
