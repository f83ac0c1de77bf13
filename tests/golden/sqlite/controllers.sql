SELECT controller_id FROM controllers ORDER BY controller_id;
