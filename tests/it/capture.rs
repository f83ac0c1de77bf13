//! `joc-orders capture`: changes of orders by plain SQL are recorded, the service's are not, and
//! executors' reports are told apart.

use joc_orders::store;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};

use crate::harness::{App, Database, Kind, Order, launch, with_controller};

mod executors;

/// What was recorded, without what the service recorded of itself: operation, order, old and new
/// values, source.
async fn recorded(db: &Database) -> Vec<String> {
    let sql = "SELECT operation, coalesce(order_id, '-'), coalesce(CAST(old_values AS TEXT), '-'),
        coalesce(CAST(new_values AS TEXT), '-'), source
        FROM orders_changes WHERE source <> 'SERVICE' ORDER BY id";
    let rows = db.rows(sql).await.unwrap();
    let text = |row: Vec<Option<String>>| {
        let row: Vec<_> = row.into_iter().map(Option::unwrap).collect();
        // PostgreSQL writes its JSON with blanks.
        row.join(" ").replace("\": ", "\":").replace(", \"", ",\"")
    };
    rows.into_iter().map(text).collect()
}

async fn capture(db: &Database, args: &[&str]) -> String {
    launch(&db.owner, &[&["capture"], args].concat(), "").await.ok().to_owned()
}

async fn check_strict(db: &Database) -> Vec<String> {
    let ran = launch(&db.url, &["check", "--strict"], "").await;
    ran.stdout.lines().map(Into::into).collect()
}

