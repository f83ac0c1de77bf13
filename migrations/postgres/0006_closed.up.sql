-- Closes what the tables took and no program writes. A trigger refuses a row for it only if the
-- row was right before: rows that older releases let in can still be changed, and hold up nothing.
-- To make triggers reads no table; it waits for those who write.

-- The first argument is the name of what is broken, which drivers show as that of a constraint.
CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', TG_ARGV[0], TG_ARGV[1] USING ERRCODE = 'check_violation',
        CONSTRAINT = TG_ARGV[0], TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END $$;

CREATE TRIGGER controllers_instants_are_valid BEFORE INSERT ON controllers
    FOR EACH ROW WHEN (NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
    EXECUTE FUNCTION refuse_row('controllers_instants_are_valid', 'an instant is of the years 1 to 9999');
CREATE TRIGGER controllers_instants_are_valid_update BEFORE UPDATE OF created ON controllers
    FOR EACH ROW WHEN ((NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
        AND (OLD.created < '0001-01-01T00:00:00Z' OR OLD.created >= '10000-01-01T00:00:00Z') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('controllers_instants_are_valid', 'an instant is of the years 1 to 9999');

CREATE TRIGGER controllers_id_is_no_dash BEFORE INSERT ON controllers
    FOR EACH ROW WHEN (NEW.controller_id = '-')
    EXECUTE FUNCTION refuse_row('controllers_id_is_no_dash', 'the id - stands for no controller');
CREATE TRIGGER controllers_id_is_no_dash_update BEFORE UPDATE OF controller_id ON controllers
    FOR EACH ROW WHEN ((NEW.controller_id = '-')
        AND (OLD.controller_id = '-') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('controllers_id_is_no_dash', 'the id - stands for no controller');

CREATE TRIGGER controllers_numbers_are_below_2_53 BEFORE INSERT ON controllers
    FOR EACH ROW WHEN (NEW.last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991)
    EXECUTE FUNCTION refuse_row('controllers_numbers_are_below_2_53', 'last_order_number is below 2^53');
CREATE TRIGGER controllers_numbers_are_below_2_53_update BEFORE UPDATE OF last_order_number ON controllers
    FOR EACH ROW WHEN ((NEW.last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991)
        AND (OLD.last_order_number NOT BETWEEN -9007199254740991 AND 9007199254740991) IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('controllers_numbers_are_below_2_53', 'last_order_number is below 2^53');

CREATE TRIGGER workflows_instants_are_valid BEFORE INSERT ON workflows
    FOR EACH ROW WHEN (NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
    EXECUTE FUNCTION refuse_row('workflows_instants_are_valid', 'an instant is of the years 1 to 9999');
CREATE TRIGGER workflows_instants_are_valid_update BEFORE UPDATE OF created ON workflows
    FOR EACH ROW WHEN ((NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
        AND (OLD.created < '0001-01-01T00:00:00Z' OR OLD.created >= '10000-01-01T00:00:00Z') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('workflows_instants_are_valid', 'an instant is of the years 1 to 9999');

CREATE TRIGGER workflows_path_has_no_dots BEFORE INSERT ON workflows
    FOR EACH ROW WHEN (NEW.path || '/' LIKE '%/./%' OR NEW.path || '/' LIKE '%/../%')
    EXECUTE FUNCTION refuse_row('workflows_path_has_no_dots', 'no part of a path is . or ..');
CREATE TRIGGER workflows_path_has_no_dots_update BEFORE UPDATE OF path ON workflows
    FOR EACH ROW WHEN ((NEW.path || '/' LIKE '%/./%' OR NEW.path || '/' LIKE '%/../%')
        AND (OLD.path || '/' LIKE '%/./%' OR OLD.path || '/' LIKE '%/../%') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('workflows_path_has_no_dots', 'no part of a path is . or ..');

CREATE TRIGGER orders_instants_are_valid BEFORE INSERT ON orders
    FOR EACH ROW WHEN (NEW.scheduled_for < '0001-01-01T00:00:00Z' OR NEW.scheduled_for >= '10000-01-01T00:00:00Z'
        OR NEW.kill_requested < '0001-01-01T00:00:00Z' OR NEW.kill_requested >= '10000-01-01T00:00:00Z'
        OR NEW.sigkill_at < '0001-01-01T00:00:00Z' OR NEW.sigkill_at >= '10000-01-01T00:00:00Z'
        OR NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z'
        OR NEW.modified < '0001-01-01T00:00:00Z' OR NEW.modified >= '10000-01-01T00:00:00Z'
        OR NEW.started < '0001-01-01T00:00:00Z' OR NEW.started >= '10000-01-01T00:00:00Z'
        OR NEW.state_since < '0001-01-01T00:00:00Z' OR NEW.state_since >= '10000-01-01T00:00:00Z')
    EXECUTE FUNCTION refuse_row('orders_instants_are_valid', 'an instant is of the years 1 to 9999');
CREATE TRIGGER orders_instants_are_valid_update BEFORE UPDATE OF scheduled_for, kill_requested, sigkill_at, created,
    modified, started, state_since ON orders
    FOR EACH ROW WHEN ((NEW.scheduled_for < '0001-01-01T00:00:00Z' OR NEW.scheduled_for >= '10000-01-01T00:00:00Z'
        OR NEW.kill_requested < '0001-01-01T00:00:00Z' OR NEW.kill_requested >= '10000-01-01T00:00:00Z'
        OR NEW.sigkill_at < '0001-01-01T00:00:00Z' OR NEW.sigkill_at >= '10000-01-01T00:00:00Z'
        OR NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z'
        OR NEW.modified < '0001-01-01T00:00:00Z' OR NEW.modified >= '10000-01-01T00:00:00Z'
        OR NEW.started < '0001-01-01T00:00:00Z' OR NEW.started >= '10000-01-01T00:00:00Z'
        OR NEW.state_since < '0001-01-01T00:00:00Z' OR NEW.state_since >= '10000-01-01T00:00:00Z')
        AND (OLD.scheduled_for < '0001-01-01T00:00:00Z' OR OLD.scheduled_for >= '10000-01-01T00:00:00Z'
        OR OLD.kill_requested < '0001-01-01T00:00:00Z' OR OLD.kill_requested >= '10000-01-01T00:00:00Z'
        OR OLD.sigkill_at < '0001-01-01T00:00:00Z' OR OLD.sigkill_at >= '10000-01-01T00:00:00Z'
        OR OLD.created < '0001-01-01T00:00:00Z' OR OLD.created >= '10000-01-01T00:00:00Z'
        OR OLD.modified < '0001-01-01T00:00:00Z' OR OLD.modified >= '10000-01-01T00:00:00Z'
        OR OLD.started < '0001-01-01T00:00:00Z' OR OLD.started >= '10000-01-01T00:00:00Z'
        OR OLD.state_since < '0001-01-01T00:00:00Z' OR OLD.state_since >= '10000-01-01T00:00:00Z') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('orders_instants_are_valid', 'an instant is of the years 1 to 9999');

CREATE TRIGGER orders_fresh_has_not_started BEFORE INSERT ON orders
    FOR EACH ROW WHEN (NEW.state = 'FRESH' AND (NEW.started IS NOT NULL OR NEW.kill_requested IS NOT NULL))
    EXECUTE FUNCTION refuse_row('orders_fresh_has_not_started', 'a fresh order has neither started nor a kill request');
CREATE TRIGGER orders_fresh_has_not_started_update BEFORE UPDATE OF state, started, kill_requested ON orders
    FOR EACH ROW WHEN ((NEW.state = 'FRESH' AND (NEW.started IS NOT NULL OR NEW.kill_requested IS NOT NULL))
        AND (OLD.state = 'FRESH' AND (OLD.started IS NOT NULL OR OLD.kill_requested IS NOT NULL)) IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('orders_fresh_has_not_started', 'a fresh order has neither started nor a kill request');

CREATE TRIGGER orders_reason_is_of_a_started_order BEFORE INSERT ON orders
    FOR EACH ROW WHEN (NEW.reason IS NOT NULL AND NEW.state IN ('FRESH', 'FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_row('orders_reason_is_of_a_started_order', 'a fresh or terminal order has no reason');
CREATE TRIGGER orders_reason_is_of_a_started_order_update BEFORE UPDATE OF state, reason ON orders
    FOR EACH ROW WHEN ((NEW.reason IS NOT NULL AND NEW.state IN ('FRESH', 'FINISHED', 'CANCELLED'))
        AND (OLD.reason IS NOT NULL AND OLD.state IN ('FRESH', 'FINISHED', 'CANCELLED')) IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('orders_reason_is_of_a_started_order', 'a fresh or terminal order has no reason');

CREATE TRIGGER orders_resuming_is_suspended BEFORE INSERT ON orders
    FOR EACH ROW WHEN (NEW.mark = 'RESUMING' AND NOT NEW.suspended)
    EXECUTE FUNCTION refuse_row('orders_resuming_is_suspended', 'an order that is RESUMING is suspended');
CREATE TRIGGER orders_resuming_is_suspended_update BEFORE UPDATE OF mark, suspended ON orders
    FOR EACH ROW WHEN ((NEW.mark = 'RESUMING' AND NOT NEW.suspended)
        AND (OLD.mark = 'RESUMING' AND NOT OLD.suspended) IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('orders_resuming_is_suspended', 'an order that is RESUMING is suspended');

CREATE TRIGGER orders_created_comes_first BEFORE INSERT ON orders
    FOR EACH ROW WHEN (NEW.started < NEW.created OR NEW.modified < NEW.created OR NEW.state_since < NEW.created)
    EXECUTE FUNCTION refuse_row('orders_created_comes_first', 'started, modified and state_since are not before created');
-- What is created in the future shows that a clock was set back.
CREATE TRIGGER orders_created_comes_first_update BEFORE UPDATE OF created, modified, started, state_since ON orders
    FOR EACH ROW WHEN ((NEW.started < NEW.created OR NEW.modified < NEW.created OR NEW.state_since < NEW.created)
        AND NEW.created <= now()
        AND (OLD.started < OLD.created OR OLD.modified < OLD.created OR OLD.state_since < OLD.created) IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('orders_created_comes_first', 'started, modified and state_since are not before created');

CREATE TRIGGER accounts_instants_are_valid BEFORE INSERT ON accounts
    FOR EACH ROW WHEN (NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
    EXECUTE FUNCTION refuse_row('accounts_instants_are_valid', 'an instant is of the years 1 to 9999');
CREATE TRIGGER accounts_instants_are_valid_update BEFORE UPDATE OF created ON accounts
    FOR EACH ROW WHEN ((NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
        AND (OLD.created < '0001-01-01T00:00:00Z' OR OLD.created >= '10000-01-01T00:00:00Z') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('accounts_instants_are_valid', 'an instant is of the years 1 to 9999');

CREATE TRIGGER accounts_password_is_hashed BEFORE INSERT ON accounts
    FOR EACH ROW WHEN (NEW.password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%' OR length(NEW.password_hash) NOT BETWEEN 60 AND 500
        OR length(NEW.password_hash) - length(replace(NEW.password_hash, '$', '')) <> 5
        OR trim(NEW.password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,$') <> '')
    EXECUTE FUNCTION refuse_row('accounts_password_is_hashed', 'password_hash is an argon2id hash');
CREATE TRIGGER accounts_password_is_hashed_update BEFORE UPDATE OF password_hash ON accounts
    FOR EACH ROW WHEN ((NEW.password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%' OR length(NEW.password_hash) NOT BETWEEN 60 AND 500
        OR length(NEW.password_hash) - length(replace(NEW.password_hash, '$', '')) <> 5
        OR trim(NEW.password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,$') <> '')
        AND (OLD.password_hash NOT LIKE '$argon2id$v=%$m=%,t=%,p=%$%$%' OR length(OLD.password_hash) NOT BETWEEN 60 AND 500
        OR length(OLD.password_hash) - length(replace(OLD.password_hash, '$', '')) <> 5
        OR trim(OLD.password_hash, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=,$') <> '') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('accounts_password_is_hashed', 'password_hash is an argon2id hash');

CREATE TRIGGER roles_instants_are_valid BEFORE INSERT ON roles
    FOR EACH ROW WHEN (NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
    EXECUTE FUNCTION refuse_row('roles_instants_are_valid', 'an instant is of the years 1 to 9999');
CREATE TRIGGER roles_instants_are_valid_update BEFORE UPDATE OF created ON roles
    FOR EACH ROW WHEN ((NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z')
        AND (OLD.created < '0001-01-01T00:00:00Z' OR OLD.created >= '10000-01-01T00:00:00Z') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('roles_instants_are_valid', 'an instant is of the years 1 to 9999');

CREATE TRIGGER role_permissions_are_known BEFORE INSERT ON role_permissions
    FOR EACH ROW WHEN (NEW.permission NOT IN (
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
    EXECUTE FUNCTION refuse_row('role_permissions_are_known', 'the permission is one that JOC has');
CREATE TRIGGER role_permissions_are_known_update BEFORE UPDATE OF permission ON role_permissions
    FOR EACH ROW WHEN ((NEW.permission NOT IN (
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
            'sos:products:joc:reports:manage', 'sos:products:joc:reports:view')))
    EXECUTE FUNCTION refuse_row('role_permissions_are_known', 'the permission is one that JOC has');

CREATE TRIGGER role_folders_are_paths BEFORE INSERT ON role_folders
    FOR EACH ROW WHEN (length(NEW.folder) > 255 OR NEW.folder || '/' LIKE '%/./%' OR NEW.folder || '/' LIKE '%/../%')
    EXECUTE FUNCTION refuse_row('role_folders_are_paths', 'a folder has at most 255 characters, and no part of it is . or ..');
CREATE TRIGGER role_folders_are_paths_update BEFORE UPDATE OF folder ON role_folders
    FOR EACH ROW WHEN ((length(NEW.folder) > 255 OR NEW.folder || '/' LIKE '%/./%' OR NEW.folder || '/' LIKE '%/../%')
        AND (length(OLD.folder) > 255 OR OLD.folder || '/' LIKE '%/./%' OR OLD.folder || '/' LIKE '%/../%') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('role_folders_are_paths', 'a folder has at most 255 characters, and no part of it is . or ..');

CREATE TRIGGER sessions_instants_are_valid BEFORE INSERT ON sessions
    FOR EACH ROW WHEN (NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z'
        OR NEW.expires < '0001-01-01T00:00:00Z' OR NEW.expires >= '10000-01-01T00:00:00Z')
    EXECUTE FUNCTION refuse_row('sessions_instants_are_valid', 'an instant is of the years 1 to 9999');
CREATE TRIGGER sessions_instants_are_valid_update BEFORE UPDATE OF created, expires ON sessions
    FOR EACH ROW WHEN ((NEW.created < '0001-01-01T00:00:00Z' OR NEW.created >= '10000-01-01T00:00:00Z'
        OR NEW.expires < '0001-01-01T00:00:00Z' OR NEW.expires >= '10000-01-01T00:00:00Z')
        AND (OLD.created < '0001-01-01T00:00:00Z' OR OLD.created >= '10000-01-01T00:00:00Z'
        OR OLD.expires < '0001-01-01T00:00:00Z' OR OLD.expires >= '10000-01-01T00:00:00Z') IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('sessions_instants_are_valid', 'an instant is of the years 1 to 9999');

CREATE TRIGGER sessions_end_after_they_begin BEFORE INSERT ON sessions
    FOR EACH ROW WHEN (NEW.expires < NEW.created)
    EXECUTE FUNCTION refuse_row('sessions_end_after_they_begin', 'a session does not end before it begins');
CREATE TRIGGER sessions_end_after_they_begin_update BEFORE UPDATE OF created, expires ON sessions
    FOR EACH ROW WHEN ((NEW.expires < NEW.created)
        AND (OLD.expires < OLD.created) IS NOT TRUE)
    EXECUTE FUNCTION refuse_row('sessions_end_after_they_begin', 'a session does not end before it begins');

CREATE TRIGGER orders_started_is_never_fresh BEFORE UPDATE OF state ON orders
    FOR EACH ROW WHEN (NEW.state = 'FRESH' AND OLD.state NOT IN ('FRESH', 'FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_row('orders_started_is_never_fresh', 'an order that has started is never fresh again');
CREATE TRIGGER orders_id_is_kept BEFORE UPDATE OF controller_id, order_id ON orders
    FOR EACH ROW WHEN ((NEW.controller_id <> OLD.controller_id OR NEW.order_id <> OLD.order_id)
        AND OLD.state NOT IN ('FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_row('orders_id_is_kept', 'an order keeps its controller and its id');
