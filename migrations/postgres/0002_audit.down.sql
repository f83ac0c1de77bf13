DROP TABLE audit_log_details;
DROP TABLE audit_logs;
