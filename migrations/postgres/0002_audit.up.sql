-- The audit trail: append-only. docs/schema.md has the queries for it.

CREATE TABLE audit_logs (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- '-' where an entry belongs to no controller, such as a login.
    controller_id text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    request text COLLATE "C" NOT NULL,
    parameters json NOT NULL,
    category text COLLATE "C" NOT NULL DEFAULT 'CONTROLLER'
        CHECK (category IN ('CONTROLLER', 'IDENTITY')),
    comment text CHECK (char_length(comment) <= 2000),
    time_spent bigint CHECK (time_spent >= 0),
    ticket_link text CHECK (char_length(ticket_link) <= 255),
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('DONE', 'NO_ORDERS', 'DENIED')),
    affected bigint NOT NULL DEFAULT 0 CHECK (affected >= 0),
    request_id text NOT NULL,
    client_address text,
    created timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (controller_id, id),
    CONSTRAINT audit_logs_affected_by_done CHECK (affected = 0 OR outcome = 'DONE')
);
CREATE INDEX audit_logs_created ON audit_logs (controller_id, created);
CREATE INDEX audit_logs_account ON audit_logs (account, created);
CREATE INDEX audit_logs_ticket ON audit_logs (ticket_link) WHERE ticket_link IS NOT NULL;

CREATE TABLE audit_log_details (
    controller_id text COLLATE "C" NOT NULL,
    audit_log_id bigint NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    workflow_path text COLLATE "C" NOT NULL,
    workflow_version_id text COLLATE "C" NOT NULL,
    folder text COLLATE "C" NOT NULL,
    previous_state text COLLATE "C" NOT NULL,
    new_state text COLLATE "C" NOT NULL,
    mark text COLLATE "C",
    kill boolean NOT NULL DEFAULT false,
    via_parent text COLLATE "C",
    created timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (controller_id, audit_log_id, order_id),
    FOREIGN KEY (controller_id, audit_log_id) REFERENCES audit_logs (controller_id, id)
);
CREATE INDEX audit_log_details_order ON audit_log_details (controller_id, order_id);
CREATE INDEX audit_log_details_created ON audit_log_details (controller_id, created);

CREATE TRIGGER audit_logs_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('audit_logs is append-only');
CREATE TRIGGER audit_log_details_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log_details
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('audit_log_details is append-only');
