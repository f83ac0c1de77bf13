-- The keys of requests that must happen once, with what the first response said.

-- No foreign keys: entries are archived.
CREATE TABLE idempotency_keys (
    controller_id TEXT NOT NULL,
    account TEXT NOT NULL,
    key TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255 AND key NOT GLOB '*[^ -~]*'),
    request TEXT NOT NULL,
    body_sha256 TEXT NOT NULL CHECK (length(body_sha256) = 64 AND body_sha256 NOT GLOB '*[^0-9a-f]*'),
    audit_log_id INTEGER NOT NULL,
    affected INTEGER NOT NULL CHECK (affected >= 0),
    response TEXT NOT NULL,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) CHECK (
        created IS strftime('%Y-%m-%dT%H:%M:%fZ', created, '+0 days') AND created >= '0001' AND created NOT GLOB '*T24*'),
    PRIMARY KEY (controller_id, account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_created ON idempotency_keys (controller_id, created);
