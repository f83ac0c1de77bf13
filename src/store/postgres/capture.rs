//! Capture on PostgreSQL: triggers for each row that call a function of the tables' owner. Their
//! condition is all that they cost a service, which they recognise by the name of its application.

use serde::Deserialize;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres, Transaction};

use super::backend::{APPLICATION, connect};
use super::citus::distribution;
use super::one_by_one::SEQUENTIAL;
use super::steps::MIGRATOR;
use crate::store::capture::Capture;
use crate::store::schema::SchemaPart;
use crate::store::sql::Dialect;
use crate::store::sql::capture::{IS_CHILD, is_report, recorded, recorded_at_first};
use crate::store::tables::{ColumnType, TableColumn, list};
use crate::store::{Access, Error, Result, migrations};

/// How long to wait for the lock on a table, during which its users queue behind this.
const LOCK_TIMEOUT: &str = "3s";

/// Records a switch: its operation and values.
pub(super) const RECORD: &str = "INSERT INTO orders_changes (controller_id, operation, source,
         new_values, database_user, application, client_address, transaction_id)
     VALUES ('-', $1, 'SERVICE', $2::jsonb, session_user, current_setting('application_name'),
         host(inet_client_addr()), pg_current_xact_id()::text::bigint)";

/// Lets rows of an append-only table be deleted.
pub(super) fn unguard(table: &str) -> String {
    switch(table, "DISABLE")
}

/// Ends what [`unguard`] began.
pub(super) fn guard(table: &str) -> String {
    switch(table, "ENABLE")
}

/// Citus passes on to shards what concerns all triggers of a table, but not one by its name, and it
/// empties each partition by itself.
fn switch(table: &str, how: &str) -> String {
    format!(
        "DO $$
         DECLARE
             part regclass;
         BEGIN
             IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus') THEN
                 ALTER TABLE {table} {how} TRIGGER USER;
                 FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = '{table}'::regclass LOOP
                     EXECUTE format('ALTER TABLE %s {how} TRIGGER USER', part);
                 END LOOP;
             ELSE
                 ALTER TABLE {table} {how} TRIGGER {table}_append_only;
             END IF;
         END $$"
    )
}

/// Makes the connection's next changes of orders the program's own: its application's name does.
pub(super) fn own() -> String {
    String::new()
}

/// Removes every trigger of capture.
pub(super) const REMOVE: &str = "DROP TRIGGER IF EXISTS orders_capture_insert ON orders;
     DROP TRIGGER IF EXISTS orders_capture_update ON orders;
     DROP TRIGGER IF EXISTS orders_capture_delete ON orders;
     DROP TRIGGER IF EXISTS orders_capture_truncate ON orders;
     DROP FUNCTION IF EXISTS capture_orders();";

/// Connects to a database with this program's schema.
pub(super) async fn open(url: &str, access: Access) -> Result<PgConnection> {
    let mut connection = connect(url, access).await?;
    migrations::expect_all(&MIGRATOR, &mut connection).await?;
    Ok(connection)
}

/// Begins a transaction that excludes everyone else from a table. Fails unless the role owns the
/// tables of capture.
pub(super) async fn begin<'c>(
    connection: &'c mut PgConnection,
    table: &str,
) -> Result<Transaction<'c, Postgres>> {
    expect_owner(connection, &["orders", "orders_changes"], "capture").await?;
    if is_distributed(connection).await? {
        return Err(Error::Unusable(
            "the orders are distributed by Citus, whose servers cannot tell the service's changes \
             from others': there is no capture"
                .into(),
        ));
    }
    locked(connection, &[table], "ACCESS EXCLUSIVE").await
}

/// Begins a transaction that excludes other writers from these tables.
pub(super) async fn begin_alone<'c>(
    connection: &'c mut PgConnection,
    tables: &[&str],
) -> Result<Transaction<'c, Postgres>> {
    locked(connection, tables, "SHARE ROW EXCLUSIVE").await
}

/// Whether the tables are spread over servers.
pub(super) async fn is_distributed(connection: &mut PgConnection) -> Result<bool> {
    Ok(distribution(connection).await?.is_some())
}

/// Begins a transaction that writes.
pub(super) async fn begin_among(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>> {
    Ok(connection.begin().await?)
}

/// Fails unless the role owns these tables.
pub(super) async fn expect_owner(
    connection: &mut PgConnection,
    tables: &[&str],
    purpose: &str,
) -> Result<()> {
    let stranger: Option<(String, String)> = sqlx::query_as(
        "SELECT current_user::text, pg_get_userbyid(c.relowner)::text
         FROM unnest($1::text[]) t JOIN pg_class c ON c.oid = to_regclass(t)
         WHERE NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1",
    )
    .bind(tables)
    .fetch_optional(&mut *connection)
    .await?;
    match stranger {
        Some((role, owner)) => Err(Error::Unusable(format!(
            "the role {role} does not own the tables, which {purpose} needs: run this as {owner}"
        ))),
        None => Ok(()),
    }
}

async fn locked<'c>(
    connection: &'c mut PgConnection,
    tables: &[&str],
    mode: &str,
) -> Result<Transaction<'c, Postgres>> {
    let mut transaction = connection.begin().await?;
    let tables = tables.join(", ");
    let lock = format!(
        "{SEQUENTIAL}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; LOCK TABLE {tables} IN {mode} MODE"
    );
    match sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *transaction).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
            Err(Error::Blocked(format!(
                "other sessions have held locks on {tables} for {LOCK_TIMEOUT}; nothing has \
                 changed: try again"
            )))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(transaction),
    }
}

