//! An index serves each ready query of docs/schema.md that asks about one thing or one period, at
//! 40,000 audit entries and 80,000 details over a year.

use crate::docs::{SCHEMA, block};
use crate::harness::{App, CONTROLLER, Database, Kind};

/// 60,000 orders in 100 folders, changed over a year, one in 600 of them marked. Of the entries, one in 20 was denied, one in
/// 10 has a ticket, and each account has a tenth.
async fn fill(db: &Database) {
    let (series, created, off): (fn(u32) -> String, _, _) = match db.kind() {
        Kind::Sqlite => (
            |last| {
                format!(
                    "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {last}) \
                     SELECT n FROM s) s"
                )
            },
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (13 * (40000 - n)) || ' minutes')",
            "DROP TRIGGER audit_logs_new; DROP TRIGGER audit_logs_drawn; DROP TRIGGER audit_log_details_new",
        ),
        Kind::Postgres => (
            |last| format!("generate_series(1, {last}) s (n)"),
            "now() - (40000 - n) * interval '13 minutes'",
            "ALTER TABLE audit_logs DISABLE TRIGGER USER; ALTER TABLE audit_log_details DISABLE TRIGGER USER",
        ),
    };
    let spread = created.replace("- n", "- n * 2 / 3");
    let sql = format!(
        "{off};
         INSERT INTO workflows (controller_id, path, version_id)
         SELECT '{CONTROLLER}', '/f' || (n % 10) || '/g' || (n % 100) || '/w' || n, '1' FROM {};
         INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state, mark,
             created, modified)
         SELECT '{CONTROLLER}', '#o' || n,
             '/f' || ((n % 500 + 1) % 10) || '/g' || ((n % 500 + 1) % 100) || '/w' || (n % 500 + 1), '1',
             CASE WHEN n % 600 = 0 THEN 'RUNNING' WHEN n % 10 > 2 THEN 'FINISHED' ELSE 'FRESH' END,
             CASE WHEN n % 600 = 0 THEN 'CANCELLING' END, {spread}, {spread}
         FROM {};
         INSERT INTO audit_logs (controller_id, account, request, parameters, ticket_link, outcome,
             affected, request_id, client_address, created)
         SELECT '{CONTROLLER}', 'a' || (n % 10), './orders/cancel', '{{}}',
             CASE WHEN n % 10 = 0 THEN 't' || n END, CASE n % 20 WHEN 0 THEN 'DENIED' ELSE 'DONE' END,
             CASE n % 20 WHEN 0 THEN 0 ELSE 2 END, 'r' || n, '127.0.0.' || (n % 200), {created}
         FROM {} ORDER BY n;
         INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
             workflow_version_id, folder, previous_state, new_state, created)
         SELECT '{CONTROLLER}', (n + 1) / 2, '#o' || (n % 60000 + 1),
             '/f' || (n % 10) || '/g' || (n % 100) || '/w' || (n % 500), '1',
             '/f' || (n % 10) || '/g' || (n % 100), 'PENDING', 'CANCELLED', {}
         FROM {};
         ANALYZE",
        series(500),
        series(60_000),
        series(40_000),
        created.replace("- n", "- (n + 1) / 2"),
        series(80_000),
    );
    db.execute(&sql).await.unwrap();
}

/// The queries, with the indexes that must serve each.
const QUERIES: &[(&str, &[&str])] = &[
    ("Who cancelled this order and why", &["audit_log_details_order"]),
    ("Everything one account did last week", &["audit_logs_account"]),
    ("A ticket's changes", &["audit_logs_ticket"]),
    ("Per-folder counts per day", &["audit_log_details_pkey"]),
    ("Denied attempts", &["audit_logs_denied"]),
    ("Orders that are marked but still living", &["orders_marked", "audit_log_details_order"]),
    ("Entries by request id", &["audit_logs_request"]),
    ("Orders still CANCELLING, and since when", &["orders_marked", "audit_log_details_order"]),
    ("Entries per account and day in a time zone", &["audit_logs_recent"]),
    ("Denied attempts by account and address", &["audit_logs_denied"]),
    ("A folder's history", &["audit_log_details_folder"]),
    (
        "Orders changed after their last audit entry",
        &["orders_living_workflow", "orders_terminal_workflow", "audit_log_details_order"],
    ),
];

