//! `joc-orders copy` transfers everything unchanged, between any two databases, or nothing.

use chrono::{TimeDelta, Utc};
use joc_orders::store::{self, Capture};
use serde_json::json;

use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, Ran, Response, launch, quote, with_controller,
};

/// A database with a value in every column of every table, whose audit trail is sealed.
async fn full(kind: Kind) -> App {
    let app = App::today(kind, &[]).await;
    let due = Utc::now() + TimeDelta::hours(1);
    let mut orders: Vec<Order> = (0..1500).map(|i| Order::new(&format!("o{i:04}"))).collect();
    orders.iter_mut().for_each(|order| order.scheduled_for = Some(due));
    orders.extend([
        Order::new("ü'\"|日本|🎄").workflow("/O'Brien & \"Söhne\"/it's", "ß\\").never(),
        Order::new("running").state("RUNNING"),
        Order::new("first").at("0001-01-01T00:00:00.000Z"),
        Order::new("last").at("9999-12-31T23:59:59.999Z"),
        Order::new("marked").state("RUNNING").mark("SUSPENDING").killed(),
    ]);
    app.db.insert(&orders).await;
    app.db
        .execute(
            r#"UPDATE orders SET arguments = '{"b":[1,2.5,null,"\"x\""],"a":{"ü":true}}',
                position = '[0,"then",1]', priority = -2147483648, reason = 'FORKED',
                created = '1969-12-31T23:59:59.001Z', started = '2026-01-02T03:04:05.006Z',
                state_since = '1969-12-31T23:59:59.001Z',
                remove_when_terminated = TRUE WHERE order_id = 'running'"#,
        )
        .await
        .unwrap();
    let runs = "INSERT INTO order_runs VALUES
        ('prod', 'running', 1, 'a-1', '2026-01-02T03:04:05.006Z', NULL, '2026-01-02T03:04:05.007Z', NULL, 9, 'KILLED'),
        ('prod', 'running', 2, 'ü', '2026-01-02T03:04:06.000Z', '9999-12-31T23:59:59.999Z', NULL, NULL, NULL, NULL)";
    app.db.execute(runs).await.unwrap();
    let ids = |ids: &[&str]| {
        json!({"orderIds": ids, "auditLog": {"comment": "ein \"Grund\"\n\\ 日本",
        "timeSpent": 3, "ticketLink": ""}})
    };
    app.cancel(json!({"folders": [{"folder": "/sos"}], "states": ["SCHEDULED"]})).await.ok();
    app.cancel(ids(&["ü'\"|日本|🎄"])).await.ok();
    let mut kill = ids(&["running"]);
    kill["kill"] = json!(true);
    app.cancel(kill).await.ok();
    let add = json!({"orders": [{"workflowPath": "/sos/eod", "orderName": "new"}]});
    app.post("/orders/add", &with_controller(add)).await.ok();
    let request = app.client.post(format!("{}/orders/suspend", app.url));
    let request = request.header("X-Access-Token", &app.token).header("Idempotency-Key", "k '~");
    Response::of(request.json(&with_controller(ids(&["first"])))).await.ok();
    app.try_login("nobody", "wrong").await;
    app.account("billing", "sos:products:controller:orders", &[("/sos", false), ("/", true)]).await;
    app.store.set_disabled("billing", true).await.unwrap();
    app.store.revoke("all", "sos:products", "*").await.unwrap();
    app.store.grant("all", "sos:products", CONTROLLER).await.unwrap();
    app.store.grant("all", "sos:products", "*").await.unwrap();
    app.store.seal(Utc::now()).await.unwrap();
    store::set_capture(&app.db.owner, Capture::On { executors: true }).await.unwrap();
    app.db.execute("UPDATE orders SET priority = 1 WHERE order_id = 'running'").await.unwrap();
    store::set_capture(&app.db.owner, Capture::Off).await.unwrap();
    app
}

async fn copy(from: &str, to: &str) -> Ran {
    launch("", &["copy", "--from", from, "--to", to], "").await
}

/// Every copied table, with its columns.
async fn columns(db: &Database) -> Vec<(String, Vec<String>)> {
    let sql = match db.kind() {
        Kind::Sqlite => {
            "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c
            WHERE t.type = 'table' AND t.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
            AND t.name NOT LIKE 'sqlite%' AND t.name <> 'sessions' ORDER BY 1, 2"
        }
        Kind::Postgres => {
            "SELECT c.table_name, c.column_name FROM information_schema.columns c
            JOIN information_schema.tables t USING (table_schema, table_name)
            WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
            AND c.table_name NOT IN ('_sqlx_migrations', 'sessions')
            AND NOT EXISTS (SELECT 1 FROM pg_class p
                WHERE p.oid = to_regclass(quote_ident(c.table_name)) AND p.relispartition)
            ORDER BY 1, 2"
        }
    };
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for row in db.rows(sql).await.unwrap() {
        let (table, column) = (row[0].clone().unwrap(), row[1].clone().unwrap());
        match tables.last_mut() {
            Some((last, columns)) if *last == table => columns.push(column),
            _ => tables.push((table, vec![column])),
        }
    }
    tables
}

