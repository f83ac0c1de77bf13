-- Closes what the tables took and no program writes. A trigger refuses a row for it only if the
-- row was right before: rows that older releases let in can still be changed, and hold up nothing.
-- A message begins with the name that the same trigger has on PostgreSQL.
-- Old releases of SQLite take 2027-02-31 for an instant, unless there is something to be added.

CREATE TRIGGER controllers_refuse_insert BEFORE INSERT ON controllers
BEGIN SELECT CASE
    WHEN substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'controllers_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN NEW.controller_id = '-'
        THEN RAISE(ABORT, 'controllers_id_is_no_dash: the id - stands for no controller')
    WHEN NEW.last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991
        THEN RAISE(ABORT, 'controllers_numbers_are_below_2_53: last_order_number is below 2^53')
END; END;
CREATE TRIGGER controllers_refuse_update BEFORE UPDATE OF
    created, controller_id, last_order_number ON controllers
BEGIN SELECT CASE
    WHEN (substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days'))
        AND (substr(OLD.created, 9, 2) > '28' AND OLD.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.created, '+0 days')) IS NOT TRUE
        THEN RAISE(ABORT, 'controllers_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN (NEW.controller_id = '-')
        AND (OLD.controller_id = '-') IS NOT TRUE
        THEN RAISE(ABORT, 'controllers_id_is_no_dash: the id - stands for no controller')
    WHEN (NEW.last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991)
        AND (OLD.last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991) IS NOT TRUE
        THEN RAISE(ABORT, 'controllers_numbers_are_below_2_53: last_order_number is below 2^53')
END; END;

CREATE TRIGGER workflows_refuse_insert BEFORE INSERT ON workflows
BEGIN SELECT CASE
    WHEN substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'workflows_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN NEW.path || '/' LIKE '%/./%' OR NEW.path || '/' LIKE '%/../%'
        THEN RAISE(ABORT, 'workflows_path_has_no_dots: no part of a path is . or ..')
END; END;
CREATE TRIGGER workflows_refuse_update BEFORE UPDATE OF
    created, path ON workflows
BEGIN SELECT CASE
    WHEN (substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days'))
        AND (substr(OLD.created, 9, 2) > '28' AND OLD.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.created, '+0 days')) IS NOT TRUE
        THEN RAISE(ABORT, 'workflows_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN (NEW.path || '/' LIKE '%/./%' OR NEW.path || '/' LIKE '%/../%')
        AND (OLD.path || '/' LIKE '%/./%' OR OLD.path || '/' LIKE '%/../%') IS NOT TRUE
        THEN RAISE(ABORT, 'workflows_path_has_no_dots: no part of a path is . or ..')
END; END;

CREATE TRIGGER orders_refuse_insert BEFORE INSERT ON orders
BEGIN SELECT CASE
    WHEN substr(NEW.scheduled_for, 9, 2) > '28' AND NEW.scheduled_for IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.scheduled_for, '+0 days')
        OR substr(NEW.kill_requested, 9, 2) > '28' AND NEW.kill_requested IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.kill_requested, '+0 days')
        OR substr(NEW.sigkill_at, 9, 2) > '28' AND NEW.sigkill_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.sigkill_at, '+0 days')
        OR substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        OR substr(NEW.modified, 9, 2) > '28' AND NEW.modified IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.modified, '+0 days')
        OR substr(NEW.started, 9, 2) > '28' AND NEW.started IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.started, '+0 days')
        OR substr(NEW.state_since, 9, 2) > '28' AND NEW.state_since IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.state_since, '+0 days')
        THEN RAISE(ABORT, 'orders_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN NEW.state = 'FRESH' AND (NEW.started IS NOT NULL OR NEW.kill_requested IS NOT NULL)
        THEN RAISE(ABORT, 'orders_fresh_has_not_started: a fresh order has neither started nor a kill request')
    WHEN NEW.reason IS NOT NULL AND NEW.state IN ('FRESH', 'FINISHED', 'CANCELLED')
        THEN RAISE(ABORT, 'orders_reason_is_of_a_started_order: a fresh or terminal order has no reason')
    WHEN NEW.mark = 'RESUMING' AND NOT NEW.suspended
        THEN RAISE(ABORT, 'orders_resuming_is_suspended: an order that is RESUMING is suspended')
    WHEN NEW.started < NEW.created OR NEW.modified < NEW.created OR NEW.state_since < NEW.created
        THEN RAISE(ABORT, 'orders_created_comes_first: started, modified and state_since are not before created')
END; END;
CREATE TRIGGER orders_refuse_update BEFORE UPDATE OF
    scheduled_for, kill_requested, sigkill_at, created, modified, started, state_since, state,
    reason, mark, suspended, controller_id, order_id ON orders
BEGIN SELECT CASE
    WHEN (substr(NEW.scheduled_for, 9, 2) > '28' AND NEW.scheduled_for IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.scheduled_for, '+0 days')
        OR substr(NEW.kill_requested, 9, 2) > '28' AND NEW.kill_requested IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.kill_requested, '+0 days')
        OR substr(NEW.sigkill_at, 9, 2) > '28' AND NEW.sigkill_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.sigkill_at, '+0 days')
        OR substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        OR substr(NEW.modified, 9, 2) > '28' AND NEW.modified IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.modified, '+0 days')
        OR substr(NEW.started, 9, 2) > '28' AND NEW.started IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.started, '+0 days')
        OR substr(NEW.state_since, 9, 2) > '28' AND NEW.state_since IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.state_since, '+0 days'))
        AND (substr(OLD.scheduled_for, 9, 2) > '28' AND OLD.scheduled_for IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.scheduled_for, '+0 days')
        OR substr(OLD.kill_requested, 9, 2) > '28' AND OLD.kill_requested IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.kill_requested, '+0 days')
        OR substr(OLD.sigkill_at, 9, 2) > '28' AND OLD.sigkill_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.sigkill_at, '+0 days')
        OR substr(OLD.created, 9, 2) > '28' AND OLD.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.created, '+0 days')
        OR substr(OLD.modified, 9, 2) > '28' AND OLD.modified IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.modified, '+0 days')
        OR substr(OLD.started, 9, 2) > '28' AND OLD.started IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.started, '+0 days')
        OR substr(OLD.state_since, 9, 2) > '28' AND OLD.state_since IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.state_since, '+0 days')) IS NOT TRUE
        THEN RAISE(ABORT, 'orders_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN (NEW.state = 'FRESH' AND (NEW.started IS NOT NULL OR NEW.kill_requested IS NOT NULL))
        AND (OLD.state = 'FRESH' AND (OLD.started IS NOT NULL OR OLD.kill_requested IS NOT NULL)) IS NOT TRUE
        THEN RAISE(ABORT, 'orders_fresh_has_not_started: a fresh order has neither started nor a kill request')
    WHEN (NEW.reason IS NOT NULL AND NEW.state IN ('FRESH', 'FINISHED', 'CANCELLED'))
        AND (OLD.reason IS NOT NULL AND OLD.state IN ('FRESH', 'FINISHED', 'CANCELLED')) IS NOT TRUE
        THEN RAISE(ABORT, 'orders_reason_is_of_a_started_order: a fresh or terminal order has no reason')
    WHEN (NEW.mark = 'RESUMING' AND NOT NEW.suspended)
        AND (OLD.mark = 'RESUMING' AND NOT OLD.suspended) IS NOT TRUE
        THEN RAISE(ABORT, 'orders_resuming_is_suspended: an order that is RESUMING is suspended')
    WHEN (NEW.started < NEW.created OR NEW.modified < NEW.created OR NEW.state_since < NEW.created)
        -- What is created in the future shows that a clock was set back.
        AND NEW.created <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        AND (OLD.started < OLD.created OR OLD.modified < OLD.created OR OLD.state_since < OLD.created) IS NOT TRUE
        THEN RAISE(ABORT, 'orders_created_comes_first: started, modified and state_since are not before created')
    WHEN NEW.state = 'FRESH' AND OLD.state NOT IN ('FRESH', 'FINISHED', 'CANCELLED')
        THEN RAISE(ABORT, 'orders_started_is_never_fresh: an order that has started is never fresh again')
    WHEN (NEW.controller_id <> OLD.controller_id OR NEW.order_id <> OLD.order_id)
        AND OLD.state NOT IN ('FINISHED', 'CANCELLED')
        THEN RAISE(ABORT, 'orders_id_is_kept: an order keeps its controller and its id')
END; END;

CREATE TRIGGER accounts_refuse_insert BEFORE INSERT ON accounts
BEGIN SELECT CASE
    WHEN substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'accounts_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN NEW.password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%' OR length(NEW.password_hash) NOT BETWEEN 60 AND 500
        OR length(NEW.password_hash) - length(replace(NEW.password_hash, '$', '')) <> 5
        OR trim(NEW.password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,$') <> ''
        THEN RAISE(ABORT, 'accounts_password_is_hashed: password_hash is an argon2id hash')
END; END;
CREATE TRIGGER accounts_refuse_update BEFORE UPDATE OF
    created, password_hash ON accounts
BEGIN SELECT CASE
    WHEN (substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days'))
        AND (substr(OLD.created, 9, 2) > '28' AND OLD.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.created, '+0 days')) IS NOT TRUE
        THEN RAISE(ABORT, 'accounts_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN (NEW.password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%' OR length(NEW.password_hash) NOT BETWEEN 60 AND 500
        OR length(NEW.password_hash) - length(replace(NEW.password_hash, '$', '')) <> 5
        OR trim(NEW.password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,$') <> '')
        AND (OLD.password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%' OR length(OLD.password_hash) NOT BETWEEN 60 AND 500
        OR length(OLD.password_hash) - length(replace(OLD.password_hash, '$', '')) <> 5
        OR trim(OLD.password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,$') <> '') IS NOT TRUE
        THEN RAISE(ABORT, 'accounts_password_is_hashed: password_hash is an argon2id hash')
END; END;

CREATE TRIGGER roles_refuse_insert BEFORE INSERT ON roles
BEGIN SELECT CASE
    WHEN substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        THEN RAISE(ABORT, 'roles_instants_are_valid: an instant is of the years 1 to 9999')
END; END;
CREATE TRIGGER roles_refuse_update BEFORE UPDATE OF
    created ON roles
BEGIN SELECT CASE
    WHEN (substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days'))
        AND (substr(OLD.created, 9, 2) > '28' AND OLD.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.created, '+0 days')) IS NOT TRUE
        THEN RAISE(ABORT, 'roles_instants_are_valid: an instant is of the years 1 to 9999')
END; END;

CREATE TRIGGER role_permissions_refuse_insert BEFORE INSERT ON role_permissions
BEGIN SELECT CASE
    WHEN NEW.permission NOT IN (
            'sos:products', 'sos:products:controller',
            'sos:products:controller:agents', 'sos:products:controller:agents:view',
            'sos:products:controller:deployment', 'sos:products:controller:deployment:deploy',
            'sos:products:controller:deployment:view', 'sos:products:controller:get_log',
            'sos:products:controller:locks', 'sos:products:controller:locks:view',
            'sos:products:controller:noticeboards', 'sos:products:controller:noticeboards:delete',
            'sos:products:controller:noticeboards:post', 'sos:products:controller:noticeboards:view',
            'sos:products:controller:orders', 'sos:products:controller:orders:cancel',
            'sos:products:controller:orders:confirm', 'sos:products:controller:orders:create',
            'sos:products:controller:orders:manage_positions', 'sos:products:controller:orders:modify',
            'sos:products:controller:orders:resume_failed', 'sos:products:controller:orders:suspend_resume',
            'sos:products:controller:orders:view', 'sos:products:controller:restart',
            'sos:products:controller:switch_over', 'sos:products:controller:terminate',
            'sos:products:controller:view', 'sos:products:controller:workflows',
            'sos:products:controller:workflows:view', 'sos:products:joc',
            'sos:products:joc:administration', 'sos:products:joc:administration:accounts',
            'sos:products:joc:administration:accounts:manage', 'sos:products:joc:administration:accounts:view',
            'sos:products:joc:administration:certificates', 'sos:products:joc:administration:certificates:manage',
            'sos:products:joc:administration:certificates:view', 'sos:products:joc:administration:controllers',
            'sos:products:joc:administration:controllers:manage', 'sos:products:joc:administration:controllers:view',
            'sos:products:joc:administration:customization', 'sos:products:joc:administration:customization:manage',
            'sos:products:joc:administration:customization:share', 'sos:products:joc:administration:customization:view',
            'sos:products:joc:administration:settings', 'sos:products:joc:administration:settings:manage',
            'sos:products:joc:administration:settings:view', 'sos:products:joc:auditlog',
            'sos:products:joc:auditlog:view', 'sos:products:joc:calendars',
            'sos:products:joc:calendars:view', 'sos:products:joc:cluster',
            'sos:products:joc:cluster:manage', 'sos:products:joc:dailyplan',
            'sos:products:joc:dailyplan:manage', 'sos:products:joc:dailyplan:view',
            'sos:products:joc:documentations', 'sos:products:joc:documentations:manage',
            'sos:products:joc:documentations:view', 'sos:products:joc:encipherment',
            'sos:products:joc:encipherment:encrypt', 'sos:products:joc:filetransfer',
            'sos:products:joc:filetransfer:manage', 'sos:products:joc:filetransfer:view',
            'sos:products:joc:get_log', 'sos:products:joc:inventory',
            'sos:products:joc:inventory:deploy', 'sos:products:joc:inventory:manage',
            'sos:products:joc:inventory:view', 'sos:products:joc:notification',
            'sos:products:joc:notification:manage', 'sos:products:joc:notification:view',
            'sos:products:joc:others', 'sos:products:joc:others:manage',
            'sos:products:joc:others:view', 'sos:products:joc:reports',
            'sos:products:joc:reports:manage', 'sos:products:joc:reports:view')
        THEN RAISE(ABORT, 'role_permissions_are_known: the permission is one that JOC has')
END; END;
CREATE TRIGGER role_permissions_refuse_update BEFORE UPDATE OF
    permission ON role_permissions
BEGIN SELECT CASE
    WHEN (NEW.permission NOT IN (
            'sos:products', 'sos:products:controller',
            'sos:products:controller:agents', 'sos:products:controller:agents:view',
            'sos:products:controller:deployment', 'sos:products:controller:deployment:deploy',
            'sos:products:controller:deployment:view', 'sos:products:controller:get_log',
            'sos:products:controller:locks', 'sos:products:controller:locks:view',
            'sos:products:controller:noticeboards', 'sos:products:controller:noticeboards:delete',
            'sos:products:controller:noticeboards:post', 'sos:products:controller:noticeboards:view',
            'sos:products:controller:orders', 'sos:products:controller:orders:cancel',
            'sos:products:controller:orders:confirm', 'sos:products:controller:orders:create',
            'sos:products:controller:orders:manage_positions', 'sos:products:controller:orders:modify',
            'sos:products:controller:orders:resume_failed', 'sos:products:controller:orders:suspend_resume',
            'sos:products:controller:orders:view', 'sos:products:controller:restart',
            'sos:products:controller:switch_over', 'sos:products:controller:terminate',
            'sos:products:controller:view', 'sos:products:controller:workflows',
            'sos:products:controller:workflows:view', 'sos:products:joc',
            'sos:products:joc:administration', 'sos:products:joc:administration:accounts',
            'sos:products:joc:administration:accounts:manage', 'sos:products:joc:administration:accounts:view',
            'sos:products:joc:administration:certificates', 'sos:products:joc:administration:certificates:manage',
            'sos:products:joc:administration:certificates:view', 'sos:products:joc:administration:controllers',
            'sos:products:joc:administration:controllers:manage', 'sos:products:joc:administration:controllers:view',
            'sos:products:joc:administration:customization', 'sos:products:joc:administration:customization:manage',
            'sos:products:joc:administration:customization:share', 'sos:products:joc:administration:customization:view',
            'sos:products:joc:administration:settings', 'sos:products:joc:administration:settings:manage',
            'sos:products:joc:administration:settings:view', 'sos:products:joc:auditlog',
            'sos:products:joc:auditlog:view', 'sos:products:joc:calendars',
            'sos:products:joc:calendars:view', 'sos:products:joc:cluster',
            'sos:products:joc:cluster:manage', 'sos:products:joc:dailyplan',
            'sos:products:joc:dailyplan:manage', 'sos:products:joc:dailyplan:view',
            'sos:products:joc:documentations', 'sos:products:joc:documentations:manage',
            'sos:products:joc:documentations:view', 'sos:products:joc:encipherment',
            'sos:products:joc:encipherment:encrypt', 'sos:products:joc:filetransfer',
            'sos:products:joc:filetransfer:manage', 'sos:products:joc:filetransfer:view',
            'sos:products:joc:get_log', 'sos:products:joc:inventory',
            'sos:products:joc:inventory:deploy', 'sos:products:joc:inventory:manage',
            'sos:products:joc:inventory:view', 'sos:products:joc:notification',
            'sos:products:joc:notification:manage', 'sos:products:joc:notification:view',
            'sos:products:joc:others', 'sos:products:joc:others:manage',
            'sos:products:joc:others:view', 'sos:products:joc:reports',
            'sos:products:joc:reports:manage', 'sos:products:joc:reports:view'))
        THEN RAISE(ABORT, 'role_permissions_are_known: the permission is one that JOC has')
END; END;

CREATE TRIGGER role_folders_refuse_insert BEFORE INSERT ON role_folders
BEGIN SELECT CASE
    WHEN length(NEW.folder) > 255 OR NEW.folder || '/' LIKE '%/./%' OR NEW.folder || '/' LIKE '%/../%'
        THEN RAISE(ABORT, 'role_folders_are_paths: a folder has at most 255 characters, and no part of it is . or ..')
END; END;
CREATE TRIGGER role_folders_refuse_update BEFORE UPDATE OF
    folder ON role_folders
BEGIN SELECT CASE
    WHEN (length(NEW.folder) > 255 OR NEW.folder || '/' LIKE '%/./%' OR NEW.folder || '/' LIKE '%/../%')
        AND (length(OLD.folder) > 255 OR OLD.folder || '/' LIKE '%/./%' OR OLD.folder || '/' LIKE '%/../%') IS NOT TRUE
        THEN RAISE(ABORT, 'role_folders_are_paths: a folder has at most 255 characters, and no part of it is . or ..')
END; END;

CREATE TRIGGER sessions_refuse_insert BEFORE INSERT ON sessions
BEGIN SELECT CASE
    WHEN substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        OR substr(NEW.expires, 9, 2) > '28' AND NEW.expires IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.expires, '+0 days')
        THEN RAISE(ABORT, 'sessions_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN NEW.expires < NEW.created
        THEN RAISE(ABORT, 'sessions_end_after_they_begin: a session does not end before it begins')
END; END;
CREATE TRIGGER sessions_refuse_update BEFORE UPDATE OF
    created, expires ON sessions
BEGIN SELECT CASE
    WHEN (substr(NEW.created, 9, 2) > '28' AND NEW.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created, '+0 days')
        OR substr(NEW.expires, 9, 2) > '28' AND NEW.expires IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.expires, '+0 days'))
        AND (substr(OLD.created, 9, 2) > '28' AND OLD.created IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.created, '+0 days')
        OR substr(OLD.expires, 9, 2) > '28' AND OLD.expires IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', OLD.expires, '+0 days')) IS NOT TRUE
        THEN RAISE(ABORT, 'sessions_instants_are_valid: an instant is of the years 1 to 9999')
    WHEN (NEW.expires < NEW.created)
        AND (OLD.expires < OLD.created) IS NOT TRUE
        THEN RAISE(ABORT, 'sessions_end_after_they_begin: a session does not end before it begins')
END; END;