/// The statements that create the triggers.
pub(super) fn create(executors: bool) -> String {
    let arguments = if executors { "'executors'" } else { "" };
    let mut sql = function();
    for (operation, level) in
        [("INSERT", "ROW"), ("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")]
    {
        let when = if operation == "TRUNCATE" { "BEFORE" } else { "AFTER" };
        sql += &format!(
            "CREATE TRIGGER orders_capture_{} {when} {operation} ON orders FOR EACH {level}
                 WHEN (current_setting('application_name') <> '{APPLICATION}')
                 EXECUTE FUNCTION capture_orders({arguments});\n",
            operation.to_lowercase()
        );
    }
    sql
}

/// The function that records a change. It belongs to the owner of `orders_changes`, so nobody else
/// needs a right on that table. A migration may have made it for another owner than `orders` has.
fn function() -> String {
    let values = |columns: &mut dyn Iterator<Item = &'static TableColumn>, row: &str| {
        list(columns, |column| {
            let name = column.name;
            match column.holds {
                ColumnType::Instant => {
                    format!("'{name}', {}", Postgres::iso(&format!("{row}.{name}")))
                }
                _ => format!("'{name}', {row}.{name}"),
            }
        })
    };
    let same = |column: &str| format!("NEW.{column} IS NOT DISTINCT FROM OLD.{column}");
    format!(
        "CREATE OR REPLACE FUNCTION capture_orders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $capture$
DECLARE
    is_executor boolean := false;
    was jsonb;
    becomes jsonb;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO orders_changes (controller_id, operation, source, old_values,
            database_user, application, client_address, transaction_id)
        SELECT controller_id, 'TRUNCATE', 'SQL', jsonb_build_object('orders', count(*)),
            session_user, current_setting('application_name'), host(inet_client_addr()),
            pg_current_xact_id()::text::bigint
        FROM orders GROUP BY controller_id;
        RETURN NULL;
    END IF;
    IF current_setting('application_name') LIKE 'joc-executor%' THEN
        IF TG_OP = 'UPDATE' THEN
            is_executor := coalesce({report}, false);
        ELSIF TG_OP = 'INSERT' THEN
            is_executor := {IS_CHILD};
        END IF;
        IF is_executor AND TG_NARGS = 0 THEN
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP = 'INSERT' THEN
        becomes := jsonb_build_object({inserted});
    ELSE
        was := jsonb_build_object({old});
    END IF;
    IF TG_OP = 'UPDATE' THEN
        becomes := jsonb_build_object({new});
        SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, n.value)
        INTO was, becomes
        FROM jsonb_each(was) o JOIN jsonb_each(becomes) n ON n.key = o.key
        WHERE n.value::text <> o.value::text;
        IF was IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO orders_changes (controller_id, order_id, operation, source, old_values, new_values,
        database_user, application, client_address, transaction_id)
    VALUES (
        CASE TG_OP WHEN 'INSERT' THEN NEW.controller_id ELSE OLD.controller_id END,
        CASE TG_OP WHEN 'INSERT' THEN NEW.order_id ELSE OLD.order_id END,
        TG_OP, CASE WHEN is_executor THEN 'EXECUTOR' ELSE 'SQL' END, was, becomes,
        session_user, current_setting('application_name'), host(inet_client_addr()),
        pg_current_xact_id()::text::bigint);
    RETURN NULL;
END $capture$;
DO $$ DECLARE
    place text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'orders'::regclass);
    owner text := (SELECT relowner::regrole FROM pg_class WHERE oid = 'orders_changes'::regclass);
BEGIN
    EXECUTE format('ALTER FUNCTION capture_orders() SET search_path = pg_catalog, %s, pg_temp', place);
    EXECUTE format('ALTER FUNCTION capture_orders() OWNER TO %s', owner);
END $$;
",
        report = is_report(same, "statement_timestamp()::timestamptz(3)"),
        inserted = values(&mut recorded_at_first(), "NEW"),
        old = values(&mut recorded(), "OLD"),
        new = values(&mut recorded(), "NEW"),
    )
}

/// The parts of the schema that capture has, as the database reports them.
pub(super) fn parts(capture: Capture) -> Result<Vec<SchemaPart>> {
    #[derive(Deserialize)]
    struct Listed(Vec<SchemaPart>);
    let Capture::On { executors } = capture else { return Ok(Vec::new()) };
    let Listed(mut parts) = serde_json::from_str(include_str!("capture.json"))
        .map_err(|error| Error::Data(format!("capture.json: {error}")))?;
    if executors {
        for part in parts.iter_mut().filter(|part| part.kind == "trigger") {
            part.definition =
                part.definition.replace("capture_orders()", "capture_orders('executors')");
        }
    }
    Ok(parts)
}
