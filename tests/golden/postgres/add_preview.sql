SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created
FROM unnest($1, $2, $3) r (a, b, c)
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.workflow_path = r.a
WHERE o.controller_id = $4
UNION ALL
SELECT r.a AS asked, o.workflow_path AS path, o.version_id, o.created
FROM unnest($5, $6, $7) r (a, b, c)
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.name = r.a
WHERE o.controller_id = $8
ORDER BY created DESC, version_id DESC;