/// Whether a step reads a partition that has no rows.
fn is_of_empty(step: &str) -> bool {
    let tables = ["audit_logs", "audit_log_details"];
    let empty = ["p1", "p2", "default"];
    tables.iter().any(|table| empty.iter().any(|of| step.contains(&format!("on {table}_{of} "))))
}

on_both! {
    async fn ready_queries_use_a_suitable_index(kind: Kind) {
        let app = App::start(kind, &[]).await;
        fill(&app.db).await;
        let explain = match kind {
            Kind::Sqlite => "EXPLAIN QUERY PLAN",
            Kind::Postgres => "EXPLAIN",
        };
        for (section, indexes) in QUERIES {
            let sql = block(SCHEMA, kind, section).sql.replace("/sos/billing", "/f1/g1");
            let rows = app.db.rows(&format!("{explain} {sql}")).await.unwrap();
            let steps = rows.into_iter().map(|row| row.last().unwrap().clone().unwrap());
            // Every row is in the first partition; the others are empty.
            let steps = steps.filter(|step| !is_of_empty(step)).map(|step| step.replace("_p0", ""));
            // SQLite's key has no name; the one that it reads here is that of the details.
            let steps = steps.map(|step| step.replace("audit_log_details USING PRIMARY KEY", "audit_log_details_pkey"));
            let plan = steps.collect::<Vec<_>>().join("\n");
            for index in *indexes {
                assert!(plan.contains(index), "{section}: expected {index} in\n{plan}");
            }
            let whole = plan.lines().map(|step| step.trim_start_matches([' ', '-', '>'])).any(|step| {
                step.starts_with("Seq Scan on") || step.starts_with("SCAN ") && !step.contains("USING")
                    && !step.contains("clock") && !step.contains("CONSTANT ROW") && step != "SCAN m"
            });
            assert!(!whole, "{section}: reads a whole table:\n{plan}");
        }
        let [controller, path, folder] = [CONTROLLER, "/f1/g1/w1", "/f1/g1"].map(|text| format!("'{text}'"));
        let values = [&controller, &controller, &path, &controller, &folder, &path, "10"];
        let plan = crate::plans::golden_plan(&app, "audit_log_of_workflow", &values).await;
        assert!(plan.contains("_folder"), "{plan}");

        let pattern = if kind == Kind::Sqlite { "'./orders/*'" } else { "'./orders/%'" };
        let values = [&*controller, pattern, "'r7'", "100"];
        let plan = crate::plans::golden_plan(&app, "audit_log_of_request", &values).await;
        assert!(plan.contains("_request"), "{plan}");

        let day = |ago: i64| {
            let at = chrono::Utc::now() - chrono::TimeDelta::days(ago);
            format!("'{}'", joc_orders::model::window::iso(&at))
        };
        let (from, to, cuts) = (day(3), day(2), [day(2), day(2), day(2)]);
        let request = "'./orders/cancel'";
        let values = [&*cuts[0], &cuts[1], &cuts[2], &controller, &from, &to, request];
        let plan = crate::plans::golden_plan(&app, "audit_log_overview", &values).await;
        assert!(plan.contains("_created") || plan.contains("_recent"), "{plan}");
        let values = match kind {
            Kind::Sqlite => vec![&*controller; 3],
            Kind::Postgres => vec![&*controller, &to, &controller, &controller],
        };
        let plan = crate::plans::golden_plan(&app, "overview_cancelling", &values).await;
        for index in ["orders_marked", "_order"] {
            assert!(plan.contains(index), "{index}: {plan}");
        }
        for whole in ["Seq Scan on audit_logs_p0", "Seq Scan on audit_log_details_p0", "SCAN l", "SCAN d"] {
            assert!(!plan.contains(whole), "{whole}: {plan}");
        }
    }
}
