SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM (SELECT value ->> 0 AS asked FROM json_each(?)) r
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.workflow_path = r.asked
WHERE o.controller_id = (SELECT ?)
UNION ALL
SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM (SELECT value ->> 0 AS asked FROM json_each(?)) r
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.name = r.asked
WHERE o.controller_id = (SELECT ?)
ORDER BY created DESC, version_id DESC;
