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
