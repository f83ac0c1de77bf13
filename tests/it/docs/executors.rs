//! The statements of docs/executors.md.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::postgres::PgListener;

use super::{Block, INVOICES, block, blocks, invoices, set};
use crate::harness::{App, CONTROLLER, Database, Kind, Order};

pub const EXECUTORS: &str = include_str!("../../../docs/executors.md");

/// The rows that a block of docs/executors.md returns, each as one text.
async fn execute(db: &Database, section: &str) -> Vec<String> {
    returned(db, &block(EXECUTORS, db.kind(), section)).await
}

async fn returned(db: &Database, block: &Block) -> Vec<String> {
    let executor = db.login("executor").await;
    let rows = executor.rows(&block.sql).await.unwrap_or_else(|e| panic!("{e}: {block:?}"));
    let text = |row: Vec<Option<String>>| {
        row.into_iter().map(|value| value.unwrap_or("-".into())).collect::<Vec<_>>().join(" ")
    };
    rows.into_iter().map(text).collect()
}

on_both! {
    async fn the_executors_page_works_from_top_to_bottom(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[invoices()]).await;
        set(&db, INVOICES, "priority = 9, arguments = '{\"a\": 1}'").await;
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
        let sql = "SELECT order_id, reason, priority, arguments FROM orders \
                   WHERE started IS NOT NULL OR priority = 9 ORDER BY order_id";
        let rows = db.rows(sql).await.unwrap();
        let ids = ["", "|east", "|west"].map(|child| Some(format!("{INVOICES}{child}")));
        assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), ids);
        assert_eq!(rows[0][1].as_deref(), Some("FORKED"));
        assert!(rows.iter().all(|row| row[2..] == rows[0][2..] && row[2].as_deref() == Some("9")));
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
            ("'RESUMING', suspended = TRUE", "INPROGRESS", "INPROGRESS"),
            ("'SUSPENDING'", "FAILED", "FAILED~"),
            ("NULL", "FAILED", "FAILED~"),
            ("'RESUMING', suspended = TRUE", "WAITING", "WAITING"),
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

    async fn takes_urgent_orders_first(kind: Kind) {
        let db = Database::create(kind).await;
        let due = |i: usize| Order { order_id: format!("due {i:02}"), ..invoices() };
        db.insert(&(0..12).map(due).collect::<Vec<_>>()).await;
        set(&db, "due 11", "priority = 10000").await;
        set(&db, "due 00", "priority = -10000").await;
        assert_eq!(execute(&db, "1 Take due orders").await.len(), 10);
        assert_eq!(db.ids_in("FRESH").await, ["due 00", "due 10"]);
    }

    async fn reason_and_state_since_describe_the_state(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[invoices().state("RUNNING")]).await;
        let long_ago = "2026-01-01T00:00:00.000Z";
        let report = block(EXECUTORS, kind, "2 Report a state");
        let sql = "SELECT coalesce(reason, '-') || CASE WHEN state_since > '2026-01-02T00:00:00.000Z' \
                   THEN ' now' ELSE ' before' END FROM orders";
        for (mark, reported, why, expected) in [
            ("NULL", "WAITING", "'SLEEPING'", "SLEEPING now"),
            ("NULL", "WAITING", "'FORKED'", "FORKED before"),
            ("NULL", "INPROGRESS", "'FORKED'", "- now"),
            ("NULL", "INPROGRESS", "NULL", "- before"),
            ("'SUSPENDING'", "INPROGRESS", "NULL", "- now"),
            ("'RESUMING', suspended = TRUE", "WAITING", "'SLEEPING'", "SLEEPING now"),
            ("'SUSPENDING'", "WAITING", "'SLEEPING'", "SLEEPING now"),
            ("'CANCELLING'", "WAITING", "'SLEEPING'", "- now"),
        ] {
            set(&db, INVOICES, &format!("mark = {mark}, created = '{long_ago}', state_since = '{long_ago}'")).await;
            let block = report.sql.replace("'INPROGRESS' AS", &format!("'{reported}' AS"));
            let block = block.replace("NULL AS why", &format!("{why} AS why"));
            assert_eq!(db.rows(&block).await.unwrap().len(), 1);
            let row = db.rows(sql).await.unwrap()[0][0].clone();
            assert_eq!(row.as_deref(), Some(expected), "{mark} {reported}");
        }
        db.execute("DELETE FROM orders").await.unwrap();
        db.insert(&[invoices().waits("FORKED")]).await;
        let started = "SELECT started FROM orders";
        assert_eq!(execute(&db, "The next job").await, [INVOICES]);
        let first = db.rows(started).await.unwrap();
        assert!(first[0][0].is_some());
        tokio::time::sleep(Duration::from_millis(5)).await;
        set(&db, INVOICES, &format!("created = '{long_ago}', state_since = '{long_ago}'")).await;
        assert_eq!(execute(&db, "The next job").await, [INVOICES]);
        assert_eq!(db.rows(started).await.unwrap(), first);
        assert_eq!(db.rows(sql).await.unwrap()[0][0].as_deref(), Some("- before"));
    }

    async fn finds_resumed_orders(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        let of = |id: &str| Order { order_id: id.into(), ..invoices() };
        db.insert(&[
            of("asked").state("PROMPTING"),
            of("asleep").waits("SLEEPING"),
            of("failed").state("FAILED"),
            of("fresh").suspended(),
            of("fork").waits("FORKED").suspended(),
            of("lock").waits("WAITING_FOR_LOCK"),
            of("running").state("RUNNING"),
        ])
        .await;
        set(db, "failed", "priority = 1").await;
        let modify = async |call: &str, mut fields: serde_json::Value| {
            fields["controllerId"] = json!(CONTROLLER);
            app.post(&format!("/orders/{call}"), &fields).await.affected()
        };
        let ids = async || -> Vec<String> {
            let rows = execute(db, "Orders that continue").await;
            rows.iter().map(|row| row.split(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(modify("suspend", json!({"orderIds": ["asleep", "lock"], "reset": true})).await, 2);
        assert!(ids().await.is_empty());
        assert_eq!(modify("confirm", json!({"orderIds": ["asked"]})).await, 1);
        assert_eq!(ids().await, ["asked"]);
        let elsewhere = json!({"orderIds": ["failed", "fork", "fresh"], "position": [2, "then", 0],
                               "variables": {"a": "b"}});
        assert_eq!(modify("resume", elsewhere).await, 3);
        assert_eq!(ids().await, ["failed", "asked", "fork"]);
        let first = execute(db, "Orders that continue").await[0].replace([' ', '"'], "");
        assert!(first.starts_with("failedINPROGRESS-[2,then,0]{a:b}1"), "{first}");
        assert_eq!(modify("resume", json!({"orderIds": ["asleep"]})).await, 1);
        assert_eq!(ids().await.last().unwrap(), "asleep");
        // Fresh ones are taken as usual.
        let taken = execute(db, "1 Take due orders").await;
        assert!(taken.len() == 1 && taken[0].starts_with("fresh "), "{taken:?}");

        // Marks to suspend are settled, or withdrawn.
        assert_eq!(modify("suspend", json!({"orderIds": ["asked", "failed", "running"]})).await, 3);
        let marks = execute(db, "3 Marks and kill requests").await;
        assert_eq!(marks, ["asked INPROGRESS SUSPENDING - - /sos/billing/eod SETTLE",
                           "failed INPROGRESS SUSPENDING - - /sos/billing/eod SETTLE"]);
        assert_eq!(modify("resume", json!({"orderIds": ["failed"]})).await, 1);
        assert_eq!(execute(db, "3 Marks and kill requests").await.len(), 1);
        let report = block(EXECUTORS, kind, "2 Report a state").sql.replace(INVOICES, "asked");
        db.rows(&report).await.unwrap();
        assert_eq!(db.state("asked").await, "INPROGRESS~");
        assert!(execute(db, "3 Marks and kill requests").await.is_empty());
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
async fn marks_and_resumed_orders_notify_a_listener() {
    let app = App::with(
        Kind::Postgres,
        &[
            Order::new("fresh"),
            Order::new("a").state("RUNNING"),
            Order::new("asked").state("PROMPTING"),
            Order::new("asleep").waits("SLEEPING"),
            Order::new("b").state("RUNNING"),
            Order::new("failed").state("FAILED"),
            Order::new("suspended").suspended(),
            Order::new("waiting").state("WAITING"),
        ],
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

    let call = async |name: &str, id: &str| {
        let body = json!({"controllerId": CONTROLLER, "orderIds": [id], "priority": 1});
        assert_eq!(app.post(&format!("/orders/{name}"), &body).await.affected(), 1);
    };
    for (name, id) in [
        ("confirm", "asked"),
        ("continue", "asleep"),
        ("resume", "failed"),
        ("resume", "suspended"),
        ("suspend", "failed"),
    ] {
        call(name, id).await;
        let notification = tokio::time::timeout(long, listener.recv()).await;
        assert_eq!(notification.unwrap().unwrap().payload(), CONTROLLER, "{name}");
    }
    for (name, id) in
        [("suspend", "waiting"), ("change", "suspended"), ("remove_when_terminated", "suspended")]
    {
        call(name, id).await;
    }
    assert!(tokio::time::timeout(soon, listener.recv()).await.is_err(), "no one goes on");
}