/// Runs statements on a connection of its own with this application name.
async fn execute_as(db: &Database, application: &str, sql: &str) {
    match db.kind() {
        Kind::Sqlite => drop(db.execute(sql).await.unwrap()),
        Kind::Postgres => {
            let options: sqlx::postgres::PgConnectOptions = db.owner.parse().unwrap();
            let options = options.application_name(application);
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

async fn post(app: &App, call: &str, body: Value) {
    app.post(call, &with_controller(body)).await.ok();
}

on_both! {
    async fn records_plain_sql(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        db.insert(&["a", "b", "c", "d", "it's \u{e4}\u{1f600}"].map(Order::new)).await;
        assert_eq!(capture(db, &["status"]).await, "capture is off\n");
        db.execute("UPDATE orders SET priority = 1 WHERE order_id = 'd'").await.unwrap();
        assert_eq!(capture(db, &["on"]).await, "capture is on, without executors' reports\n");
        assert_eq!(capture(db, &["on"]).await, "capture is already on, without executors' reports\n");
        assert_eq!(recorded(db).await, [""; 0]);

        db.execute("UPDATE orders SET state = 'CANCELLED' WHERE order_id IN ('a', 'b')").await.unwrap();
        db.execute("UPDATE orders SET arguments = '{\"x\": \"it''s \\\"\u{e4}\"}', suspended = TRUE,
            scheduled_for = '2030-01-02T03:04:05.600Z' WHERE order_id LIKE 'it%'").await.unwrap();
        // Nothing changes.
        db.execute("UPDATE orders SET priority = 1 WHERE order_id = 'd'").await.unwrap();
        db.execute("DELETE FROM orders WHERE order_id = 'c'").await.unwrap();
        db.insert(&[Order::new("new")]).await;
        let recorded_rows = recorded(db).await;
        let state = r#"{"state":"FRESH"} {"state":"CANCELLED"} SQL"#;
        assert_eq!(recorded_rows[..2], [format!("UPDATE a {state}"), format!("UPDATE b {state}")]);
        for part in [r#""arguments":{"x":"it's \"ä"}"#, r#""suspended":true"#,
            r#""scheduled_for":"2030-01-02T03:04:05.600Z""#, r#""suspended":false"#,
            "UPDATE it's \u{e4}\u{1f600} {"] {
            assert!(recorded_rows[2].contains(part), "{part}: {}", recorded_rows[2]);
        }
        assert!(recorded_rows[3].starts_with("DELETE c {"), "{recorded_rows:?}");
        for part in [r#""state":"FRESH""#, r#""remove_when_terminated":false"#,
            r#""workflow_path":"/sos/eod""#, r#""history_id":"#, r#""arguments":{}"#,
            r#""mark":null"#] {
            assert!(recorded_rows[3].contains(part), "{part}: {}", recorded_rows[3]);
        }
        assert!(recorded_rows[4].starts_with("INSERT new - {"), "{recorded_rows:?}");
        assert_eq!(recorded_rows.len(), 5, "{recorded_rows:?}");

        let status = capture(db, &["status"]).await;
        assert!(status.starts_with("capture is on, without executors' reports, since 20"), "{status}");
        assert!(status.contains("\nSQL: 5 changes from 20"), "{status}");
        for sql in ["UPDATE orders_changes SET source = 'EXECUTOR'", "DELETE FROM orders_changes"] {
            let error = db.execute(sql).await.unwrap_err().to_string();
            assert!(error.contains("orders_changes is append-only"), "{error}");
        }

        assert_eq!(capture(db, &["off"]).await, "capture is off\n");
        assert_eq!(capture(db, &["off"]).await, "capture is already off\n");
        db.execute("DELETE FROM orders WHERE order_id = 'd'").await.unwrap();
        assert_eq!(recorded(db).await.len(), 5);
        let switches = db.rows("SELECT operation FROM orders_changes WHERE source = 'SERVICE' ORDER BY id");
        let switches: Vec<_> = switches.await.unwrap().concat().into_iter().flatten().collect();
        assert_eq!(switches, ["CAPTURE_ON", "CAPTURE_OFF"]);
    }

    // JSON keeps the digits of a number.
    async fn records_another_number_of_digits(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        db.execute("UPDATE orders SET arguments = '{\"n\": 1.0}'").await.unwrap();
        capture(&db, &["on"]).await;
        db.execute("UPDATE orders SET arguments = '{\"n\": 1.00}'").await.unwrap();
        let change = r#"UPDATE a {"arguments":{"n":1.0}} {"arguments":{"n":1.00}} SQL"#;
        assert_eq!(recorded(&db).await, [change]);
    }

    async fn records_a_big_update_completely(kind: Kind) {
        let db = Database::create(kind).await;
        let orders: Vec<_> = (0..3000).map(|i| Order::new(&format!("{i}"))).collect();
        db.insert(&orders).await;
        capture(&db, &["on"]).await;
        db.execute("UPDATE orders SET priority = 7").await.unwrap();
        let sql = "SELECT count(DISTINCT order_id) FROM orders_changes
            WHERE CAST(new_values ->> 'priority' AS INTEGER) = 7 AND source = 'SQL'";
        assert_eq!(db.count(sql).await, 3000);
    }

    async fn records_nothing_that_the_program_does(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        capture(db, &["on"]).await;
        let line = |id: &str, state: &str| json!({"controllerId": "prod", "order": {
            "orderId": id, "workflowId": {"path": "/sos/eod", "versionId": "1"},
            "state": {"_text": state}}}).to_string();
        let ids = ["f1", "f2", "f3", "f4"];
        let lines: Vec<_> = ids.iter().map(|id| line(id, "SCHEDULED"))
            .chain([line("r1", "RUNNING"), line("x1", "FAILED"), line("p1", "PROMPTING")]).collect();
        launch(&db.url, &["import"], lines.join("\n")).await.ok();
        launch(&db.url, &["import", "--replace"], line("f4", "SUSPENDED")).await.ok();
        post(&app, "/orders/add", json!({"orders": [
            {"workflowPath": "/sos/eod", "orderName": "one"},
            {"workflowPath": "/sos/eod", "orderName": "two", "scheduledFor": "now"}]})).await;
        post(&app, "/orders/cancel", json!({"orderIds": ["f1"]})).await;
        post(&app, "/orders/cancel", json!({"orderIds": ["f2"], "maxOrders": 1})).await;
        post(&app, "/orders/suspend", json!({"orderIds": ["f3"]})).await;
        post(&app, "/orders/resume", json!({"orderIds": ["f3", "x1"]})).await;
        post(&app, "/orders/confirm", json!({"orderIds": ["p1"]})).await;
        post(&app, "/orders/change", json!({"orderIds": ["f3"], "priority": 5})).await;
        post(&app, "/orders/remove_when_terminated", json!({"orderIds": ["f1"]})).await;
        post(&app, "/orders/cancel", json!({"orderIds": ["r1"], "kill": true})).await;
        // Several at once share a transaction on SQLite.
        let cancel = |id: &'static str| app.cancel(json!({"orderIds": [id]}));
        let (_, _) = tokio::join!(cancel("f3"), cancel("f4"));
        assert_eq!(recorded(db).await, [""; 0]);
        assert!(db.count("SELECT count(*) FROM audit_log_details").await > 8);
    }

    async fn a_strict_check_reports_what_was_captured(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        db.insert(&["a", "b", "c", "d"].map(|id| Order { created: None, ..Order::new(id) })).await;
        let now = db.now();
        let changes = format!("UPDATE orders SET state = 'CANCELLED', state_since = {now}, modified = {now}
            WHERE order_id = 'a';
            UPDATE orders SET suspended = TRUE, state_since = {now}, modified = {now} WHERE order_id = 'b';
            UPDATE orders SET priority = 3, modified = {now} WHERE order_id = 'c'");
        capture(db, &["on"]).await;
        assert_eq!(check_strict(db).await, [""; 0]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        execute_as(db, "psql", &changes).await;
        let ran = launch(&db.url, &["check"], "").await;
        assert_eq!((ran.code, &*ran.stdout), (Some(0), ""));
        assert!(ran.stderr.contains("capture of plain SQL: on, without executors' reports"), "{ran:?}");
        let findings = check_strict(db).await;
        let who = match kind {
            Kind::Sqlite => "",
            Kind::Postgres => " by database user",
        };
        for (order, what) in [("a", "state FRESH -> CANCELLED"), ("b", "suspended false -> true"),
            ("c", "priority 0 -> 3")] {
            let found: Vec<_> = findings.iter()
                .filter(|line| line.starts_with(&format!("prod, order {order}: "))).collect();
            assert_eq!(found.len(), 1, "{findings:?}");
            assert!(found[0].starts_with(&format!("prod, order {order}: changed by plain SQL at 20")));
            assert!(found[0].contains(who) && found[0].ends_with(&format!(": {what}")), "{found:?}");
        }
        assert_eq!(findings.len(), 3, "{findings:?}");

        // Pruned changes explain nothing any more.
        let pruned = capture(db, &["prune", "--before", "9000-01-01"]).await;
        assert_eq!(pruned, "deleted: 3 captured changes\n");
        assert_eq!(recorded(db).await, [""; 0]);
        assert!(check_strict(db).await.contains(&"prod, order a: no entry says who cancelled it".into()));
        let error = db.execute("DELETE FROM orders_changes").await.unwrap_err().to_string();
        assert!(error.contains("orders_changes is append-only"), "{error}");
        assert_eq!(capture(db, &["prune", "--before", "2020-01-01T00:00:00Z"]).await,
            "deleted: 0 captured changes\n");
        let wrong = launch(&db.owner, &["capture", "prune", "--before", "yesterday"], "").await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains("expected a date"), "{wrong:?}");
    }

    async fn check_reports_missing_and_changed_triggers(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        for mode in [&["on"][..], &["on", "--executors"]] {
            capture(db, mode).await;
            assert_eq!(check_strict(db).await, [""; 0]);
        }
        let drop = match kind {
            Kind::Sqlite => "DROP TRIGGER orders_capture_delete",
            Kind::Postgres => "ALTER TABLE orders DISABLE TRIGGER orders_capture_delete",
        };
        db.execute(drop).await.unwrap();
        let ran = launch(&db.url, &["check"], "").await;
        let how = if kind == Kind::Sqlite { "missing" } else { "disabled" };
        assert_eq!((ran.code, ran.stdout), (Some(8), format!("the trigger orders_capture_delete is {how}\n")));
        let status = launch(&db.url, &["capture", "status"], "").await;
        assert_eq!(status.code, Some(8), "{status:?}");
        assert!(status.stderr.contains("the trigger orders_capture_delete is"), "{status:?}");
        let sql = match kind {
            Kind::Sqlite => "DROP TRIGGER orders_capture_update; CREATE TRIGGER orders_capture_update
                AFTER UPDATE ON orders WHEN FALSE BEGIN SELECT 1; END",
            Kind::Postgres => "DROP TRIGGER orders_capture_update ON orders; CREATE TRIGGER
                orders_capture_update AFTER UPDATE ON orders FOR EACH ROW WHEN (false)
                EXECUTE FUNCTION capture_orders('executors')",
        };
        db.execute(sql).await.unwrap();
        let found = check_strict(db).await;
        assert!(found.contains(&"the trigger orders_capture_update differs from the migrations".into()), "{found:?}");
        assert_eq!(capture(db, &["on", "--executors"]).await, "capture is on, with executors' reports\n");
        assert_eq!(check_strict(db).await, [""; 0]);

        // Triggers that nobody has switched on.
        capture(db, &["off"]).await;
        let sql = match kind {
            Kind::Sqlite => // The SELECT makes the connection read the schema anew.
                "SELECT 1 FROM orders; CREATE TRIGGER orders_capture_update AFTER UPDATE ON orders BEGIN SELECT 1; END",
            Kind::Postgres => "CREATE TRIGGER orders_capture_update AFTER UPDATE ON orders
                FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION refuse_change('x')",
        };
        db.execute(sql).await.unwrap();
        assert_eq!(check_strict(db).await, ["the trigger orders_capture_update on orders is not from the migrations"]);
    }

    async fn a_copy_takes_the_changes_and_has_capture_on(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[Order::new("a"), Order::new("b")]).await;
        capture(&app.db, &["on", "--executors"]).await;
        app.db.execute("UPDATE orders SET priority = 2 WHERE order_id = 'a'").await.unwrap();
        for other in [Kind::Sqlite, Kind::Postgres] {
            let target = Database::create(other).await;
            launch(&target.owner, &["copy", "--from", &app.db.url], "").await.ok();
            assert_eq!(recorded(&target).await, recorded(&app.db).await);
            let status = capture(&target, &["status"]).await;
            assert!(status.starts_with("capture is on, with executors' reports"), "{status}");
            target.execute("UPDATE orders SET priority = 3 WHERE order_id = 'b'").await.unwrap();
            let rows = recorded(&target).await;
            assert_eq!(rows[1], r#"UPDATE b {"priority":0} {"priority":3} SQL"#);
            let again = launch(&target.owner, &["copy", "--from", &app.db.url], "").await;
            assert!(again.failed().contains("not empty"), "{again:?}");
        }
    }

    async fn undoing_the_migration_removes_capture(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        capture(&db, &["on"]).await;
        db.execute("UPDATE orders SET priority = 2").await.unwrap();
        let ran = launch(&db.owner, &["migrate", "--to", "8", "--yes"], "").await;
        assert!(ran.stderr.contains("undoing migration 11 loses 2 captured changes"), "{ran:?}");
        ran.ok();
        db.execute("UPDATE orders SET priority = 3").await.unwrap();
        store::migrate(&db.owner, None).await.unwrap();
        assert_eq!(capture(&db, &["status"]).await, "capture is off\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_records_who_and_truncate() {
    if crate::citus::leaves_out("capture::postgres_records_who_and_truncate").await {
        return;
    }
    let app = App::today(Kind::Postgres, &[]).await;
    let db = &app.db;
    db.insert(&[Order::new("a"), Order::new("b")]).await;
    capture(db, &["on"]).await;
    let hostile = format!("psql '\n\u{7}\u{202e}{}", "x".repeat(100));
    execute_as(db, &hostile, "UPDATE orders SET priority = 1 WHERE order_id = 'a'").await;
    execute_as(db, "psql", "TRUNCATE orders, order_runs").await;
    let rows = db
        .rows(
            "SELECT database_user, application, operation, transaction_id IS NOT NULL,
                 coalesce(old_values ->> 'orders', '-')
             FROM orders_changes WHERE source = 'SQL' ORDER BY id",
        )
        .await
        .unwrap();
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.into_iter().map(Option::unwrap).collect()).collect();
    assert!(rows[0][1].starts_with("psql '") && rows[0][1].len() <= 63, "{rows:?}");
    assert_eq!(rows[1][1..], ["psql", "TRUNCATE", "t", "2"]);
    let findings = check_strict(db).await;
    assert_eq!(findings.len(), 2, "{findings:?}");
    let ends = "(application psql";
    assert!(findings[1].starts_with("prod: all orders removed by plain SQL at "), "{findings:?}");
    assert!(findings[1].contains(ends) && findings[1].ends_with(": orders 2"), "{findings:?}");
    let error = db.execute("TRUNCATE orders_changes").await.unwrap_err().to_string();
    assert!(error.contains("orders_changes is append-only"), "{error}");
}

/// Services go on while many changes are deleted.
#[tokio::test(flavor = "multi_thread")]
async fn pruning_locks_no_orders() {
    let db = Database::create(Kind::Postgres).await;
    let options: sqlx::postgres::PgConnectOptions = db.url.parse().unwrap();
    let mut service = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN; UPDATE orders SET priority = 1").execute(&mut service).await.unwrap();
    capture(&db, &["prune", "--before", "2030-01-01"]).await;
    service.close().await.unwrap();
}

/// A migration makes the table for whoever runs it, until docs/roles.sql runs again.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_owner_takes_changes() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&[Order::new("a")]).await;
    db.execute("ALTER TABLE orders_changes OWNER TO postgres").await.unwrap();
    capture(&db, &["on"]).await;
    db.execute("UPDATE orders SET priority = 1").await.unwrap();
    assert_eq!(recorded(&db).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_capture_needs_the_owner_and_sees_every_role() {
    let app = App::today(Kind::Postgres, &[]).await;
    let db = &app.db;
    db.insert(&[Order::new("a")]).await;
    let name = db.owner.rsplit_once('/').unwrap().1;
    let role = format!("clerk_{name}");
    db.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT, UPDATE ON orders TO {role};
         GRANT SELECT ON orders_changes, _sqlx_migrations TO {role}"
    ))
    .await
    .unwrap();
    let (scheme, rest) = db.owner.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let url = format!("{scheme}://{role}@{host}");
    for args in [&["on"][..], &["off"], &["prune", "--before", "2030-01-01"]] {
        let ran = launch(&url, &[&["capture"], args].concat(), "").await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let told =
            format!("the role {role} does not own the tables, which capture needs: run this as ");
        assert!(ran.failed().contains(&told), "{ran:?}");
    }
    capture(db, &["on"]).await;
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql("UPDATE orders SET priority = 1").execute(&mut connection).await.unwrap();
    let forged = sqlx::raw_sql(
        "INSERT INTO orders_changes (controller_id, operation, source) VALUES ('prod', 'UPDATE', 'SQL')",
    );
    assert!(forged.execute(&mut connection).await.is_err());
    connection.close().await.unwrap();
    let rows =
        db.rows("SELECT database_user FROM orders_changes WHERE source = 'SQL'").await.unwrap();
    assert_eq!(rows, [[Some(role.clone())]]);
    let status = launch(&url, &["capture", "status"], "").await;
    assert!(status.ok().starts_with("capture is on"), "{status:?}");
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

/// `check` compares the triggers on PostgreSQL with a list that is part of the program. With
/// `UPDATE_SCHEMA=1` this test writes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_the_schema_has_the_triggers_of_capture() {
    let db = Database::create(Kind::Postgres).await;
    let before = store::schema(&db.owner).await.unwrap();
    store::set_capture(&db.owner, store::Capture::On { executors: false }).await.unwrap();
    let after = store::schema(&db.owner).await.unwrap();
    let lines: Vec<String> = after
        .iter()
        .filter(|part| !before.contains(part))
        .map(|part| format!("  {}", json!(part)))
        .collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/postgres/capture.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        text,
        "UPDATE_SCHEMA=1 writes the list anew"
    );
}