/// Every value of every table, normalised for both databases.
async fn contents(db: &Database) -> Vec<String> {
    let mut contents = Vec::new();
    for (table, columns) in columns(db).await {
        let sql = format!(
            "SELECT {} FROM {table}",
            columns
                .iter()
                .map(|c| match (db.kind(), &**c) {
                    (Kind::Sqlite, "digests") => "lower(hex(digests))".into(),
                    (Kind::Postgres, "digests") => "encode(digests, 'hex')".into(),
                    (
                        Kind::Postgres,
                        "suspended" | "kill" | "disabled" | "recursive" | "remove_when_terminated",
                    ) => format!("{c}::int"),
                    (
                        Kind::Postgres,
                        "scheduled_for" | "kill_requested" | "sigkill_at" | "created" | "modified"
                        | "started" | "state_since" | "history_at" | "lease_until" | "ended",
                    ) => format!(
                        "to_char({c} AT TIME ZONE 'UTC', {})",
                        quote("YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"")
                    ),
                    _ => (*c).clone(),
                })
                .collect::<Vec<_>>()
                .join(", ")
        );
        let mut rows: Vec<String> = db
            .rows(&sql)
            .await
            .unwrap()
            .into_iter()
            .map(|row| {
                let values =
                    columns.iter().zip(row).map(|(column, value)| match (&**column, value) {
                        // The two databases format JSON differently.
                        ("arguments" | "position" | "old_values" | "new_values", Some(text)) => {
                            serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string()
                        }
                        (_, value) => format!("{value:?}"),
                    });
                format!("{table}: {}", values.collect::<Vec<_>>().join(", "))
            })
            .collect();
        // archive/trouble.rs copies cuts.
        assert!(!rows.is_empty() || table == "audit_cuts", "{table}");
        rows.sort();
        contents.extend(rows);
    }
    contents
}

on_both! {
    async fn copies_everything_and_the_copy_takes_over(kind: Kind) {
        let app = full(kind).await;
        let before = contents(&app.db).await;
        for to in [Kind::Sqlite, Kind::Postgres] {
            let target = Database::create(to).await;
            let ran = copy(&app.db.owner, &target.owner).await;
            assert_eq!(ran.ok(), format!("copied: {} rows\n", before.len()));
            let mut after = contents(&target).await;
            // Only the entry of the copy is new.
            let copied = after.iter().position(|row| row.contains("joc-orders copy")).expect("an entry");
            let copied = after.remove(copied);
            let from = joc_orders::store::place(&app.db.url).unwrap();
            for part in ["os:", "IMPORT", "DONE", &from, r#"\"orders\":1506"#] {
                assert!(copied.contains(part), "no {part}: {copied}");
            }
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(before, after);
            }
            assert_eq!(before.len(), after.len());
            let verified = launch(&target.url, &["audit", "verify"], "").await;
            assert_eq!(verified.ok(), "");
            assert!(verified.stderr.contains("; 1 entry is not sealed"), "{verified:?}");
            assert_eq!(launch(&target.url, &["check"], "").await.ok(), "");

            // A target that is not empty is rejected.
            let again = copy(&app.db.owner, &target.owner).await;
            assert!(again.failed().contains("not empty"), "{again:?}");

            // The copy can take over from the source.
            let store = joc_orders::store::open(&target.url, 4, joc_orders::store::Access::Write).await.unwrap();
            store.remove_role("billing").await.unwrap();
            let last = target.count("SELECT max(id) FROM audit_logs").await;
            let entry = "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome,
                request_id) VALUES ('prod', 'x', './x', '{}', 'NO_ORDERS', 'r')";
            target.execute(entry).await.unwrap();
            assert_eq!(target.count("SELECT max(id) FROM audit_logs").await, last + 1);
            let highest = target.count("SELECT max(history_id) FROM orders").await;
            target.insert(&[Order::new("next")]).await;
            let next = "SELECT history_id FROM orders WHERE order_id = 'next'";
            assert_eq!(target.count(next).await, highest + 1);
            // One for prod, one for the entry of the copy.
            assert_eq!(store.seal(Utc::now()).await.unwrap(), 2);
            store.close().await;
            assert_eq!(launch(&target.url, &["audit", "verify"], "").await.ok(), "");
        }
        assert_eq!(contents(&app.db).await, before);
    }

    async fn copies_everything_or_nothing(kind: Kind) {
        let source = Database::create(Kind::Sqlite).await;
        source.insert(&[Order::new("a")]).await;
        // Rows that violate foreign keys.
        source.execute("PRAGMA foreign_keys = OFF; INSERT INTO account_roles VALUES ('nobody', 'all')").await.unwrap();
        let target = Database::create(kind).await;
        let ran = copy(&source.url, &target.owner).await;
        assert!(ran.failed().contains("nothing was copied"), "{ran:?}");
        assert_eq!(target.count("SELECT count(*) FROM orders").await, 0);
        assert_eq!(target.count("SELECT count(*) FROM role_permissions").await, 1);
        let gone = copy("sqlite:/no/such/file.db", &target.owner).await;
        assert!(gone.failed().contains("--from"), "{gone:?}");
        source.execute("DELETE FROM account_roles").await.unwrap();
        copy(&source.url, &target.owner).await.ok();
        assert_eq!(target.ids_in("FRESH").await, ["a"]);
    }
}
