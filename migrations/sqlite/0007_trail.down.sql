DROP TRIGGER audit_seals_new;
DROP TRIGGER audit_log_details_new;
DROP TRIGGER audit_logs_drawn;
DROP TRIGGER audit_logs_new;
DROP INDEX audit_logs_done;
