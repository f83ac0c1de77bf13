DROP TRIGGER audit_seals_next ON audit_seals;
DROP TRIGGER audit_log_details_own_entry ON audit_log_details;
DROP TRIGGER audit_logs_drawn ON audit_logs;
DROP FUNCTION expect_next_seal;
DROP FUNCTION expect_own_entry;
DROP FUNCTION last_drawn_id;
DROP FUNCTION expect_drawn_id;
ALTER TABLE audit_seals
    DROP CONSTRAINT audit_seals_years,
    DROP CONSTRAINT audit_seals_ids;
ALTER TABLE audit_log_details
    DROP CONSTRAINT audit_log_details_years,
    DROP CONSTRAINT audit_log_details_kill_has_mark,
    DROP CONSTRAINT audit_log_details_mark,
    DROP CONSTRAINT audit_log_details_states,
    DROP CONSTRAINT audit_log_details_order;
ALTER TABLE audit_logs
    DROP CONSTRAINT audit_logs_years,
    DROP CONSTRAINT audit_logs_done_affects,
    DROP CONSTRAINT audit_logs_parameters_are_an_object,
    DROP CONSTRAINT audit_logs_who_and_what,
    DROP CONSTRAINT audit_logs_controller,
    DROP CONSTRAINT audit_logs_id_is_drawn;
