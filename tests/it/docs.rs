//! The statements of the documentation, taken from it and run over the example that it names,
//! after real calls.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::postgres::PgListener;

use crate::harness::{App, CONTROLLER, Database, Kind, Order};

const SCHEMA: &str = include_str!("../../docs/schema.md");
const EXECUTORS: &str = include_str!("../../docs/executors.md");
const INVOICES: &str = "#2026-11-23#P0000000498-invoices";
const TICKET: &str = "https://tickets.example.com/OPS-4711";

/// A block of SQL and the section that it is in.
#[derive(Debug)]
struct Block {
    section: String,
    /// The columns that the section lists.
    columns: Vec<String>,
    sql: String,
}

/// The blocks for a database in their order.
fn blocks(document: &str, kind: Kind) -> Vec<Block> {
    let name = if kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    let (mut blocks, mut section, mut columns) = (Vec::new(), String::new(), Vec::new());
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(fence) = line.strip_prefix("```") {
            let sql: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let (language, database) = fence.split_once(' ').unwrap_or((fence, name));
            assert!(language == "sql" && matches!(database, "sqlite" | "postgres"), "{fence}");
            if database == name {
                let (section, columns) = (section.clone(), columns.clone());
                blocks.push(Block { section, columns, sql: sql.join("\n") });
            }
        } else if line.starts_with('#') {
            section = line.trim_start_matches(['#', ' ']).to_owned();
            columns.clear();
        } else if line.starts_with("Columns: ") {
            let rest = lines.by_ref().take_while(|line| !line.is_empty());
            let list = [line].into_iter().chain(rest).collect::<String>();
            columns = list.split('`').skip(1).step_by(2).map(Into::into).collect();
        }
    }
    blocks
}

/// The one block of a section.
fn block(document: &str, kind: Kind, section: &str) -> Block {
    let mut found = blocks(document, kind);
    found.retain(|block| block.section == section);
    assert_eq!(found.len(), 1, "{section}");
    found.remove(0)
}

