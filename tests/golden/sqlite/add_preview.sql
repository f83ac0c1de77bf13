SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created
FROM (SELECT value ->> 0 AS a, value ->> 1 AS b, value ->> 2 AS c FROM json_each(?)) r
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.workflow_path = r.a
WHERE o.controller_id = (SELECT ?)
UNION ALL
SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created
FROM (SELECT value ->> 0 AS a, value ->> 1 AS b, value ->> 2 AS c FROM json_each(?)) r
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.name = r.a
WHERE o.controller_id = (SELECT ?)
ORDER BY created DESC, version_id DESC;
