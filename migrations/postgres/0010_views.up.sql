-- Indexes and views for what DBAs ask of the audit trail: docs/schema.md has the queries.

-- The comments at the end wait for whoever vacuums a table or changes it: better before the work than after it.
DO $$ BEGIN
    LOCK TABLE controllers, workflows, orders, audit_logs, audit_log_details, audit_seals, accounts, roles,
        role_permissions, role_folders, account_roles, sessions IN SHARE UPDATE EXCLUSIVE MODE;
END $$;

-- contrib/migration-10-indexes.sql may have made these already; a build that failed left an invalid one.
DO $$
DECLARE
    failed regclass;
BEGIN
    FOR failed IN
        SELECT indexrelid FROM pg_index
        WHERE NOT indisvalid AND indexrelid IN (to_regclass('audit_logs_request'),
            to_regclass('audit_logs_denied'), to_regclass('audit_log_details_folder'))
    LOOP
        EXECUTE format('DROP INDEX %s', failed);
    END LOOP;
END $$;
CREATE INDEX IF NOT EXISTS audit_logs_request ON audit_logs (request_id);
CREATE INDEX IF NOT EXISTS audit_logs_denied ON audit_logs (created) WHERE outcome = 'DENIED';
CREATE INDEX IF NOT EXISTS audit_log_details_folder
    ON audit_log_details (controller_id, folder, created);

-- The audit trail under the names of JS7's own tables, whose columns are quoted capitals on PostgreSQL.
-- The codes are those of JS7's CategoryType and ObjectType.
CREATE VIEW joc_audit_log AS
SELECT id AS "ID", controller_id AS "CONTROLLER_ID", account AS "ACCOUNT", request AS "REQUEST",
    parameters::text AS "PARAMETERS",
    CASE category WHEN 'CONTROLLER' THEN 2 WHEN 'IDENTITY' THEN 11 ELSE 8 END AS "CATEGORY",
    comment AS "COMMENT", ticket_link AS "TICKET_LINK", time_spent AS "TIME_SPENT",
    created AT TIME ZONE 'UTC' AS "CREATED"
FROM audit_logs;

-- JS7 joins details to entries by the entry's id alone, which no index of details begins with; an index of
-- entries does.
CREATE VIEW joc_audit_log_details AS
SELECT NULL::bigint AS "ID", a.id AS "AUDITLOG_ID", 99 AS "TYPE", d.workflow_path AS "PATH",
    substr(d.workflow_path,
        char_length(rtrim(d.workflow_path, replace(d.workflow_path, '/', ''))) + 1) AS "NAME",
    d.order_id AS "ORDER_ID", d.folder AS "FOLDER", d.created AT TIME ZONE 'UTC' AS "CREATED"
FROM audit_log_details d
JOIN audit_logs a ON a.controller_id = d.controller_id AND a.id = d.audit_log_id;

