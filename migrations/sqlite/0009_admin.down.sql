-- Entries that older releases do not write stay, since they are evidence and sealed.

PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = CASE
    WHEN instr(sql, '(''CONTROLLER'', ''IDENTITY'', ''IMPORT'', ''OTHERS'')') > 0 AND instr(sql, '''NO_ORDERS'', ''DENIED'', ''OUTSIDE'')') > 0
    THEN replace(replace(sql, '(''CONTROLLER'', ''IDENTITY'', ''IMPORT'', ''OTHERS'')', '(''CONTROLLER'', ''IDENTITY'')'),
        '''NO_ORDERS'', ''DENIED'', ''OUTSIDE'')', '''NO_ORDERS'', ''DENIED'')')
    ELSE json('audit_logs is not as the migrations made it')
END
WHERE type = 'table' AND name = 'audit_logs';
PRAGMA writable_schema = RESET;

DROP TRIGGER audit_logs_new;
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
