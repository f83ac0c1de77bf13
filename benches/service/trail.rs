//! A year of audit entries, loaded set-wise: one in twenty denied, one in twenty without orders,
//! the others about one order each, except for some about 4,000.

use std::time::Duration;

use anyhow::{bail, ensure};

use crate::bench::Bench;
use crate::raw::Raw;

/// How many orders the largest changes touch.
pub const LARGEST: usize = 4000;

/// Loads four entries for every ten orders, and seals them.
pub async fn load(bench: &Bench<'_>) -> anyhow::Result<()> {
    let script = script(bench.raw, bench.shape.orders * 4 / 10);
    bench.raw.without_triggers(&["audit_logs", "audit_log_details"], &script)?;
    bench.raw.settle()?;
    // The service seals as soon as it has started.
    let session = bench.session().await?;
    for _ in 0..600 {
        let unsealed = bench.raw.value(
            "SELECT count(*) FROM audit_logs WHERE controller_id = 'main' AND id > \
             (SELECT coalesce(max(last_id), 0) FROM audit_seals WHERE controller_id = 'main')",
        )?;
        if unsealed == "0" {
            let details = bench.raw.value("SELECT count(*) FROM audit_log_details")?;
            ensure!(details.parse::<usize>()? > bench.shape.orders / 2, "{details} details");
            return session.service.stop();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the audit trail is not sealed")
}

fn script(raw: &Raw, entries: usize) -> String {
    let (series, id, created, numbers) = match raw {
        Raw::Postgres { .. } => (
            format!("generate_series(1::bigint, {entries}) AS series (g)"),
            "nextval(pg_get_serial_sequence('audit_logs', 'id'))",
            format!("now() - interval '365 days' * (1 - g::float8 / {entries})"),
            "CROSS JOIN LATERAL generate_series(0, e.affected - 1) AS i (n)",
        ),
        Raw::Sqlite { .. } => (
            format!(
                "(WITH RECURSIVE s (g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s \
                 WHERE g < {entries}) SELECT g FROM s) AS series"
            ),
            "g + (SELECT coalesce(max(id), 0) FROM audit_logs)",
            format!(
                "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', \
                 (31536000.0 * (g - {entries}) / {entries}) || ' seconds')"
            ),
            "JOIN numbers AS i ON i.n < e.affected",
        ),
    };
    let (override_id, numbers_table) = match raw {
        Raw::Postgres { .. } => ("OVERRIDING SYSTEM VALUE", String::new()),
        Raw::Sqlite { .. } => (
            "",
            format!(
                "CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY);\n\
                 WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s \
                 WHERE n + 1 < {LARGEST}) INSERT INTO numbers SELECT n FROM s;\n"
            ),
        ),
    };
    format!(
        "{numbers_table}CREATE TEMP TABLE picked (n bigint PRIMARY KEY, order_id text, \
             workflow_path text, workflow_version_id text, folder text);\n\
         INSERT INTO picked SELECT row_number() OVER (ORDER BY history_id) - 1, order_id, \
             workflow_path, workflow_version_id, folder FROM orders WHERE controller_id = 'main';\n\
         CREATE TEMP TABLE entries AS SELECT g, {id} AS id, {created} AS created, \
             CASE g % 20 WHEN 0 THEN 'DENIED' WHEN 1 THEN 'NO_ORDERS' ELSE 'DONE' END AS outcome, \
             CASE WHEN g % 20 < 2 THEN 0 WHEN g % 3200 = 2 THEN {LARGEST} ELSE 1 END AS affected \
             FROM {series};\n\
         INSERT INTO audit_logs (id, controller_id, account, request, parameters, comment, \
             ticket_link, outcome, affected, request_id, client_address, created) {override_id} \
             SELECT id, 'main', 'account-' || (g % 50), './orders/cancel', \
             '{{\"controllerId\":\"main\",\"folders\":[{{\"folder\":\"/f1/g1\"}}]}}', \
             'change ' || g, 'T-' || (g / 20), outcome, affected, 'request-' || g, '127.0.0.1', \
             created FROM entries ORDER BY id;\n\
         INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path, \
             workflow_version_id, folder, previous_state, new_state, created) \
             SELECT 'main', e.id, p.order_id, p.workflow_path, p.workflow_version_id, p.folder, \
             'SCHEDULED', 'CANCELLED', e.created FROM entries e {numbers} \
             JOIN picked p ON p.n = (e.g * 7919 + i.n) % (SELECT count(*) FROM picked) \
             ORDER BY e.id;\n"
    )
}
