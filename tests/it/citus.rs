//! Citus: the statements that it takes, the change in several statements, and, where an installation
//! has it (`PG_BIN`), a cluster of one server.

use std::fs;

use joc_orders::store::{self, Access, LockPatience};
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Cluster, Database, Kind, Order, launch};

mod left_out;
pub use left_out::leaves_out;

/// The tables that `migrate --distribute` distributes.
const DISTRIBUTED: [&str; 9] = [
    "controllers",
    "workflows",
    "orders",
    "order_runs",
    "audit_logs",
    "audit_log_details",
    "audit_seals",
    "audit_cuts",
    "idempotency_keys",
];

/// Statements that may read a table without a controller: the beginning of the file's name, the
/// table, and why.
const OVER_ALL: [(&str, &str, &str); 3] = [
    ("audit_log", "audit_logs", "the log of every controller that the account can see"),
    (
        "audit_log",
        "audit_log_details",
        "conditions on such entries; a detail is found by its entry",
    ),
    ("controller", "controllers", "the list of all controllers"),
];

/// Words that follow a table but are no alias.
const NO_ALIAS: [&str; 12] = [
    "WHERE", "JOIN", "LEFT", "CROSS", "ON", "SET", "ORDER", "GROUP", "UNION", "SELECT", "VALUES",
    "LIMIT",
];

/// What Citus would not take, or would ask every server for.
fn faults(name: &str, sql: &str) -> Vec<String> {
    let text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut faults = Vec::new();
    if text.to_uppercase().contains("WITH RECURSIVE") {
        faults.push("a recursive expression".to_owned());
    }
    for clock in ["now()", "statement_timestamp()", "clock_timestamp()"] {
        for (at, _) in text.match_indices(clock) {
            if is_within_case(&text[..at]) {
                faults.push(format!("{clock} within CASE or COALESCE: bind the instant"));
            }
        }
    }
    let words: Vec<&str> =
        text.split([' ', '(', ')', ',']).filter(|word| !word.is_empty()).collect();
    for (i, word) in words.iter().enumerate() {
        let is_read = i > 0 && ["FROM", "JOIN", "UPDATE"].contains(&words[i - 1]);
        if !is_read || !DISTRIBUTED.contains(word) {
            continue;
        }
        let mut next = words[i + 1..].iter().filter(|word| **word != "AS");
        let alias = next.next().filter(|word| !NO_ALIAS.contains(word));
        let column = alias.map_or("controller_id".into(), |alias| format!("{alias}.controller_id"));
        // Or by the name that a table in brackets has around it.
        let is_renamed = alias.is_some_and(|alias| text.contains(&format!("{word} {alias}) o ")));
        let is_bound = text.contains(&format!("{column} = $"))
            || is_renamed && text.contains("o.controller_id = $");
        let is_excepted =
            OVER_ALL.iter().any(|(of, table, _)| name.starts_with(of) && table == word);
        if !is_bound && !is_excepted {
            faults.push(format!("{word}: no {column} = $…"));
        }
    }
    faults
}

/// Whether a text ends within a CASE or the brackets of a COALESCE.
fn is_within_case(before: &str) -> bool {
    let count =
        |word: &str| before.split(|c: char| !c.is_alphabetic()).filter(|w| *w == word).count();
    let is_in_coalesce = before.to_lowercase().rmatch_indices("coalesce(").any(|(at, _)| {
        let rest = &before[at + "coalesce(".len()..];
        let depth = rest.chars().try_fold(1_i32, |depth, c| match (depth, c) {
            (depth, '(') => Some(depth + 1),
            (1, ')') => None,
            (depth, ')') => Some(depth - 1),
            (depth, _) => Some(depth),
        });
        depth.is_some()
    });
    is_in_coalesce || count("CASE") > count("END")
}

