DROP VIEW joc_audit_log_details;
DROP VIEW joc_audit_log;
DROP INDEX audit_log_details_folder;
DROP INDEX audit_logs_denied;
DROP INDEX audit_logs_request;
