-- What the audit trail takes. Triggers, so that an old row that breaks a rule stays evidence, and
-- only the index reads the table here. `joc-orders check` names such rows.

-- Which entries may have details, without the row: its parameters can be long.
CREATE INDEX audit_logs_done ON audit_logs (controller_id, id) WHERE outcome = 'DONE';

CREATE TRIGGER audit_logs_new BEFORE INSERT ON audit_logs
BEGIN
    SELECT CASE
        WHEN length(NEW.controller_id) NOT BETWEEN 1 AND 100 OR instr(NEW.controller_id, char(0)) > 0
            OR NEW.controller_id GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
            OR NEW.controller_id GLOB '*[/\<>?!&:;()"|*^]*'
        THEN RAISE(ABORT, 'audit_logs.controller_id is no controller')
        WHEN NEW.account = '' OR NEW.request = '' OR NEW.request_id = ''
        THEN RAISE(ABORT, 'audit_logs says who and what')
        WHEN json_type(NEW.parameters) IS NOT 'object'
        THEN RAISE(ABORT, 'audit_logs.parameters is an object')
        WHEN NEW.outcome = 'DONE' AND NEW.affected IS NOT NULL AND NEW.affected < 1
        THEN RAISE(ABORT, 'audit_logs: DONE affects orders')
        WHEN NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'audit_logs.created is no instant')
    END;
END;
-- The id is the one that AUTOINCREMENT draws: an insert may name one, but no other. It has no upper
-- bound of its own, since it follows an old one that is high already.
CREATE TRIGGER audit_logs_drawn AFTER INSERT ON audit_logs
WHEN NEW.id <> (SELECT max(id) FROM audit_logs)
    OR NEW.id <> 1 + max(
        coalesce((SELECT max(id) FROM audit_logs WHERE id < NEW.id), 0),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit_logs' AND seq < NEW.id), 0))
BEGIN SELECT RAISE(ABORT, 'an id of audit_logs is drawn, not chosen'); END;

-- Details come with their entry, which is the newest until the next one comes.
CREATE TRIGGER audit_log_details_new BEFORE INSERT ON audit_log_details
BEGIN
    SELECT CASE
        WHEN length(NEW.order_id) NOT BETWEEN 1 AND 255 OR NEW.workflow_path = ''
            OR NEW.workflow_version_id = '' OR NEW.folder = ''
        THEN RAISE(ABORT, 'audit_log_details says of which order')
        -- Words in a text: IN would build a table of them for each row. An order that a call
        -- adds was in the state NONE.
        WHEN NEW.previous_state || NEW.new_state GLOB '*[^A-Z]*'
            OR instr(' NONE PENDING SCHEDULED BLOCKED SUSPENDED INPROGRESS RUNNING WAITING PROMPTING FAILED FINISHED CANCELLED ',
                ' ' || NEW.previous_state || ' ') = 0
            OR instr(' PENDING SCHEDULED BLOCKED SUSPENDED INPROGRESS RUNNING WAITING PROMPTING FAILED FINISHED CANCELLED ',
                ' ' || NEW.new_state || ' ') = 0
        THEN RAISE(ABORT, 'audit_log_details has a state that there is not')
        WHEN NEW.mark <> 'CANCELLING' AND NEW.mark <> 'SUSPENDING' AND (NEW.mark <> 'RESUMING' OR NEW.kill)
            OR NEW.kill AND NEW.mark IS NULL
        THEN RAISE(ABORT, 'audit_log_details has a mark that there is not')
        -- The table's own check accepts every month with 31 days.
        WHEN substr(NEW.created, 9, 2) > '28'
            AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'audit_log_details.created is no instant')
        WHEN NEW.audit_log_id IS NOT (SELECT max(id) FROM audit_logs)
            OR NOT EXISTS (SELECT 1 FROM audit_logs INDEXED BY audit_logs_done
                           WHERE controller_id = NEW.controller_id AND id = NEW.audit_log_id
                               AND outcome = 'DONE')
            OR (SELECT last_id FROM audit_seals WHERE controller_id = NEW.controller_id
                ORDER BY number DESC LIMIT 1) >= NEW.audit_log_id
        THEN RAISE(ABORT, 'audit_log_details come with their entry, which is DONE')
    END;
END;

CREATE TRIGGER audit_seals_new BEFORE INSERT ON audit_seals
BEGIN
    SELECT CASE
        WHEN NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'audit_seals.created is no instant')
        WHEN NEW.first_id < 1 OR NEW.last_id > coalesce((SELECT max(id) FROM audit_logs), 0)
            OR (NEW.number - 1, NEW.previous_hash) IS NOT (
                SELECT number, hash FROM audit_seals WHERE controller_id = NEW.controller_id
                UNION ALL SELECT 0, printf('%064d', 0)
                ORDER BY 1 DESC LIMIT 1)
            OR NEW.first_id <= (SELECT last_id FROM audit_seals
                WHERE controller_id = NEW.controller_id ORDER BY number DESC LIMIT 1)
            -- One that ended after all entries would leave none to the next.
            OR NOT EXISTS (SELECT 1 FROM audit_logs
                WHERE controller_id = NEW.controller_id AND id = NEW.first_id)
            OR NOT EXISTS (SELECT 1 FROM audit_logs
                WHERE controller_id = NEW.controller_id AND id = NEW.last_id)
        THEN RAISE(ABORT, 'the seal does not follow the last one')
    END;
END;
