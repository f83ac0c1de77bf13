-- The keys of requests that must happen once, with what the first response said.

-- No foreign keys: entries are archived, and audit_logs is partitioned by id, so the key cannot be unique there.
CREATE TABLE idempotency_keys (
    controller_id text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL CONSTRAINT idempotency_keys_key CHECK (key ~ '^[ -~]{1,255}$'),
    request text NOT NULL,
    body_sha256 text NOT NULL CONSTRAINT idempotency_keys_body_sha256 CHECK (body_sha256 ~ '^[0-9a-f]{64}$'),
    audit_log_id bigint NOT NULL,
    affected bigint NOT NULL CONSTRAINT idempotency_keys_affected CHECK (affected >= 0),
    response text NOT NULL,
    created timestamptz(3) NOT NULL DEFAULT now() CONSTRAINT idempotency_keys_created CHECK (
        created >= '0001-01-01T00:00:00Z' AND created < '10000-01-01T00:00:00Z'),
    PRIMARY KEY (controller_id, account, key)
);
-- If Citus has distributed the orders, the keys go with them.
DO $$ BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT create_distributed_table(''idempotency_keys'', ''controller_id'', colocate_with => ''orders'')
                 FROM pg_dist_partition WHERE logicalrelid = ''orders''::regclass';
    END IF;
END $$;
CREATE INDEX idempotency_keys_created ON idempotency_keys (controller_id, created);

-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.
COMMENT ON TABLE idempotency_keys IS 'One row per change that was sent with an Idempotency-Key, written in the transaction of the change. The service removes it after seven days.';
COMMENT ON COLUMN idempotency_keys.account IS 'Like that of the entry: a name, or its keyed hash';
COMMENT ON COLUMN idempotency_keys.affected IS 'How many orders were changed or added';
COMMENT ON COLUMN idempotency_keys.audit_log_id IS 'The entry of the change. No foreign key: entries are archived';
COMMENT ON COLUMN idempotency_keys.body_sha256 IS 'The SHA-256 of the request''s body as it came, in hexadecimal digits';
COMMENT ON COLUMN idempotency_keys.controller_id IS 'Like that of the entry';
COMMENT ON COLUMN idempotency_keys.created IS 'Default: now, by the clock of the database';
COMMENT ON COLUMN idempotency_keys.key IS 'The key: 1 to 255 printable ASCII characters';
COMMENT ON COLUMN idempotency_keys.request IS 'The route of the request, such as ./orders/cancel';
COMMENT ON COLUMN idempotency_keys.response IS 'What else the first response said: a JSON object';
