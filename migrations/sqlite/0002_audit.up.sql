-- The audit trail: append-only. docs/schema.md has the queries for it.

CREATE TABLE audit_logs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT CHECK (id > 0),
    -- '-' where an entry belongs to no controller, such as a login.
    controller_id TEXT NOT NULL,
    account TEXT NOT NULL,
    request TEXT NOT NULL,
    parameters TEXT NOT NULL CHECK (json_valid(parameters)),
    category TEXT NOT NULL DEFAULT 'CONTROLLER' CHECK (category IN ('CONTROLLER', 'IDENTITY')),
    comment TEXT CHECK (length(comment) <= 2000),
    time_spent INTEGER CHECK (time_spent >= 0),
    ticket_link TEXT CHECK (length(ticket_link) <= 255),
    outcome TEXT NOT NULL CHECK (outcome IN ('DONE', 'NO_ORDERS', 'DENIED')),
    affected INTEGER NOT NULL DEFAULT 0 CHECK (affected >= 0),
    request_id TEXT NOT NULL,
    client_address TEXT,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*'),
    UNIQUE (controller_id, id),
    CONSTRAINT audit_logs_affected_by_done CHECK (affected = 0 OR outcome = 'DONE')
) STRICT;
CREATE INDEX audit_logs_created ON audit_logs (controller_id, created);
CREATE INDEX audit_logs_account ON audit_logs (account, created);
CREATE INDEX audit_logs_ticket ON audit_logs (ticket_link) WHERE ticket_link IS NOT NULL;

CREATE TABLE audit_log_details (
    controller_id TEXT NOT NULL,
    audit_log_id INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    workflow_path TEXT NOT NULL,
    workflow_version_id TEXT NOT NULL,
    folder TEXT NOT NULL,
    previous_state TEXT NOT NULL,
    new_state TEXT NOT NULL,
    mark TEXT,
    kill INTEGER NOT NULL DEFAULT 0 CHECK (kill IN (0, 1)),
    via_parent TEXT,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*'),
    PRIMARY KEY (controller_id, audit_log_id, order_id),
    FOREIGN KEY (controller_id, audit_log_id) REFERENCES audit_logs (controller_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_log_details_order ON audit_log_details (controller_id, order_id);
CREATE INDEX audit_log_details_created ON audit_log_details (controller_id, created);

CREATE TRIGGER audit_logs_refuse_update BEFORE UPDATE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END;
CREATE TRIGGER audit_logs_refuse_delete BEFORE DELETE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END;
CREATE TRIGGER audit_log_details_refuse_update BEFORE UPDATE ON audit_log_details
BEGIN SELECT RAISE(ABORT, 'audit_log_details is append-only'); END;
CREATE TRIGGER audit_log_details_refuse_delete BEFORE DELETE ON audit_log_details
BEGIN SELECT RAISE(ABORT, 'audit_log_details is append-only'); END;
-- INSERT OR REPLACE would delete a row without the triggers above being asked.
CREATE TRIGGER audit_logs_refuse_replace BEFORE INSERT ON audit_logs
WHEN EXISTS (SELECT 1 FROM audit_logs a WHERE a.id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END;
CREATE TRIGGER audit_log_details_refuse_replace BEFORE INSERT ON audit_log_details
WHEN EXISTS (SELECT 1 FROM audit_log_details d WHERE d.controller_id = NEW.controller_id
             AND d.audit_log_id = NEW.audit_log_id AND d.order_id = NEW.order_id)
BEGIN SELECT RAISE(ABORT, 'audit_log_details is append-only'); END;
