-- Indexes and views for what DBAs ask of the audit trail: docs/schema.md has the queries.

CREATE INDEX audit_logs_request ON audit_logs (request_id);
CREATE INDEX audit_logs_denied ON audit_logs (created) WHERE outcome = 'DENIED';
CREATE INDEX audit_log_details_folder ON audit_log_details (controller_id, folder, created);

-- The audit trail under the names of JS7's own tables. The codes are those of JS7's CategoryType and
-- ObjectType, and instants have the form of a timestamp in SQL.
CREATE VIEW joc_audit_log AS
SELECT id AS "ID", controller_id AS "CONTROLLER_ID", account AS "ACCOUNT", request AS "REQUEST",
    parameters AS "PARAMETERS",
    CASE category WHEN 'CONTROLLER' THEN 2 WHEN 'IDENTITY' THEN 11 ELSE 8 END AS "CATEGORY",
    comment AS "COMMENT", ticket_link AS "TICKET_LINK", time_spent AS "TIME_SPENT",
    substr(created, 1, 10) || ' ' || substr(created, 12, 12) AS "CREATED"
FROM audit_logs;

-- JS7 joins details to entries by the entry's id alone, which no index of details begins with; an index of
-- entries does.
CREATE VIEW joc_audit_log_details AS
SELECT NULL AS "ID", a.id AS "AUDITLOG_ID", 99 AS "TYPE", d.workflow_path AS "PATH",
    substr(d.workflow_path,
        length(rtrim(d.workflow_path, replace(d.workflow_path, '/', ''))) + 1) AS "NAME",
    d.order_id AS "ORDER_ID", d.folder AS "FOLDER",
    substr(d.created, 1, 10) || ' ' || substr(d.created, 12, 12) AS "CREATED"
FROM audit_log_details d
JOIN audit_logs a ON a.controller_id = d.controller_id AND a.id = d.audit_log_id;