-- Comments from docs/schema.md, written by UPDATE_COMMENTS=1.
COMMENT ON TABLE account_roles IS 'One row per role that an account has.';
COMMENT ON COLUMN account_roles.account IS 'References accounts, with ON DELETE CASCADE';
COMMENT ON COLUMN account_roles.role IS 'References roles, with ON DELETE CASCADE';
COMMENT ON TABLE accounts IS 'One row per account that can log in.';
COMMENT ON COLUMN accounts.account IS '1 to 100 characters, no :, no control characters';
COMMENT ON COLUMN accounts.created IS 'Default: now';
COMMENT ON COLUMN accounts.disabled IS 'Default false';
COMMENT ON COLUMN accounts.password_hash IS 'An argon2id hash';
COMMENT ON TABLE audit_log_details IS 'One row per order that a request touched, written in the transaction that touched it.';
COMMENT ON COLUMN audit_log_details.audit_log_id IS 'The entry, audit_logs.id';
COMMENT ON COLUMN audit_log_details.controller_id IS 'With audit_log_id: references audit_logs';
COMMENT ON COLUMN audit_log_details.created IS 'Default: now';
COMMENT ON COLUMN audit_log_details.folder IS 'The folder of workflow_path';
COMMENT ON COLUMN audit_log_details.kill IS 'Default false. Whether the request asked for a kill';
COMMENT ON COLUMN audit_log_details.mark IS 'The mark that the request set; null also if it removed one';
COMMENT ON COLUMN audit_log_details.new_state IS 'Effective state after; unchanged if the request only marked or hid the order, or changed its priority';
COMMENT ON COLUMN audit_log_details.order_id IS 'No foreign key: the entry outlives the order';
COMMENT ON COLUMN audit_log_details.previous_state IS 'Effective state before; NONE if the request added the order';
COMMENT ON COLUMN audit_log_details.via_parent IS 'The selected ancestor, if the order was included as its descendant';
COMMENT ON COLUMN audit_log_details.workflow_path IS 'The path of its workflow at that time';
COMMENT ON COLUMN audit_log_details.workflow_version_id IS 'The version of its workflow at that time';
COMMENT ON TABLE audit_logs IS 'One row per request that changed orders, found none to change, or was denied, and per refused login.';
COMMENT ON COLUMN audit_logs.account IS 'Who sent the request; for a refused login, the name that was given, or ? if it cannot be read. No foreign key';
COMMENT ON COLUMN audit_logs.affected IS 'Default 0. The number of orders, and so of detail rows';
COMMENT ON COLUMN audit_logs.category IS 'Default CONTROLLER; or IDENTITY';
COMMENT ON COLUMN audit_logs.client_address IS 'Where the request came from';
COMMENT ON COLUMN audit_logs.comment IS 'Why; at most 2000 characters';
COMMENT ON COLUMN audit_logs.controller_id IS '- for an entry that belongs to no controller, such as a login. No foreign key';
COMMENT ON COLUMN audit_logs.created IS 'Default: now';
COMMENT ON COLUMN audit_logs.id IS 'Default: counted up by the database, possibly with gaps. The response''s header X-Audit-Log-Id';
COMMENT ON COLUMN audit_logs.outcome IS 'DONE, NO_ORDERS or DENIED';
COMMENT ON COLUMN audit_logs.parameters IS 'The body of the request, with secrets masked; of a request without effect at most 4096 bytes';
COMMENT ON COLUMN audit_logs.request IS 'The route of the request, such as ./orders/cancel';
COMMENT ON COLUMN audit_logs.request_id IS 'The header X-Request-Id';
COMMENT ON COLUMN audit_logs.ticket_link IS 'At most 255 characters';
COMMENT ON COLUMN audit_logs.time_spent IS 'Minutes, 0 or more';
COMMENT ON TABLE audit_seals IS 'One row per seal. A seal covers the entries of a controller since the previous seal, with their details: audit.md.';
COMMENT ON COLUMN audit_seals.controller_id IS 'As in audit_logs. No foreign key';
COMMENT ON COLUMN audit_seals.created IS 'When it was made';
COMMENT ON COLUMN audit_seals.details IS 'Number of detail rows';
COMMENT ON COLUMN audit_seals.digests IS 'Locates a changed row: see audit.md';
COMMENT ON COLUMN audit_seals.entries IS 'Number of entries that it covers, at least 1';
COMMENT ON COLUMN audit_seals.first_id IS 'The first entry that it covers, audit_logs.id';
COMMENT ON COLUMN audit_seals.hash IS 'SHA-256 over all that it covers and the other columns except the last, 64 hexadecimal digits';
COMMENT ON COLUMN audit_seals.last_id IS 'The last one. It covers every entry of the controller after that of the previous seal and up to this one';
COMMENT ON COLUMN audit_seals.number IS 'Counts from 1 for each controller';
COMMENT ON COLUMN audit_seals.previous_hash IS 'The hash of the previous seal; 64 zeros for the first';
COMMENT ON TABLE controllers IS 'One row per controller, a domain with workflows and orders of its own.';
COMMENT ON COLUMN controllers.controller_id IS '1 to 100 characters, no control characters and none of /\<>?!&:;()"|*^';
COMMENT ON COLUMN controllers.created IS 'Default: now';
COMMENT ON COLUMN controllers.last_order_number IS 'Default 0, below 2^53. The number from which the id of the latest added order was made';
COMMENT ON VIEW joc_audit_log IS 'One row per entry of audit_logs, as JS7''s table JOC_AUDIT_LOG. JS7 has no columns for the outcome, the number of orders, the request id and the address.';
COMMENT ON COLUMN joc_audit_log."ACCOUNT" IS 'Who sent the request';
COMMENT ON COLUMN joc_audit_log."CATEGORY" IS 'JS7''s code: 2 for CONTROLLER, 11 for IDENTITY, 8 (others) for what JS7 does not have';
COMMENT ON COLUMN joc_audit_log."COMMENT" IS 'Why';
COMMENT ON COLUMN joc_audit_log."CONTROLLER_ID" IS 'The controller, or -';
COMMENT ON COLUMN joc_audit_log."CREATED" IS 'When the entry was written, in UTC';
COMMENT ON COLUMN joc_audit_log."ID" IS 'audit_logs.id';
COMMENT ON COLUMN joc_audit_log."PARAMETERS" IS 'The body of the request, as text';
COMMENT ON COLUMN joc_audit_log."REQUEST" IS 'The route of the request, such as ./orders/cancel';
COMMENT ON COLUMN joc_audit_log."TICKET_LINK" IS 'The ticket';
COMMENT ON COLUMN joc_audit_log."TIME_SPENT" IS 'Minutes';
COMMENT ON VIEW joc_audit_log_details IS 'One row per row of audit_log_details, as JS7''s table JOC_AUDIT_LOG_DETAILS.';
COMMENT ON COLUMN joc_audit_log_details."AUDITLOG_ID" IS 'The entry, joc_audit_log.ID';
COMMENT ON COLUMN joc_audit_log_details."CREATED" IS 'When the detail was written, in UTC';
COMMENT ON COLUMN joc_audit_log_details."FOLDER" IS 'The folder of the workflow';
COMMENT ON COLUMN joc_audit_log_details."ID" IS 'Always null: a detail has no number of its own here, AUDITLOG_ID and ORDER_ID identify it';
COMMENT ON COLUMN joc_audit_log_details."NAME" IS 'The name of the workflow: what follows the last / of PATH';
COMMENT ON COLUMN joc_audit_log_details."ORDER_ID" IS 'The order';
COMMENT ON COLUMN joc_audit_log_details."PATH" IS 'The path of the order''s workflow';
COMMENT ON COLUMN joc_audit_log_details."TYPE" IS 'JS7''s code: always 99, an order';
COMMENT ON TABLE orders IS 'One row per order, also after it has ended.';
COMMENT ON COLUMN orders.arguments IS 'Default {}. An object, the input of the order''s jobs: {"customer": "ACME"}';
COMMENT ON COLUMN orders.controller_id IS 'With the two workflow columns: references workflows';
COMMENT ON COLUMN orders.created IS 'Default: now';
COMMENT ON COLUMN orders.folder IS 'Generated: the folder of workflow_path';
COMMENT ON COLUMN orders.history_id IS 'The historyId of the API: unique among all controllers, permanent, and never reused, not even after a DELETE. The database assigns it: leave it out of an INSERT';
COMMENT ON COLUMN orders.kill_requested IS 'When SIGTERM was requested';
COMMENT ON COLUMN orders.mark IS 'CANCELLING, SUSPENDING or RESUMING: what the executor is asked to do';
COMMENT ON COLUMN orders.modified IS 'Default: now. No trigger maintains it: each statement that changes an order sets it';
COMMENT ON COLUMN orders.order_id IS '1 to 255 characters, no control characters. A child order is its parent''s id, | and a branch name; no part is empty';
COMMENT ON COLUMN orders.parent_id IS 'Generated: the id up to its last |. Null if the order is not a child';
COMMENT ON COLUMN orders.position IS 'An array: where in its workflow the order is, or will continue, [2, "then", 0]. Null: unknown';
COMMENT ON COLUMN orders.priority IS 'Default 0, 32 bits. Of the orders that are due, the highest goes first. JOC''s own five: 20000, 10000, 0, -10000, -20000';
COMMENT ON COLUMN orders.reason IS 'Why it waits, in JOC''s words: WAITING_FOR_LOCK, FORKED. Null: the order does not wait, or the reason is unknown';
COMMENT ON COLUMN orders.remove_when_terminated IS 'Default false. Hides the order from the API once it is terminal; the row stays';
COMMENT ON COLUMN orders.root_id IS 'Generated: the id up to its first |, or all of it: the topmost ancestor';
COMMENT ON COLUMN orders.scheduled_for IS 'When it is due, within the years 1 to 9999. Null: never';
COMMENT ON COLUMN orders.sigkill_at IS 'When SIGKILL is to follow';
COMMENT ON COLUMN orders.started IS 'When it was first taken. Null: not yet, or unknown';
COMMENT ON COLUMN orders.state IS 'Default FRESH. One of the eight states below';
COMMENT ON COLUMN orders.state_since IS 'Since when state and suspended have their values. Null: since created. No trigger maintains it';
COMMENT ON COLUMN orders.suspended IS 'Default false';
COMMENT ON COLUMN orders.workflow_path IS 'The path of its workflow';
COMMENT ON COLUMN orders.workflow_version_id IS 'The version of its workflow';
COMMENT ON VIEW orders_effective IS 'All columns of orders, and effective_state: the state that the API shows and filters by, at the current instant.';
COMMENT ON COLUMN orders_effective.arguments IS 'Default {}. An object, the input of the order''s jobs: {"customer": "ACME"}';
COMMENT ON COLUMN orders_effective.controller_id IS 'With the two workflow columns: references workflows';
COMMENT ON COLUMN orders_effective.created IS 'Default: now';
COMMENT ON COLUMN orders_effective.effective_state IS 'The state of the order at the current instant';
COMMENT ON COLUMN orders_effective.folder IS 'Generated: the folder of workflow_path';
COMMENT ON COLUMN orders_effective.history_id IS 'The historyId of the API: unique among all controllers, permanent, and never reused, not even after a DELETE. The database assigns it: leave it out of an INSERT';
COMMENT ON COLUMN orders_effective.kill_requested IS 'When SIGTERM was requested';
COMMENT ON COLUMN orders_effective.mark IS 'CANCELLING, SUSPENDING or RESUMING: what the executor is asked to do';
COMMENT ON COLUMN orders_effective.modified IS 'Default: now. No trigger maintains it: each statement that changes an order sets it';
COMMENT ON COLUMN orders_effective.order_id IS '1 to 255 characters, no control characters. A child order is its parent''s id, | and a branch name; no part is empty';
COMMENT ON COLUMN orders_effective.parent_id IS 'Generated: the id up to its last |. Null if the order is not a child';
COMMENT ON COLUMN orders_effective.position IS 'An array: where in its workflow the order is, or will continue, [2, "then", 0]. Null: unknown';
COMMENT ON COLUMN orders_effective.priority IS 'Default 0, 32 bits. Of the orders that are due, the highest goes first. JOC''s own five: 20000, 10000, 0, -10000, -20000';
COMMENT ON COLUMN orders_effective.reason IS 'Why it waits, in JOC''s words: WAITING_FOR_LOCK, FORKED. Null: the order does not wait, or the reason is unknown';
COMMENT ON COLUMN orders_effective.remove_when_terminated IS 'Default false. Hides the order from the API once it is terminal; the row stays';
COMMENT ON COLUMN orders_effective.root_id IS 'Generated: the id up to its first |, or all of it: the topmost ancestor';
COMMENT ON COLUMN orders_effective.scheduled_for IS 'When it is due, within the years 1 to 9999. Null: never';
COMMENT ON COLUMN orders_effective.sigkill_at IS 'When SIGKILL is to follow';
COMMENT ON COLUMN orders_effective.started IS 'When it was first taken. Null: not yet, or unknown';
COMMENT ON COLUMN orders_effective.state IS 'Default FRESH. One of the eight states below';
COMMENT ON COLUMN orders_effective.state_since IS 'Since when state and suspended have their values. Null: since created. No trigger maintains it';
COMMENT ON COLUMN orders_effective.suspended IS 'Default false';
COMMENT ON COLUMN orders_effective.workflow_path IS 'The path of its workflow';
COMMENT ON COLUMN orders_effective.workflow_version_id IS 'The version of its workflow';
COMMENT ON TABLE role_folders IS 'The folders to which a role is limited. A role without a row has no such limit.';
COMMENT ON COLUMN role_folders.folder IS '/, or formed like a workflow''s path; at most 255 characters';
COMMENT ON COLUMN role_folders.recursive IS 'Default true: includes subfolders';
COMMENT ON COLUMN role_folders.role IS 'References roles, with ON DELETE CASCADE';
COMMENT ON TABLE role_permissions IS 'One row per permission that a role grants, on one controller or on all.';
COMMENT ON COLUMN role_permissions.controller_id IS 'Default *: every controller. No foreign key';
COMMENT ON COLUMN role_permissions.permission IS 'sos:products, or another permission of JOC, which begins with sos:products:. Also grants everything below it';
COMMENT ON COLUMN role_permissions.role IS 'References roles, with ON DELETE CASCADE';
COMMENT ON TABLE roles IS 'One row per role, a set of permissions.';
COMMENT ON COLUMN roles.created IS 'Default: now';
COMMENT ON COLUMN roles.role IS '1 to 100 characters, no control characters';
COMMENT ON TABLE sessions IS 'One row per session.';
COMMENT ON COLUMN sessions.account IS 'References accounts, with ON DELETE CASCADE';
COMMENT ON COLUMN sessions.created IS 'Default: now';
COMMENT ON COLUMN sessions.expires IS 'When it ends, unless a request comes before';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the access token, 64 hexadecimal digits. The token itself is not stored';
COMMENT ON TABLE workflows IS 'One row per version of a workflow.';
COMMENT ON COLUMN workflows.controller_id IS 'References controllers';
COMMENT ON COLUMN workflows.created IS 'Default: now. The newest version of a path is the current one';
COMMENT ON COLUMN workflows.folder IS 'Generated: the path up to its last /, or / itself';
COMMENT ON COLUMN workflows.name IS 'Generated: what follows the last /';
COMMENT ON COLUMN workflows.path IS 'Absolute, /sos/billing/eod; 2 to 255 characters, no empty part, no part . or .., no / at the end, no control characters';
COMMENT ON COLUMN workflows.version_id IS '1 to 255 characters, no control characters';
