-- Where the audit trail was cut: `joc-orders audit archive` moved all of a controller's entries
-- up to one to a file. docs/audit.md says how cuts are sealed.

CREATE TABLE audit_cuts (
    controller_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL CONSTRAINT audit_cuts_number CHECK (number > 0),
    -- The last seal that is archived; its row stays, so that the next seal continues from it.
    last_seal bigint NOT NULL CONSTRAINT audit_cuts_last_seal CHECK (last_seal > 0),
    last_id bigint NOT NULL CONSTRAINT audit_cuts_last_id CHECK (last_id BETWEEN 1 AND 9007199254740991),
    seal_hash text COLLATE "C" NOT NULL CONSTRAINT audit_cuts_seal_hash CHECK (seal_hash ~ '^[0-9a-f]{64}$'),
    seals bigint NOT NULL CONSTRAINT audit_cuts_seals CHECK (seals > 0),
    entries bigint NOT NULL CONSTRAINT audit_cuts_entries CHECK (entries > 0),
    details bigint NOT NULL CONSTRAINT audit_cuts_details CHECK (details >= 0),
    last_created timestamptz(3) NOT NULL CONSTRAINT audit_cuts_last_created CHECK (
        last_created >= '0001-01-01T00:00:00Z' AND last_created < '10000-01-01T00:00:00Z'),
    file text NOT NULL,
    file_sha256 text COLLATE "C" NOT NULL CONSTRAINT audit_cuts_file_sha256 CHECK (file_sha256 ~ '^[0-9a-f]{64}$'),
    previous_hash text COLLATE "C" NOT NULL CONSTRAINT audit_cuts_previous_hash CHECK (previous_hash ~ '^[0-9a-f]{64}$'),
    hash text COLLATE "C" NOT NULL CONSTRAINT audit_cuts_hash CHECK (hash ~ '^[0-9a-f]{64}$'),
    -- The entry of the archiving, of no controller, which holds a hash over all cuts.
    audit_log_id bigint NOT NULL,
    created timestamptz(3) NOT NULL CONSTRAINT audit_cuts_created CHECK (
        created >= '0001-01-01T00:00:00Z' AND created < '10000-01-01T00:00:00Z'),
    PRIMARY KEY (controller_id, number)
);

CREATE TRIGGER audit_cuts_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_cuts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('audit_cuts is append-only');

-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.
COMMENT ON TABLE audit_cuts IS 'Where joc-orders audit archive has cut the audit trail: the entries of the controller up to last_id, their details and the seals before last_seal are in files. The database refuses to change a cut.';
COMMENT ON COLUMN audit_cuts.audit_log_id IS 'The audit entry of the archiving, whose parameters hold a hash over all cuts';
COMMENT ON COLUMN audit_cuts.controller_id IS 'Like that of the entries';
COMMENT ON COLUMN audit_cuts.created IS 'When it was cut';
COMMENT ON COLUMN audit_cuts.details IS 'How many details';
COMMENT ON COLUMN audit_cuts.entries IS 'How many entries';
COMMENT ON COLUMN audit_cuts.file IS 'The file, as --to named it';
COMMENT ON COLUMN audit_cuts.file_sha256 IS 'The SHA-256 of the file, in hexadecimal digits';
COMMENT ON COLUMN audit_cuts.hash IS 'SHA-256 in hexadecimal digits: audit.md';
COMMENT ON COLUMN audit_cuts.last_created IS 'When the latest of the entries was written';
COMMENT ON COLUMN audit_cuts.last_id IS 'The last archived entry';
COMMENT ON COLUMN audit_cuts.last_seal IS 'The number of the last archived seal. Its row stays in audit_seals until the next cut';
COMMENT ON COLUMN audit_cuts.number IS 'Counts from 1 for each controller';
COMMENT ON COLUMN audit_cuts.previous_hash IS 'hash of the cut before; 64 zeros if there is none';
COMMENT ON COLUMN audit_cuts.seal_hash IS 'The hash of the last archived seal';
COMMENT ON COLUMN audit_cuts.seals IS 'How many seals this archive has of the controller';
COMMENT ON COLUMN audit_logs.account IS 'Who sent the request; for a refused login, the name that was given, or ? if it cannot be read. os:NAME is a user of the operating system, who ran a command. A keyed hash if the settings say so. No foreign key';
COMMENT ON COLUMN audit_logs.category IS 'Default CONTROLLER; IDENTITY: logins, accounts and roles; IMPORT: imports and copies; OTHERS: migrations and archiving';
