-- Seals over the audit trail: a chain for each controller. docs/audit.md says what they cover.

CREATE TABLE audit_seals (
    controller_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL CHECK (last_id >= first_id),
    entries INTEGER NOT NULL CHECK (entries > 0),
    details INTEGER NOT NULL CHECK (details >= 0),
    previous_hash TEXT NOT NULL
        CHECK (length(previous_hash) = 64 AND previous_hash NOT GLOB '*[^0-9a-f]*'),
    hash TEXT NOT NULL CHECK (length(hash) = 64 AND hash NOT GLOB '*[^0-9a-f]*'),
    created TEXT NOT NULL
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*'),
    -- What finds the row that differs; last, since it is long.
    digests BLOB NOT NULL,
    PRIMARY KEY (controller_id, number)
) STRICT;

CREATE TRIGGER audit_seals_refuse_update BEFORE UPDATE ON audit_seals
BEGIN SELECT RAISE(ABORT, 'audit_seals is append-only'); END;
CREATE TRIGGER audit_seals_refuse_delete BEFORE DELETE ON audit_seals
BEGIN SELECT RAISE(ABORT, 'audit_seals is append-only'); END;
CREATE TRIGGER audit_seals_refuse_replace BEFORE INSERT ON audit_seals
WHEN EXISTS (SELECT 1 FROM audit_seals s WHERE s.controller_id = NEW.controller_id
             AND s.number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'audit_seals is append-only'); END;
