-- Runs of orders by `joc-orders agent`, each with the lease of the agent that runs it.

CREATE TABLE order_runs (
    controller_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    run INTEGER NOT NULL CHECK (run > 0),
    agent TEXT NOT NULL CHECK (agent <> ''),
    started TEXT NOT NULL CHECK (
        started IS strftime('%Y-%m-%dT%H:%M:%fZ', started, '+0 days') AND started >= '0001' AND started NOT GLOB '*T24*'),
    lease_until TEXT CHECK (lease_until IS NULL OR
        lease_until IS strftime('%Y-%m-%dT%H:%M:%fZ', lease_until, '+0 days') AND lease_until >= '0001' AND lease_until NOT GLOB '*T24*'),
    ended TEXT CHECK (ended IS NULL OR
        ended IS strftime('%Y-%m-%dT%H:%M:%fZ', ended, '+0 days') AND ended >= '0001' AND ended NOT GLOB '*T24*'),
    exit_status INTEGER,
    signal INTEGER,
    failure TEXT CONSTRAINT order_runs_failure_is_a_word CHECK (
        failure GLOB '[A-Z]*' AND failure NOT GLOB '*[^A-Z_]*' AND length(failure) <= 100),
    PRIMARY KEY (controller_id, order_id, run),
    FOREIGN KEY (controller_id, order_id) REFERENCES orders (controller_id, order_id) ON DELETE CASCADE,
    CONSTRAINT order_runs_living_has_lease CHECK ((ended IS NULL) = (lease_until IS NOT NULL)),
    CONSTRAINT order_runs_living_has_no_result CHECK (
        ended IS NOT NULL OR exit_status IS NULL AND signal IS NULL AND failure IS NULL)
) STRICT;
-- No order is run twice at once.
CREATE UNIQUE INDEX order_runs_living ON order_runs (controller_id, order_id) WHERE ended IS NULL;
CREATE INDEX order_runs_leases ON order_runs (controller_id, lease_until) WHERE ended IS NULL;
