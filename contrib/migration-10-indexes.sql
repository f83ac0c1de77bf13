-- The indexes of migration 10 on PostgreSQL, built while the older release serves. Run it before the upgrade, with
-- psql and outside a transaction, as the owner of the tables; the migration then takes an instant:
--
--     psql --set ON_ERROR_STOP=1 --file=migration-10-indexes.sql postgres://joc@db.example.com/joc
--
-- An open transaction delays a build; none blocks readers or writers. If one fails, drop its invalid index with
-- DROP INDEX CONCURRENTLY before you run this again; the migration also replaces it.

CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_request ON audit_logs (request_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_denied ON audit_logs (created) WHERE outcome = 'DENIED';
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_log_details_folder
    ON audit_log_details (controller_id, folder, created);
