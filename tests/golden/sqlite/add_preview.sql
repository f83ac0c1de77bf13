SELECT r.role, p.permission AS "permission?", p.controller_id AS "controller_id?",
    f.folder AS "folder?", f.recursive AS "recursive?: bool"
FROM account_roles r
LEFT JOIN role_permissions p ON p.role = r.role
LEFT JOIN role_folders f ON f.role = r.role
WHERE r.account = ?1
ORDER BY r.role, p.permission, p.controller_id, f.folder;

SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created FROM (SELECT value ->> 0 AS a, value ->> 1 AS b, value ->> 2 AS c FROM json_each(?)) r JOIN (SELECT controller_id, path AS workflow_path, version_id, folder, name, created FROM workflows) o ON o.workflow_path = r.a WHERE o.controller_id = (SELECT ?) UNION ALL SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created FROM (SELECT value ->> 0 AS a, value ->> 1 AS b, value ->> 2 AS c FROM json_each(?)) r JOIN (SELECT controller_id, path AS workflow_path, version_id, folder, name, created FROM workflows) o ON o.name = r.a WHERE o.controller_id = (SELECT ?) ORDER BY created DESC, version_id DESC;
