-- Seals over the audit trail: a chain for each controller. docs/audit.md says what they cover.

CREATE TABLE audit_seals (
    controller_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    first_id bigint NOT NULL,
    last_id bigint NOT NULL CHECK (last_id >= first_id),
    entries bigint NOT NULL CHECK (entries > 0),
    details bigint NOT NULL CHECK (details >= 0),
    previous_hash text COLLATE "C" NOT NULL CHECK (previous_hash ~ '^[0-9a-f]{64}$'),
    hash text COLLATE "C" NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    created timestamptz(3) NOT NULL CHECK (isfinite(created)),
    -- What finds the row that differs; last, since it is long.
    digests bytea NOT NULL,
    PRIMARY KEY (controller_id, number)
);
CREATE TRIGGER audit_seals_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('audit_seals is append-only');
