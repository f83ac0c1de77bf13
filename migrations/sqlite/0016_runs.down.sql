DROP TABLE order_runs;
