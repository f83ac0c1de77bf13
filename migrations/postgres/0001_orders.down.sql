DROP VIEW orders_effective;
DROP FUNCTION effective_state(text, boolean, timestamptz, timestamptz);
DROP TABLE orders;
DROP TABLE workflows;
DROP TABLE controllers;
DROP FUNCTION refuse_change();
