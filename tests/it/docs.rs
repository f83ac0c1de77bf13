//! The queries in the documentation, run against the example that it names after real requests.

use chrono::{TimeDelta, Utc};
use joc_orders::store::{self, Capture};
use serde_json::json;

use crate::harness::{App, CONTROLLER, Database, Kind, Order, launch, words};

mod evidence;
mod executors;

pub const SCHEMA: &str = include_str!("../../docs/schema.md");
const INVOICES: &str = "#2026-11-23#P0000000498-invoices";
const TICKET: &str = "https://tickets.example.com/OPS-4711";

/// A block of SQL and its section.
#[derive(Debug)]
pub struct Block {
    section: String,
    /// The columns that the section lists.
    columns: Vec<String>,
    pub sql: String,
}

/// The blocks for a database, in order.
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

/// The statements of docs/executors.md, in order.
pub fn executor_blocks(kind: Kind) -> impl Iterator<Item = String> {
    blocks(executors::EXECUTORS, kind).into_iter().map(|block| block.sql)
}

/// The one block of a section.
pub fn block(document: &str, kind: Kind, section: &str) -> Block {
    let mut found = blocks(document, kind);
    found.retain(|block| block.section == section);
    assert_eq!(found.len(), 1, "{section}");
    found.remove(0)
}

/// The rows of a query in docs/schema.md, with these columns; flags are `t` or `f` on both
/// databases.
async fn query(db: &Database, section: &str, columns: &str) -> Vec<String> {
    let block = block(SCHEMA, db.kind(), section);
    assert_eq!(db.columns(&block.sql).await.unwrap(), block.columns, "{section}");
    let rows = db.login("auditor").await.rows(&block.sql).await.unwrap();
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
    async fn the_query_for_who_gave_a_role_returns_the_documented_rows(kind: Kind) {
        let db = Database::create(kind).await;
        for command in [
            "role add billing", "role add billings", "account add anna --role all",
            "account add emil --role billing", "role assign billing anna", "role assign billings anna",
            "role unassign billing anna", "account remove anna",
            "account add anna --role all --role billing", "role remove billing",
            "role grant billings sos:products --controller-id prod",
        ] {
            launch(&db.url, &words(command), "a-password\n").await.ok();
        }
        let section = "Who gave her this role, and when";
        let rows = query(&db, section, "audit_log_id request").await;
        let expected = [
            "10 joc-orders role remove", "9 joc-orders account add", "7 joc-orders role unassign",
            "5 joc-orders role assign",
        ];
        assert_eq!(rows, expected);
        let rows = query(&db, section, "account parameters").await;
        assert!(rows[3].starts_with("os:") && rows[3].contains("billing"), "{rows:?}");
    }

    async fn audit_queries_return_the_documented_rows(kind: Kind) {
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
        assert_eq!(app.cancel(cancel).await.nothing_found(), "No orders found.");
        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        let body = json!({"controllerId": CONTROLLER, "orderIds": ["fork"]}).to_string();
        assert_eq!(app.post_as(&viewer, "/orders/cancel", body).await.status, 403);
        assert_eq!(app.try_login("root", "wrong").await.status, 401);
        assert_eq!(app.cancel(json!({"orderIds": ["fork"], "deep": true})).await.affected(), 2);

        // Older than the query asks for.
        let ago = |days| (Utc::now() - TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let old = format!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, affected,
                request_id, created)
             VALUES ('prod', 'root', './old', '{{}}', 'DONE', 1, 'old', '{0}');
             INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
                workflow_version_id, folder, previous_state, new_state, created)
             SELECT 'prod', max(id), 'old', '/a', '1', '/', 'PENDING', 'CANCELLED', '{1}'
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

        let rows = query(db, "What one request changed",
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

        // The killed job ends; an order is removed and its history kept.
        set(db, "running", "state = 'CANCELLED', mark = NULL, kill_requested = NULL, sigkill_at = NULL").await;
        let rows = query(db, "Orders cancelled by kill", "order_id state_now").await;
        assert_eq!(rows, ["running CANCELLED"]);
        db.execute("DELETE FROM orders WHERE order_id = 'running'").await.unwrap();
        let rows = query(db, "Orders cancelled by kill", "order_id state_now").await;
        assert_eq!(rows, ["running -"]);

        // Other changes to orders are not cancels.
        db.insert(&[Order::new("stuck").workflow("/sos/reporting/daily", "1").state("RUNNING")]).await;
        for (call, id) in [("suspend", "stuck"), ("remove_when_terminated", INVOICES)] {
            let body = json!({"controllerId": CONTROLLER, "orderIds": [id], "kill": true});
            assert_eq!(app.post(&format!("/orders/{call}"), &body).await.affected(), 1);
        }
        let rows = query(db, "Who cancelled this order and why", "request").await;
        assert_eq!(rows, ["./orders/cancel"]);
        let rows = query(db, "Orders cancelled by kill", "order_id state_now").await;
        assert_eq!(rows, ["running -"]);
        let rows = query(db, "Per-folder counts per day", "folder touched cancelled marked killed").await;
        assert_eq!(rows, ["/sos/billing 3 1 1 1", "/sos/reporting 3 0 2 0"]);

        assert!(app.store.seal(Utc::now()).await.unwrap() > 0);
        let rows = query(db, "Which seal covers an entry", "number first_id").await;
        assert_eq!(rows, ["1 1"]);

        store::set_capture(&db.owner, Capture::On { executors: false }).await.unwrap();
        set(db, INVOICES, "remove_when_terminated = FALSE").await;
        let section = "What plain SQL changed in an order";
        let rows = query(db, section, "operation source old_values new_values").await;
        let [old, new] = ["true", "false"].map(|flag| format!("{{\"remove_when_terminated\":{flag}}}"));
        let rows: Vec<_> = rows.iter().map(|row| row.replace("\": ", "\":")).collect();
        assert_eq!(rows, [format!("UPDATE SQL {old} {new}")]);

        // The cases above and below cover every query, with the eight in `evidence`.
        assert_eq!(blocks(SCHEMA, kind).len(), 11 + 8);
    }
}
