-- Runs of orders by `joc-orders agent`, each with the lease of the agent that runs it.

CREATE TABLE order_runs (
    controller_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    run bigint NOT NULL CONSTRAINT order_runs_run CHECK (run > 0),
    agent text COLLATE "C" NOT NULL CONSTRAINT order_runs_agent CHECK (agent <> ''),
    started timestamptz(3) NOT NULL CONSTRAINT order_runs_started CHECK (
        started >= '0001-01-01T00:00:00Z' AND started < '10000-01-01T00:00:00Z'),
    lease_until timestamptz(3) CONSTRAINT order_runs_lease_until CHECK (
        lease_until >= '0001-01-01T00:00:00Z' AND lease_until < '10000-01-01T00:00:00Z'),
    ended timestamptz(3) CONSTRAINT order_runs_ended CHECK (
        ended >= '0001-01-01T00:00:00Z' AND ended < '10000-01-01T00:00:00Z'),
    exit_status integer,
    signal integer,
    failure text CONSTRAINT order_runs_failure_is_a_word CHECK (failure ~ '^[A-Z][A-Z_]{0,99}$'),
    PRIMARY KEY (controller_id, order_id, run),
    CONSTRAINT order_runs_living_has_lease CHECK ((ended IS NULL) = (lease_until IS NOT NULL)),
    CONSTRAINT order_runs_living_has_no_result CHECK (
        ended IS NOT NULL OR exit_status IS NULL AND signal IS NULL AND failure IS NULL)
);
-- If Citus has distributed the orders, the runs go with them.
DO $$ BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT create_distributed_table(''order_runs'', ''controller_id'', colocate_with => ''orders'')
                 FROM pg_dist_partition WHERE logicalrelid = ''orders''::regclass';
    END IF;
END $$;
ALTER TABLE order_runs ADD CONSTRAINT order_runs_order FOREIGN KEY (controller_id, order_id)
    REFERENCES orders (controller_id, order_id) ON DELETE CASCADE;
-- No order is run twice at once.
CREATE UNIQUE INDEX order_runs_living ON order_runs (controller_id, order_id) WHERE ended IS NULL;
CREATE INDEX order_runs_leases ON order_runs (controller_id, lease_until) WHERE ended IS NULL;

-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.
COMMENT ON TABLE order_runs IS 'One row per run of an order by joc-orders agent.';
COMMENT ON COLUMN order_runs.agent IS 'The agent that runs it: a host, a process and a random part. No foreign key';
COMMENT ON COLUMN order_runs.controller_id IS 'With order_id: references orders; a deleted order takes its runs along';
COMMENT ON COLUMN order_runs.ended IS 'When its end was reported';
COMMENT ON COLUMN order_runs.exit_status IS 'The exit status of its process';
COMMENT ON COLUMN order_runs.failure IS 'Why it failed, if not by its process alone: TIMEOUT, KILLED, AGENT_STOPPED, LEASE_EXPIRED or NOT_STARTED';
COMMENT ON COLUMN order_runs.lease_until IS 'Until when the order stays with the agent if it says nothing. Null once the run has ended';
COMMENT ON COLUMN order_runs.order_id IS 'The order';
COMMENT ON COLUMN order_runs.run IS 'Counts from 1 for each order';
COMMENT ON COLUMN order_runs.signal IS 'The number of the signal that ended its process';
COMMENT ON COLUMN order_runs.started IS 'When it was taken';
