//! The schema as used by the sqlite3 shell, and its text form of instants.

use std::process::Command;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::harness::{Database, Kind, launch_command};

use super::{WORLD, files};

/// A connection with the sqlite3 shell's settings.
async fn shell(db: &Database) -> SqliteConnection {
    let options: SqliteConnectOptions = db.url.parse().unwrap();
    options.foreign_keys(false).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_are_checked_even_without_foreign_keys() {
    let db = Database::create(Kind::Sqlite).await;
    db.execute(WORLD).await.unwrap();
    let mut shell = shell(&db).await;
    for or in ["", "OR IGNORE ", "OR REPLACE "] {
        for (sql, table) in [
            ("workflows (controller_id, path, version_id) VALUES ('x', '/a', '1')", "workflow"),
            (
                "orders (controller_id, order_id, workflow_path, workflow_version_id)
                 VALUES ('prod', 'a', '/sos/eod', '2')",
                "order",
            ),
        ] {
            let sql = format!("INSERT {or}INTO {sql}");
            let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut shell).await.unwrap_err();
            let message =
                format!("of {} {table} must be in", if table == "order" { "an" } else { "a" });
            assert!(error.to_string().contains(&message), "{error}");
        }
    }
    let right = "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
        VALUES ('prod', 'a', '/sos/eod', '1')";
    sqlx::raw_sql(right).execute(&mut shell).await.unwrap();
}

/// The shell is often older than the library: in SQLite 3.40, `json_valid(NULL)` is 0.
#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite3_shell_creates_the_schema_and_writes_orders() {
    let mut sql: String = files(Kind::Sqlite, false)
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap() + "\n")
        .collect();
    sql += WORLD;
    sql += "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
            VALUES ('prod', 'a', '/sos/eod', '1');
            UPDATE orders SET position = '[0]', reason = 'FORKED', state = 'WAITING';
            SELECT effective_state FROM orders_effective;";
    let mut shell = Command::new("sqlite3");
    shell.args(["-bail", ":memory:"]);
    assert_eq!(
        launch_command(shell, sql).await.ok(),
        "WAITING
"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_accepts_every_millisecond() {
    let db = Database::create(Kind::Sqlite).await;
    db.execute(WORLD).await.unwrap();
    for second in
        ["0001-01-01T00:00:00", "1970-01-01T00:00:00", "2026-11-23T12:34:59", "9999-12-31T23:59:59"]
    {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id,
             scheduled_for) SELECT 'prod', '{second}' || i, '/sos/eod', '1',
             '{second}.' || printf('%03d', i) || 'Z' FROM n"
        );
        assert_eq!(db.execute(&sql).await.unwrap(), 1000);
    }
}
