SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM unnest($1) r (asked)
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.workflow_path = r.asked
WHERE o.controller_id = $2
UNION ALL
SELECT r.asked, o.workflow_path AS path, o.version_id, o.created
FROM unnest($3) r (asked)
JOIN (
    SELECT controller_id, path AS workflow_path, version_id, folder, name, created
    FROM workflows
) o ON o.name = r.asked
WHERE o.controller_id = $4
ORDER BY created DESC, version_id DESC;