/// The rows of a query of docs/schema.md, of these columns, a flag being `t` or `f` on both.
async fn query(db: &Database, section: &str, columns: &str) -> Vec<String> {
    let block = block(SCHEMA, db.kind(), section);
    assert_eq!(db.columns(&block.sql).await.unwrap(), block.columns, "{section}");
    let rows = db.rows(&block.sql).await.unwrap();
    let at = |column: &str| block.columns.iter().position(|c| c == column).expect("a column");
    let value = |row: &[Option<String>], column: &str| {
        let value = row[at(column)].as_deref().unwrap_or("-");
        match (column, value) {
            ("kill", "0") => "f".to_owned(),
            ("kill", "1") => "t".to_owned(),
            _ => value.to_owned(),
        }
    };
    rows.iter()
        .map(|row| columns.split(' ').map(|c| value(row, c)).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The rows that a block of docs/executors.md returns, each in one text.
async fn execute(db: &Database, section: &str) -> Vec<String> {
    returned(db, &block(EXECUTORS, db.kind(), section)).await
}

async fn returned(db: &Database, block: &Block) -> Vec<String> {
    let rows = db.rows(&block.sql).await.unwrap_or_else(|e| panic!("{e}: {block:?}"));
    let text = |row: Vec<Option<String>>| {
        row.into_iter().map(|value| value.unwrap_or("-".into())).collect::<Vec<_>>().join(" ")
    };
    rows.into_iter().map(text).collect()
}

fn invoices() -> Order {
    let mut order = Order::new(INVOICES).workflow("/sos/billing/eod", "1");
    order.scheduled_for = Some(Utc::now() - TimeDelta::hours(1));
    order
}

async fn set(db: &Database, id: &str, change: &str) {
    let sql = format!("UPDATE orders SET {change} WHERE order_id = '{id}'");
    assert_eq!(db.execute(&sql).await.unwrap(), 1);
}

on_both! {
    async fn queries_of_the_audit_trail(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db
            .insert(&[
                invoices(),
                Order::new("running").workflow("/sos/billing/eod", "1").state("RUNNING"),
                Order::new("fork").workflow("/sos/reporting/daily", "1").state("WAITING"),
                Order::new("fork|east").workflow("/sos/reporting/daily", "1").state("RUNNING"),
                Order::new("imported").state("INPROGRESS").mark("SUSPENDING"),
            ])
            .await;
        let why = json!({"comment": "billing is down", "timeSpent": 5, "ticketLink": TICKET});
        let cancel = json!({"orderIds": [INVOICES], "auditLog": why});
        let answer = app.cancel(cancel.clone()).await;
        assert_eq!(answer.affected(), 1);
        assert_eq!(answer.headers["x-audit-log-id"], "1");
        let request_id = answer.headers["x-request-id"].to_str().unwrap();
        let kill = json!({"comment": "stuck", "ticketLink": TICKET});
        let kill = json!({"orderIds": ["running"], "kill": true, "auditLog": kill});
        assert_eq!(app.cancel(kill).await.affected(), 1);
        assert_eq!(app.cancel(cancel).await.refused(), "No orders found.");
        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        let body = json!({"controllerId": CONTROLLER, "orderIds": ["fork"]}).to_string();
        assert_eq!(app.post_as(&viewer, "/orders/cancel", body).await.status, 403);
        assert_eq!(app.try_login("root", "wrong").await.status, 401);
        assert_eq!(app.cancel(json!({"orderIds": ["fork"], "deep": true})).await.affected(), 2);

        // What was longer ago than a query asks for.
        let ago = |days| (Utc::now() - TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let old = format!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, affected,
                request_id, created)
             VALUES ('prod', 'root', './old', '{{}}', 'DONE', 1, 'old', '{0}');
             INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
                workflow_version_id, folder, previous_state, new_state, created)
             SELECT 'prod', max(id), 'old', '/a', '1', '/', 'FRESH', 'CANCELLED', '{1}'
             FROM audit_logs", ago(8), ago(32));
        app.db.execute(&old).await.unwrap();

        let db = &app.db;
        let rows = query(db, "Who cancelled this order and why",
            "audit_log_id account comment time_spent ticket_link request previous_state new_state \
             mark kill via_parent client_address request_id").await;
        assert_eq!(rows, [format!("1 root billing is down 5 {TICKET} ./orders/cancel BLOCKED \
            CANCELLED - f - 127.0.0.1 {request_id}")]);

        let rows = query(db, "Everything one account did last week",
            "controller_id category outcome affected comment time_spent").await;
        assert_eq!(rows, [
            "prod CONTROLLER DONE 2 - -", "- IDENTITY DENIED 0 - -",
            "prod CONTROLLER NO_ORDERS 0 billing is down 5", "prod CONTROLLER DONE 1 stuck -",
            "prod CONTROLLER DONE 1 billing is down 5",
        ]);
        let rows = query(db, "Everything one account did last week", "created parameters").await;
        assert!(rows[4].contains(INVOICES) && !rows.concat().contains("wrong"), "{rows:?}");

        let rows = query(db, "A ticket's changes",
            "audit_log_id controller_id account comment order_id workflow_path workflow_version_id \
             previous_state new_state mark kill via_parent").await;
        assert_eq!(rows, [
            format!("1 prod root billing is down {INVOICES} /sos/billing/eod 1 BLOCKED CANCELLED - f -"),
            "2 prod root stuck running /sos/billing/eod 1 RUNNING RUNNING CANCELLING t -".into(),
        ]);

        let columns = "audit_log_id account comment ticket_link order_id workflow_path via_parent state_now";
        let rows = query(db, "Orders cancelled by kill", columns).await;
        assert_eq!(rows, [format!("2 root stuck {TICKET} running /sos/billing/eod - RUNNING")]);

        let rows = query(db, "Per-folder counts per day", "folder touched cancelled marked killed").await;
        assert_eq!(rows, ["/sos/billing 2 1 1 1", "/sos/reporting 2 0 2 0"]);
        let days = query(db, "Per-folder counts per day", "day").await;
        assert!(days[0].starts_with("20") && days[0].len() == 10, "{days:?}");

        let rows = query(db, "What one call changed",
            "order_id workflow_path workflow_version_id folder previous_state new_state mark kill \
             via_parent").await;
        assert_eq!(rows, [format!("{INVOICES} /sos/billing/eod 1 /sos/billing BLOCKED CANCELLED - f -")]);

        let rows = query(db, "Denied attempts",
            "controller_id account category client_address").await;
        assert_eq!(rows, ["- root IDENTITY 127.0.0.1", "prod viewer CONTROLLER 127.0.0.1"]);

        let mut rows = query(db, "Orders that are marked but still living",
            "order_id workflow_path effective_state mark account comment").await;
        rows.sort();
        assert_eq!(rows, [
            "fork /sos/reporting/daily WAITING CANCELLING root -",
            "fork|east /sos/reporting/daily RUNNING CANCELLING root -",
            "imported /sos/eod INPROGRESS SUSPENDING - -",
            "running /sos/billing/eod RUNNING CANCELLING root stuck",
        ]);

        // The killed job ends; an order goes with its history kept.
        set(db, "running", "state = 'CANCELLED', mark = NULL, kill_requested = NULL, sigkill_at = NULL").await;
        let rows = query(db, "Orders cancelled by kill", "order_id state_now").await;
        assert_eq!(rows, ["running CANCELLED"]);
        db.execute("DELETE FROM orders WHERE order_id = 'running'").await.unwrap();
        let rows = query(db, "Orders cancelled by kill", "order_id state_now").await;
        assert_eq!(rows, ["running -"]);

        // No query is left out above.
        assert_eq!(blocks(SCHEMA, kind).len(), 8);
    }

    async fn the_executors_page_from_top_to_bottom(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[invoices()]).await;
        let mut sections = Vec::new();
        for block in blocks(EXECUTORS, kind) {
            let rows = returned(&db, &block).await;
            let first = rows.first().map(String::as_str).unwrap_or_default();
            let section = block.section.as_str();
            match section {
                "1 Take due orders" => {
                    assert!(first.starts_with(&format!("{INVOICES} /sos/billing/eod 1 20")));
                    assert!(returned(&db, &block).await.is_empty(), "taken twice");
                }
                "2 Report a state" => assert!(["INPROGRESS f", "INPROGRESS 0"].contains(&first)),
                "The next job" | "Fork" => assert_eq!(rows, [INVOICES]),
                "PostgreSQL" | "SQLite" => {}
                _ => assert!(rows.is_empty(), "{section}: {rows:?}"),
            }
            sections.push(block.section);
        }
        assert!(sections.len() >= 8, "{sections:?}");
        assert_eq!(db.state(INVOICES).await, "WAITING");
        for child in ["east", "west"] {
            let id = format!("{INVOICES}|{child}");
            assert!(execute(&db, "Join").await.is_empty());
            assert_eq!(db.state(&id).await, "FRESH");
            set(&db, &id, "state = 'FINISHED'").await;
        }
        assert_eq!(execute(&db, "Join").await, [INVOICES]);
        assert!(execute(&db, "Join").await.is_empty());
        assert_eq!(db.state(INVOICES).await, "INPROGRESS");
    }

    async fn an_order_is_taken_once(kind: Kind) {
        let db = Database::create(kind).await;
        let due = |id: &str| Order { order_id: id.into(), ..invoices() };
        let ids: Vec<String> = (0..95).map(|i| format!("due {i:02}")).collect();
        let mut orders: Vec<Order> = ids.iter().map(|id| due(id)).collect();
        let mut later = due("later");
        later.scheduled_for = Some(Utc::now() + TimeDelta::hours(1));
        orders.extend([
            later,
            due("never").never(),
            due("suspended").suspended(),
            due("marked").mark("CANCELLING"),
            due("running").state("RUNNING"),
            due("finished").state("FINISHED"),
        ]);
        db.insert(&orders).await;
        let block = block(EXECUTORS, kind, "1 Take due orders");
        let executor = || async {
            let mut taken = Vec::new();
            loop {
                let rows = returned(&db, &block).await;
                assert!(rows.len() <= 10);
                if rows.is_empty() {
                    return taken;
                }
                taken.extend(rows);
            }
        };
        let (a, b, c) = tokio::join!(executor(), executor(), executor());
        let all = [a, b, c].concat();
        let distinct: BTreeSet<String> = all.iter().map(|row| row[..6].to_owned()).collect();
        assert_eq!((all.len(), distinct), (95, ids.into_iter().collect()));
        assert_eq!(db.ids_in("RUNNING").await.len(), 96);
    }

    async fn a_mark_is_honoured(kind: Kind) {
        let app = App::today(kind, &["--sigkill-after", "2"]).await;
        let db = &app.db;
        let id = INVOICES;
        let mut running = invoices().state("RUNNING");
        running.scheduled_for = None;
        db.insert(&[running]).await;
        let marks = async || execute(db, "3 Marks and kill requests").await;

        assert_eq!(app.cancel(json!({"orderIds": [id]})).await.affected(), 1);
        assert_eq!(db.state(id).await, "RUNNING+CANCELLING");
        assert!(marks().await.is_empty(), "its job is let end");
        assert!(execute(db, "The next job").await.is_empty());
        assert_eq!(app.cancel(json!({"orderIds": [id], "kill": true})).await.affected(), 1);
        let row = marks().await.concat();
        assert!(row.starts_with(&format!("{id} RUNNING CANCELLING 20")), "{row}");
        assert!(row.ends_with(" SIGTERM"), "{row}");
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let row = marks().await.concat();
        assert!(row.ends_with(" SIGKILL"), "{row}");
        let row = execute(db, "2 Report a state").await.concat();
        assert!(["CANCELLED f", "CANCELLED 0"].contains(&row.as_str()), "{row}");
        assert_eq!(db.state(id).await, "CANCELLED");
        assert!(marks().await.is_empty());
        assert!(execute(db, "2 Report a state").await.is_empty(), "too late");
        assert!(execute(db, "The next job").await.is_empty());
    }

    async fn each_mark_is_honoured(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[invoices().state("RUNNING")]).await;
        let report = block(EXECUTORS, kind, "2 Report a state");
        for (mark, reported, expected) in [
            ("NULL", "WAITING", "WAITING"),
            ("'RESUMING'", "INPROGRESS", "INPROGRESS"),
            ("'SUSPENDING'", "FAILED", "FAILED~"),
            ("NULL", "FAILED", "FAILED~"),
            ("'RESUMING'", "WAITING", "WAITING"),
            ("'SUSPENDING'", "FINISHED", "FINISHED"),
        ] {
            set(&db, INVOICES, &format!("mark = {mark}")).await;
            let sql = report.sql.replace("'INPROGRESS' AS", &format!("'{reported}' AS"));
            db.rows(&sql).await.unwrap();
            assert_eq!(db.state(INVOICES).await, expected, "{mark} {reported}");
        }
        db.execute("DELETE FROM orders").await.unwrap();
        db.insert(&[invoices().state("RUNNING").mark("CANCELLING")]).await;
        db.rows(&report.sql.replace("'INPROGRESS' AS", "'FINISHED' AS")).await.unwrap();
        assert_eq!(db.state(INVOICES).await, "CANCELLED");
    }

    async fn a_cancelled_parent_ends_with_its_last_descendant(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let (db, id) = (&app.db, INVOICES);
        let child = format!("{id}|east");
        let grandchild = format!("{child}|north");
        let of = |id: &str| Order { order_id: id.into(), ..invoices() };
        db.insert(&[of(id).state("WAITING"), of(&child).state("WAITING"),
            of(&grandchild).state("RUNNING"), of(&format!("{id}}}")).state("RUNNING")]).await;
        let settle = async || execute(db, "A cancelled parent").await;
        let answer = app.cancel(json!({"orderIds": [id], "deep": true})).await;
        assert_eq!(answer.affected(), 3);
        assert_eq!(db.state(id).await, "WAITING+CANCELLING");
        assert!(settle().await.is_empty());
        assert!(execute(db, "3 Marks and kill requests").await.is_empty());
        set(db, &grandchild, "state = 'FINISHED', mark = NULL").await;
        assert!(execute(db, "Join").await.is_empty(), "it is marked");
        let listed = execute(db, "3 Marks and kill requests").await;
        assert!(listed.len() == 1 && listed[0].ends_with("SETTLE"), "{listed:?}");
        assert_eq!(settle().await, std::slice::from_ref(&child));
        assert_eq!(settle().await, [id]);
        assert!(settle().await.is_empty());
        assert_eq!(db.ids_in("CANCELLED").await, [id, &child]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_woken_by_marks_only() {
    let app = App::with(
        Kind::Postgres,
        &[Order::new("fresh"), Order::new("a").state("RUNNING"), Order::new("b").state("RUNNING")],
    )
    .await;
    let blocks = blocks(EXECUTORS, Kind::Postgres);
    let channel = blocks.iter().find_map(|block| block.sql.strip_prefix("LISTEN ")).unwrap();
    let channel = channel.trim_end_matches(';');
    let mut listener = PgListener::connect(&app.db.url).await.unwrap();
    listener.listen(channel).await.unwrap();
    let soon = Duration::from_millis(500);

    assert_eq!(app.cancel(json!({"orderIds": ["fresh"]})).await.affected(), 1);
    assert!(tokio::time::timeout(soon, listener.recv()).await.is_err(), "nothing was marked");
    assert_eq!(app.cancel(json!({"orderIds": ["a", "b"]})).await.affected(), 2);
    let long = Duration::from_secs(20);
    let notification = tokio::time::timeout(long, listener.recv()).await.unwrap().unwrap();
    assert_eq!(notification.payload(), CONTROLLER);
    assert!(tokio::time::timeout(soon, listener.recv()).await.is_err(), "one of one transaction");
    app.preview(json!({"orderIds": ["a", "b"], "kill": true})).await;
    assert!(tokio::time::timeout(soon, listener.recv()).await.is_err(), "a preview marks nothing");
    assert_eq!(app.cancel(json!({"orderIds": ["a"], "kill": true})).await.affected(), 1);
    tokio::time::timeout(long, listener.recv()).await.unwrap().unwrap();
}
