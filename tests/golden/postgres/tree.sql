SELECT DISTINCT o.folder
FROM (SELECT w.*, w.path AS workflow_path FROM workflows w) o
WHERE o.controller_id = $1;
