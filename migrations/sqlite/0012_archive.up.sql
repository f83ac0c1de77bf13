-- Where the audit trail was cut: `joc-orders audit archive` moved all of a controller's entries
-- up to one to a file. docs/audit.md says how cuts are sealed.

CREATE TABLE audit_cuts (
    controller_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    -- The last seal that is archived; its row stays, so that the next seal continues from it.
    last_seal INTEGER NOT NULL CHECK (last_seal > 0),
    last_id INTEGER NOT NULL CHECK (last_id > 0),
    seal_hash TEXT NOT NULL CHECK (length(seal_hash) = 64 AND seal_hash NOT GLOB '*[^0-9a-f]*'),
    seals INTEGER NOT NULL CHECK (seals > 0),
    entries INTEGER NOT NULL CHECK (entries > 0),
    details INTEGER NOT NULL CHECK (details >= 0),
    last_created TEXT NOT NULL CHECK (
        last_created IS strftime('%Y-%m-%dT%H:%M:%fZ', last_created, '+0 days') AND last_created >= '0001' AND last_created NOT GLOB '*T24*'),
    file TEXT NOT NULL,
    file_sha256 TEXT NOT NULL CHECK (length(file_sha256) = 64 AND file_sha256 NOT GLOB '*[^0-9a-f]*'),
    previous_hash TEXT NOT NULL CHECK (length(previous_hash) = 64 AND previous_hash NOT GLOB '*[^0-9a-f]*'),
    hash TEXT NOT NULL CHECK (length(hash) = 64 AND hash NOT GLOB '*[^0-9a-f]*'),
    -- The entry of the archiving, of no controller, which holds a hash over all cuts.
    audit_log_id INTEGER NOT NULL,
    created TEXT NOT NULL CHECK (
        created IS strftime('%Y-%m-%dT%H:%M:%fZ', created, '+0 days') AND created >= '0001' AND created NOT GLOB '*T24*'),
    PRIMARY KEY (controller_id, number)
) STRICT;

CREATE TRIGGER audit_cuts_refuse_update BEFORE UPDATE ON audit_cuts
BEGIN SELECT RAISE(ABORT, 'audit_cuts is append-only'); END;
CREATE TRIGGER audit_cuts_refuse_delete BEFORE DELETE ON audit_cuts
BEGIN SELECT RAISE(ABORT, 'audit_cuts is append-only'); END;
CREATE TRIGGER audit_cuts_refuse_replace BEFORE INSERT ON audit_cuts
WHEN EXISTS (SELECT 1 FROM audit_cuts c WHERE c.controller_id = NEW.controller_id
             AND c.number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'audit_cuts is append-only'); END;
