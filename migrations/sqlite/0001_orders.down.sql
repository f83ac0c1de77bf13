DROP VIEW orders_effective;
DROP VIEW clock;
DROP TABLE orders;
DROP TABLE workflows;
DROP TABLE controllers;
