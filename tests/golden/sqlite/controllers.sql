/* SQLite */ SELECT c.controller_id FROM controllers c ORDER BY c.controller_id;