#[test]
fn the_statements_of_requests_are_ones_that_citus_takes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/postgres");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for statement in fs::read_to_string(&path).unwrap().split(";\n\n") {
            found.extend(faults(&name, statement).into_iter().map(|why| format!("{name}: {why}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The checked statements with a recursive expression: each has another form for Citus.
const ONLY_PLAIN: [&str; 3] = [
    r#"SELECT c.id AS "id!: String" FROM c WHERE (SELECT max(l.id)"#,
    r#"SELECT c.id AS "id!: String" FROM c WHERE c.id > ''"#,
    "drawn AS MATERIALIZED",
];

#[test]
fn the_other_statements_are_ones_that_citus_takes() {
    let cache = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sqlx-data.json")).unwrap();
    let cache: serde_json::Map<String, Value> = serde_json::from_str(&cache).unwrap();
    let mut found = Vec::new();
    for query in cache.values().filter(|query| query["db_name"] == "PostgreSQL") {
        let text = query["query"].as_str().unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_refused = |why: &String| !why.contains("no ");
        let is_local =
            ["pg_locks", "sessions", "pg_stat_activity"].iter().any(|of| text.contains(of));
        if is_local || ONLY_PLAIN.iter().any(|plain| text.contains(plain)) {
            continue;
        }
        let faults = faults("", &text).into_iter().filter(is_refused);
        found.extend(faults.map(|why| format!("{why}: {text}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_lint_finds_what_citus_refuses() {
    for (sql, expected) in [
        ("WITH RECURSIVE c (id) AS (SELECT 1) SELECT * FROM c", "recursive"),
        ("UPDATE orders o SET a = CASE WHEN b THEN now() END WHERE o.controller_id = $1", "now()"),
        ("UPDATE orders o SET a = coalesce(f(b), now()) WHERE o.controller_id = $1", "now()"),
        ("SELECT 1 FROM orders o WHERE o.order_id = $1", "o.controller_id"),
        (
            "SELECT 1 FROM workflows w JOIN orders AS o ON w.a = o.a WHERE w.controller_id = $1",
            "o.con",
        ),
    ] {
        let found = faults("x", sql);
        assert!(found.iter().any(|why| why.contains(expected)), "{sql}: {found:?}");
    }
    let right = "UPDATE orders AS o SET a = now(), b = coalesce(c, f(1)), d = now() WHERE o.controller_id = $2";
    assert_eq!(faults("x", right), Vec::<String>::new());
}

/// Makes services that start from now on send a change in several statements, or in one.
pub async fn route(db: &Database, is_routed: bool) {
    let value = if is_routed { "on" } else { "off" };
    db.execute(&format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET joc_orders.routed = {value}',
             current_database()); END $$"
    ))
    .await
    .unwrap();
}

/// What a change leaves behind, but for what differs between two databases.
async fn left(db: &Database) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for sql in [
        "SELECT order_id, state, suspended, mark, kill_requested, sigkill_at, modified, priority,
             position, arguments, state_since, reason FROM orders ORDER BY order_id",
        "SELECT account, request, parameters, outcome, affected, comment, created FROM audit_logs
         ORDER BY id",
        "SELECT d.order_id, d.workflow_path, d.folder, d.previous_state, d.new_state, d.mark, d.kill,
             d.via_parent, d.created
         FROM audit_log_details d ORDER BY d.audit_log_id, d.order_id",
    ] {
        rows.extend(db.rows(sql).await.unwrap());
    }
    rows
}

fn orders() -> Vec<Order> {
    vec![
        Order::new("a"),
        Order::new("b").state("RUNNING"),
        Order::new("b|1").state("RUNNING"),
        Order::new("b|2"),
        Order::new("c").state("FAILED"),
        Order::new("d").state("PROMPTING"),
        Order::new("e").workflow("/other/x", "1"),
        Order::new("done").state("FINISHED"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_do_what_one_does() {
    if has_citus(&Database::create(Kind::Postgres).await).await {
        return;
    }
    let mut results = Vec::new();
    for is_routed in [false, true] {
        let db = Database::create(Kind::Postgres).await;
        route(&db, is_routed).await;
        let app = App::over(db, &[]).await;
        app.db.insert(&orders()).await;
        let limited = app.account("limited", "sos:products", &[("/other", true)]).await;
        let mut answers = Vec::new();
        for (call, body) in [
            ("/orders/suspend", json!({"orderIds": ["b"], "kill": true, "deep": true})),
            ("/orders/cancel", json!({"folders": [{"folder": "/"}], "maxOrders": 1})),
            ("/orders/change", json!({"orderIds": ["a", "c"], "priority": 7})),
            ("/orders/confirm", json!({"orderIds": ["d"]})),
            ("/orders/resume", json!({"orderIds": ["c"], "position": [1]})),
            ("/orders/cancel", json!({"orderIds": ["b"], "kill": true, "deep": true})),
            ("/orders/cancel", json!({"orderIds": ["none"]})),
            ("/orders/cancel", json!({"folders": [{"folder": "/"}], "deep": true})),
        ] {
            let mut body = body;
            body["controllerId"] = json!(CONTROLLER);
            answers.push(app.post(call, &body).await.status);
        }
        let outside = json!({"controllerId": CONTROLLER, "orderIds": ["b"]}).to_string();
        answers.push(app.post_as(&limited, "/orders/cancel", outside).await.status);
        results.push((answers, left(&app.db).await));
    }
    assert_eq!(results[0], results[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seals_of_both_forms_agree() {
    let db = Database::create(Kind::Postgres).await;
    if has_citus(&db).await {
        return;
    }
    route(&db, false).await;
    let app = App::over(db, &[]).await;
    app.db.insert(&orders()).await;
    app.cancel(json!({"orderIds": ["a"]})).await.ok();
    route(&app.db, true).await;
    let routed = store::open(&app.db.url, 2, Access::Write).await.unwrap();
    assert_eq!(routed.unsealed().await.unwrap(), app.store.unsealed().await.unwrap());
    assert_eq!(routed.seal(chrono::Utc::now()).await.unwrap(), 1);
    assert_eq!(routed.unsealed().await.unwrap(), app.store.unsealed().await.unwrap());
    assert_eq!(app.store.seal(chrono::Utc::now()).await.unwrap(), 0);
    assert_eq!(routed.seal(chrono::Utc::now()).await.unwrap(), 0);
    app.cancel(json!({"orderIds": ["c"]})).await.ok();
    assert_eq!(routed.unsealed().await.unwrap(), app.store.unsealed().await.unwrap());
    launch(&app.db.url, &["audit", "verify"], "").await.ok();
    routed.close().await;
}

/// Whether a change takes several statements, which do nothing before they commit.
pub async fn is_routed(db: &Database) -> bool {
    let setting = "SELECT coalesce(current_setting('joc_orders.routed', true), '') = 'on'";
    db.rows(setting).await.unwrap()[0][0].as_deref() == Some("t") || has_citus(db).await
}

/// Whether the cluster of the tests has Citus.
pub async fn has_citus(db: &Database) -> bool {
    db.count("SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'").await > 0
}

on_both! {
    async fn distributing_is_refused_by_name(kind: Kind) {
        let db = Database::create(kind).await;
        if kind == Kind::Postgres && has_citus(&db).await {
            return;
        }
        let ran = launch(&db.owner, &["migrate", "--distribute"], "").await;
        let why = match kind {
            Kind::Sqlite => "SQLite cannot be distributed",
            Kind::Postgres => "no Citus",
        };
        assert!(ran.failed().contains(why), "{ran:?}");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let status = launch(&db.owner, &["migrate", "--status"], "").await;
        assert!(!status.ok().contains("distributed"), "{status:?}");
    }
}

/// A cluster of its own with Citus and these orders, not distributed yet; `None` without Citus.
async fn undistributed() -> Option<(Cluster, Database)> {
    if !has_citus(&Database::create(Kind::Postgres).await).await {
        eprintln!(
            "skipped: this PostgreSQL has no Citus; set PG_BIN to the programs of one that has"
        );
        return None;
    }
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let db = Database::of(&cluster).await;
    db.execute("CREATE EXTENSION citus").await.unwrap();
    Some((cluster, db))
}

/// Adds a server that gets all shards.
async fn add_worker(coordinator: &Cluster, db: &Database) -> Cluster {
    let worker = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let there = Database::reached(&worker.url).await;
    // Citus creates only the roles there that are made after it.
    for role in ["joc_owner", "joc_service", "joc_executor", "joc_auditor"] {
        there.execute(&format!("CREATE ROLE {role}")).await.unwrap();
    }
    there.execute("CREATE ROLE orders LOGIN IN ROLE joc_service").await.unwrap();
    there.execute("CREATE EXTENSION citus").await.unwrap();
    let port = |url: &str| url.rsplit_once(':').unwrap().1.split_once('/').unwrap().0.to_owned();
    for sql in [
        format!("SELECT citus_set_coordinator_host('127.0.0.1', {})", port(&coordinator.url)),
        format!("SELECT citus_add_node('127.0.0.1', {})", port(&worker.url)),
    ] {
        db.rows(&sql).await.unwrap();
    }
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn citus_distributes_a_database_with_data() {
    let Some((cluster, db)) = undistributed().await else { return };
    let _worker = add_worker(&cluster, &db).await;
    let app = App::over(db, &[]).await;
    app.db.insert(&orders()).await;
    app.cancel(json!({"orderIds": ["a"]})).await.ok();
    assert_eq!(app.store.seal(chrono::Utc::now()).await.unwrap(), 1);
    let before = left(&app.db).await;
    app.store.close().await;

    let stranger = launch(&app.db.url, &["migrate", "--distribute"], "").await;
    assert!(stranger.failed().contains("does not own the table"), "{stranger:?}");
    let ran = launch(&app.db.owner, &["migrate", "--distribute"], "").await;
    assert!(ran.ok().contains("distributed by controller over 1 server\n"), "{ran:?}");
    launch(&app.db.owner, &["migrate", "--distribute"], "").await.ok();
    let capture = launch(&app.db.owner, &["capture", "on"], "").await;
    assert!(capture.failed().contains("Citus"), "{capture:?}");
    for table in DISTRIBUTED {
        let shards =
            format!("SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = '{table}'::regclass");
        assert!(app.db.count(&shards).await > 0, "{table}");
    }
    let after = left(&app.db).await;
    assert!(before.iter().all(|row| after.contains(row)), "{before:?}\n{after:?}");

    let make = "SELECT make_audit_partition(7)";
    let owner = app.db.share().into_owner();
    assert_eq!(owner.rows(make).await.unwrap(), [[Some("t".to_owned())]]);
    let refused = owner.execute("DELETE FROM audit_logs_p7").await.unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");

    let again = App::over(app.db.share(), &[]).await;
    again.cancel(json!({"orderIds": ["c", "d"]})).await.ok();
    assert!(again.store.seal(chrono::Utc::now()).await.unwrap() > 0);
    launch(&app.db.url, &["audit", "verify"], "").await.ok();
    launch(&app.db.owner, &["check", "--strict"], "").await.ok();

    let ended = json!({"controllerId": CONTROLLER, "order": {
        "orderId": "ended", "state": {"_text": "FINISHED"}, "suspended": false,
        "workflowId": {"path": "/sos/eod", "versionId": "1"},
        "created": "2020-01-01T00:00:00.000Z", "stateSince": "2020-02-01T00:00:00.000Z",
    }});
    launch(&app.db.url, &["import", "--replace"], ended.to_string()).await.ok();
    let folder = tempfile::tempdir().unwrap();
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    for (what, before) in [("orders", "2020-03-01"), ("audit", &now)] {
        let to = folder.path().join(what);
        let args = [what, "archive", "--before", before, "--to", to.to_str().unwrap()];
        let ran = launch(&app.db.owner, &args, "").await;
        assert!(ran.ok().starts_with("archived: "), "{ran:?}");
    }
    launch(&app.db.owner, &["check", "--strict"], "").await.ok();
    launch(&app.db.url, &["audit", "verify"], "").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sealed_while_a_transaction_is_in_doubt() {
    let Some((_cluster, db)) = undistributed().await else { return };
    store::distribute(&db.owner, LockPatience::default()).await.unwrap();
    let app = App::over(db, &[]).await;
    app.db.insert(&orders()).await;
    app.cancel(json!({"orderIds": ["a"]})).await.ok();
    // As a coordinator leaves it behind that is lost between the two phases.
    let mut prepared = app.db.lock("BEGIN").await;
    prepared.execute("SELECT 1; PREPARE TRANSACTION 'citus_0_1_2_3'").await;
    assert_eq!(app.store.seal(chrono::Utc::now()).await.unwrap(), 0);
    prepared.execute("ROLLBACK PREPARED 'citus_0_1_2_3'").await;
    assert_eq!(app.store.seal(chrono::Utc::now()).await.unwrap(), 1);
}
