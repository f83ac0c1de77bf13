//! What the schema itself promises to those who write to it by SQL: which rows it refuses, what
//! it computes, and how it is migrated.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use joc_orders::model::permission::known;
use joc_orders::model::window::iso;
use joc_orders::store;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::harness::{App, Database, HASH, Kind, Order, quote, start_time};

const WORLD: &str = "INSERT INTO controllers (controller_id) VALUES ('prod'), ('unused');
    INSERT INTO workflows (controller_id, path, version_id)
    VALUES ('prod', '/sos/eod', '1'), ('prod', '/unused', '1');";

/// Pairs of a wrong statement and its right neighbour.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn add(&mut self, wrong: impl Into<String>, right: impl Into<String>) {
        self.0.push((wrong.into(), right.into()));
    }

    /// Orders with these columns and values.
    fn order(&mut self, columns: &str, wrong: &str, right: &str) {
        let id = self.0.len();
        let sql = |values: &str| {
            format!(
                "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, \
                 {columns}) VALUES ('prod', 'o{id}', '/sos/eod', '1', {values})"
            )
        };
        self.add(sql(wrong), sql(right));
    }

    /// Orders with these ids, which are SQL.
    fn order_id(&mut self, wrong: &str, right: &str) {
        let sql = |id: &str| {
            format!(
                "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id) \
                 VALUES ('prod', {id}, '/sos/eod', '1')"
            )
        };
        self.add(sql(wrong), sql(right));
    }

    /// Rows of a table with these values.
    fn row(&mut self, table: &str, wrong: &str, right: &str) {
        let sql = |values: &str| format!("INSERT INTO {table} VALUES ({values})");
        self.add(sql(wrong), sql(right));
    }

    async fn check(self, db: &Database) {
        for (wrong, right) in self.0 {
            assert!(db.execute(&wrong).await.is_err(), "was accepted: {wrong}");
            if let Err(error) = db.execute(&right).await {
                panic!("was refused: {right}\n{error}");
            }
        }
    }
}

/// Every control character that a text in SQL can have, as SQL, and NUL.
fn control_characters(kind: Kind) -> Vec<String> {
    let function = if kind == Kind::Sqlite { "char" } else { "chr" };
    (0..32).chain([127]).map(|code| format!("{function}({code})")).collect()
}

on_both! {
    async fn names_and_ids(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        let mut pairs = Pairs::default();
        let long = |length: usize| "ü".repeat(length);

        let controllers = "controllers (controller_id)";
        for (i, c) in r#"/\<>?!&:;()"|*^"#.chars().enumerate() {
            pairs.row(controllers, &quote(&format!("a{c}b")), &quote(&format!("a.b{i}")));
            pairs.row(controllers, &quote(&format!("{c}")), &quote(&format!("{i}")));
        }
        pairs.row(controllers, "''", "'x'");
        pairs.row(controllers, "NULL", "'null'");
        pairs.row(controllers, &quote(&long(101)), &quote(&long(100)));
        pairs.row(controllers, "'prod'", "'it''s #1 [%_] @日本'");

        let workflows = "workflows (controller_id, path, version_id)";
        let paths = [
            ("sos/a", "/sos/a"), ("/sos/b/", "/sos/b"), ("/sos//c", "/sos/c"), ("/", "/d"),
            ("//", "/e"), ("//f", "/f"), ("", "/g"), ("/h//", "/h"),
        ];
        for (wrong, right) in paths {
            let row = |path| format!("'prod', '{path}', '1'");
            pairs.row(workflows, &row(wrong), &row(right));
        }
        let row = |path: &str| format!("'prod', '/{path}', '1'");
        pairs.row(workflows, &row(&long(255)), &row(&long(254)));
        let row = |version: &str| format!("'prod', '/sos/eod', '{version}'");
        pairs.row(workflows, &row(""), &row("2"));
        pairs.row(workflows, &row(&long(256)), &row(&long(255)));
        pairs.row(workflows, "'unknown', '/sos/eod', '1'", "'unused', '/sos/eod', '1'");

        pairs.order_id("''", "'a'");
        pairs.order_id(&quote(&long(256)), &quote(&long(255)));
        pairs.order_id("'|b'", "'b|b'");
        pairs.order_id("'c|'", "'c|c'");
        pairs.order_id("'d||d'", "'d|d|d'");
        pairs.order_id("'|'", "'e'");
        pairs.order_id("NULL", "'#2026-11-23#P1-it''s \"50%_\" /日本'");

        for (i, c) in control_characters(kind).iter().enumerate() {
            for (at, sql) in [format!("'c' || {c}"), format!("{c} || 'c'"), format!("'c' || {c} || 'c'")]
                .iter()
                .enumerate()
            {
                let name = format!("'c{i}.{at}'");
                pairs.order_id(sql, &name);
                pairs.row(controllers, sql, &name);
                pairs.row(workflows, &format!("'prod', '/' || {sql}, '1'"),
                    &format!("'prod', '/' || {name}, '1'"));
                pairs.row(workflows, &format!("'prod', '/sos/eod', {sql}"),
                    &format!("'prod', '/sos/eod', {name}"));
                pairs.row("roles (role)", sql, &name);
                pairs.row("accounts (account, password_hash)", &format!("{sql}, '{HASH}'"),
                    &format!("{name}, '{HASH}'"));
                pairs.row("role_folders (role, folder)", &format!("'all', '/' || {sql}"),
                    &format!("'all', '/' || {name}"));
            }
        }
        pairs.check(&db).await;
    }

    async fn orders(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        let mut pairs = Pairs::default();
        let at = "'2026-11-23T12:00:00.000Z'";
        let later = "'2026-11-23T12:00:15.000Z'";

        pairs.order("state", "'fresh'", "'FRESH'");
        pairs.order("state", "'SUSPENDED'", "'RUNNING'");
        pairs.order("state", "'SCHEDULED'", "'PROMPTING'");
        pairs.order("state", "NULL", "'FAILED'");
        pairs.order("state", "''", "'WAITING'");
        pairs.order("mark", "'CANCELLED'", "'CANCELLING'");
        pairs.order("mark", "''", "'SUSPENDING'");
        pairs.order("mark, suspended", "'resuming', TRUE", "'RESUMING', TRUE");
        pairs.order("suspended", "2", "TRUE");
        pairs.order("suspended", "NULL", "FALSE");
        for terminal in ["FINISHED", "CANCELLED"] {
            pairs.order("state, suspended", &format!("'{terminal}', TRUE"),
                &format!("'{terminal}', FALSE"));
            pairs.order("state, mark", &format!("'{terminal}', 'CANCELLING'"),
                &format!("'{terminal}', NULL"));
            pairs.order("state, kill_requested, sigkill_at", &format!("'{terminal}', {at}, {later}"),
                &format!("'{terminal}', NULL, NULL"));
        }
        pairs.order("state, suspended", "'RUNNING', TRUE", "'INPROGRESS', TRUE");
        let kill = "state, mark, kill_requested, sigkill_at";
        let good = format!("'RUNNING', 'CANCELLING', {at}, {later}");
        pairs.order(kill, &format!("'RUNNING', NULL, {at}, {later}"), &good);
        pairs.order(kill, &format!("'RUNNING', 'RESUMING', {at}, {later}"), &good);
        pairs.order(kill, &format!("'RUNNING', 'CANCELLING', {at}, NULL"), &good);
        pairs.order(kill, &format!("'RUNNING', 'CANCELLING', NULL, {later}"), &good);
        pairs.order(kill, &format!("'RUNNING', 'CANCELLING', {later}, {at}"),
            &format!("'RUNNING', 'SUSPENDING', {at}, {at}"));

        // Dates.
        let wrong: &[&str] = match kind {
            Kind::Sqlite => &[
                "'2026-11-23 12:34:56'", "'2026-11-23T12:34:56Z'", "'2026-11-23T12:34:56.789'",
                "'2026-11-23T12:34:56.789+00:00'", "'2026-11-23'", "''", "'now'", "'2460000.5'",
                "1795437600000", "'2026-02-30T00:00:00.000Z'", "'2026-11-23T24:00:00.000Z'",
                "'0000-12-31T23:59:59.999Z'", "'-001-01-01T00:00:00.000Z'",
                "'2026-11-23t12:34:56.789z'", "'2026-11-23T12:34:56.7890Z'", "x'3230'",
                "'2026-11-23T12:34:56.789Z' || char(0)",
            ],
            Kind::Postgres => &[
                "'infinity'", "'-infinity'", "'10000-01-01T00:00:00Z'",
                "'0001-12-31T23:59:59.999Z BC'", "'9999-12-31T23:59:59.9999Z'", "'2026-02-30'",
            ],
        };
        for wrong in wrong {
            pairs.order("scheduled_for", wrong, "'2026-11-23T12:34:56.789Z'");
        }
        pairs.order("scheduled_for", "'soon'", "'0001-01-01T00:00:00.000Z'");
        pairs.order("scheduled_for", "''", "'9999-12-31T23:59:59.999Z'");
        pairs.order("scheduled_for", "'2025-02-29T00:00:00.000Z'", "'2024-02-29T00:00:00.000Z'");
        pairs.order("created", wrong[0], at);
        pairs.order("created", "NULL", at);
        let mut instant = |column: &str, wrong: &str, right: &str| {
            let values = |value| format!("'RUNNING', {at}, {value}");
            pairs.order(&format!("state, created, {column}"), &values(wrong), &values(right));
        };
        instant("modified", wrong[0], at);
        instant("modified", "NULL", at);
        for column in ["started", "state_since"] {
            instant(column, wrong[0], at);
            instant(column, "''", "NULL");
        }

        // What calls and executors say of an order.
        pairs.order("priority", "2147483648", "2147483647");
        pairs.order("priority", "-2147483649", "-2147483648");
        pairs.order("priority", "NULL", "0");
        for (wrong, right) in [("'[]'", "'{\"a\": 1}'"), ("'null'", "'{}'"), ("'{'", "'{ }'"),
                               ("NULL", "'{}'"), ("'1'", "'{}'"), ("''", "'{}'")] {
            pairs.order("arguments", wrong, right);
        }
        for (wrong, right) in [("'{}'", "'[]'"), ("'null'", "NULL"), ("'\"a\"'", "'[2, \"then\", 0]'"),
                               ("'['", "'[0]'"), ("''", "'[ ]'")] {
            pairs.order("position", wrong, right);
        }
        let long = format!("'{}'", "A".repeat(101));
        for (wrong, right) in [("'Forked'", "'FORKED'"), ("''", "NULL"), ("'_A'", "'A_'"),
                               ("'A B'", "'A_B'"), ("'A1'", "'A'"), ("'Ä'", "'AE'"),
                               ("'A\n'", "'A'"), (&long, &long.replacen('A', "", 1))] {
            pairs.order("state, reason", &format!("'WAITING', {wrong}"), &format!("'WAITING', {right}"));
        }
        if kind == Kind::Sqlite {
            pairs.order("state, reason", "'WAITING', 'A' || char(0)", "'WAITING', 'A'");
        }
        pairs.order("remove_when_terminated", "2", "TRUE");
        pairs.order("remove_when_terminated", "NULL", "FALSE");

        // What they refer to.
        let order = |controller: &str, path: &str, version: &str| format!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id) \
             VALUES ('{controller}', 'w{path}{version}', '{path}', '{version}')");
        pairs.add(order("prod", "/sos/eod", "2"), order("prod", "/sos/eod", "1"));
        pairs.add(order("unused", "/unused", "1"), order("prod", "/unused", "1"));
        pairs.add("DELETE FROM workflows WHERE path = '/unused'",
            "DELETE FROM orders WHERE workflow_path = '/unused'");
        pairs.add("DELETE FROM controllers WHERE controller_id = 'prod'",
            "DELETE FROM controllers WHERE controller_id = 'unused'");

        // What the database computes.
        for (column, value) in [("folder", "'/sos'"), ("parent_id", "NULL")] {
            pairs.order(column, value, "DEFAULT");
        }
        if kind == Kind::Sqlite {
            pairs.0.truncate(pairs.0.len() - 2); // There is no DEFAULT as a value.
            pairs.order("folder, state", "'/sos', 'FRESH'", "'/sos', 'FRESH'");
            pairs.0.pop();
        }
        pairs.check(&db).await;
        for wrong in [
            "UPDATE orders SET folder = '/x'",
            "UPDATE orders SET parent_id = 'x'",
            "UPDATE workflows SET folder = '/x'",
            "UPDATE workflows SET name = 'x'",
            "INSERT INTO workflows (controller_id, path, version_id, name) VALUES ('prod', '/n', '1', 'n')",
            "INSERT INTO workflows (controller_id, path, version_id, folder) VALUES ('prod', '/n', '1', '/')",
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, folder)
             VALUES ('prod', 'gen', '/sos/eod', '1', '/sos')",
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, parent_id)
             VALUES ('prod', 'gen', '/sos/eod', '1', NULL)",
        ] {
            assert!(db.execute(wrong).await.is_err(), "was accepted: {wrong}");
        }
    }

    async fn accounts_and_roles(kind: Kind) {
        let db = Database::create(kind).await;
        let mut pairs = Pairs::default();
        let accounts = "accounts (account, password_hash)";
        pairs.row(accounts, &format!("'a:b', '{HASH}'"), &format!("'a b', '{HASH}'"));
        pairs.row(accounts, &format!("'', '{HASH}'"), &format!("'op', '{HASH}'"));
        pairs.row(accounts, "'plain', 'secret'", &format!("'plain', '{HASH}'"));
        pairs.row("roles (role)", "''", "'r'");
        pairs.row("roles (role)", "'all'", "'All'");
        let permissions = "role_permissions (role, permission)";
        let known: std::collections::BTreeSet<_> = known::permissions().collect();
        let known: Vec<_> = known.into_iter().filter(|name| *name != "sos:products").collect();
        for (i, wrong) in [
            "sos", "sos:product", "sos:productsx", "sos:products:", "sos:products::a",
            "sos:products:Controller", "sos:products:a b", "sos:products:a:", "sos:products:*", "",
            "sos:products:a1",
        ]
        .iter()
        .enumerate()
        {
            let right = format!("'r', '{}'", known[i]);
            pairs.row(permissions, &format!("'r', '{wrong}'"), &right);
        }
        pairs.row(permissions, "'unknown', 'sos:products'", "'r', 'sos:products'");
        let folders = "role_folders (role, folder)";
        for (wrong, right) in [("", "/"), ("a", "/a"), ("/b/", "/b"), ("/c//c", "/c/c"), ("//", "/d")] {
            pairs.row(folders, &format!("'r', '{wrong}'"), &format!("'r', '{right}'"));
        }
        pairs.row("account_roles", "'nobody', 'r'", "'op', 'r'");
        pairs.row("account_roles", "'op', 'nothing'", "'op', 'all'");
        let sessions = "sessions (token_hash, account, expires)";
        let at = "'9999-11-23T12:00:00.000Z'";
        let hash = "0123456789abcdef".repeat(4);
        pairs.row(sessions, &format!("'{}', 'op', {at}", &hash[1..]), &format!("'{hash}', 'op', {at}"));
        let upper = hash.to_uppercase();
        let zeros = "0".repeat(64);
        pairs.row(sessions, &format!("'{upper}', 'op', {at}"), &format!("'{zeros}', 'op', {at}"));
        pairs.check(&db).await;

        // What belongs to a role or an account goes with it.
        db.execute("DELETE FROM roles WHERE role = 'r'").await.unwrap();
        db.execute("DELETE FROM accounts WHERE account = 'op'").await.unwrap();
        for table in ["role_folders", "account_roles", "sessions"] {
            assert_eq!(db.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
    }

    async fn a_terminal_order_is_final(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[
            Order::new("finished").state("FINISHED"),
            Order::new("cancelled").state("CANCELLED"),
            Order::new("living"),
            Order::new("other").workflow("/sos/other", "1"),
        ])
        .await;
        let changes = [
            "state = 'FRESH'", "state = state", "suspended = FALSE", "mark = NULL",
            "scheduled_for = NULL", "kill_requested = NULL", "sigkill_at = NULL",
            "workflow_path = '/sos/other'", "workflow_version_id = '1'",
            "order_id = 'x' || order_id", "controller_id = controller_id", "priority = 1",
            "arguments = '{}'", "position = NULL", "reason = NULL", "started = NULL",
            "state_since = NULL",
        ];
        for change in changes {
            for id in ["finished", "cancelled"] {
                let sql = format!("UPDATE orders SET {change} WHERE order_id = '{id}'");
                let error = db.execute(&sql).await.unwrap_err().to_string();
                assert!(error.contains("a terminal order is never changed"), "{sql}: {error}");
            }
            if !change.starts_with("order_id") {
                let sql = format!("UPDATE orders SET {change} WHERE order_id = 'living'");
                assert_eq!(db.execute(&sql).await.unwrap(), 1, "{sql}");
            }
        }
        // One among others is enough.
        db.execute("UPDATE orders SET state = 'FAILED'").await.unwrap_err();
        assert_eq!(db.state("other").await, "FRESH");
    }

    async fn the_audit_trail_is_append_only(kind: Kind) {
        let db = Database::create(kind).await;
        let entry = "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome,
            affected, request_id) VALUES ('prod', 'root', './orders/cancel', '{}', 'DONE', 1, 'r')";
        let detail = "INSERT INTO audit_log_details (controller_id, audit_log_id, order_id,
            workflow_path, workflow_version_id, folder, previous_state, new_state)
            VALUES ('prod', 1, 'o', '/a', '1', '/', 'PENDING', 'CANCELLED')";
        assert!(db.execute(detail).await.is_err(), "details without an entry");
        db.execute(&format!("BEGIN; {entry}; {detail}; COMMIT")).await.unwrap();
        let before = snapshot(&db).await;

        for table in ["audit_logs", "audit_log_details"] {
            let mut wrong = vec![
                format!("UPDATE {table} SET created = created"),
                format!("UPDATE {table} SET controller_id = 'x' WHERE controller_id = 'prod'"),
                format!("DELETE FROM {table}"),
                format!("DELETE FROM {table} WHERE controller_id = 'prod'"),
            ];
            if kind == Kind::Postgres {
                wrong.push(format!("TRUNCATE {table} CASCADE"));
                wrong.push(format!("DELETE FROM {table} WHERE FALSE"));
                wrong.push("TRUNCATE audit_logs, audit_log_details".into());
            } else {
                wrong.push(format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"));
                wrong.push(format!("REPLACE INTO {table} SELECT * FROM {table}"));
                wrong.push(format!("UPDATE OR REPLACE {table} SET created = created"));
                wrong.push(format!("UPDATE OR IGNORE {table} SET created = created"));
                wrong.push(format!(
                    "INSERT INTO {table} SELECT * FROM {table} WHERE TRUE ON CONFLICT DO UPDATE SET created = ''"
                ));
            }
            for sql in wrong {
                let error = db.execute(&sql).await.unwrap_err().to_string();
                assert!(error.contains(" is append-only"), "{sql}: {error}");
            }
        }
        if kind == Kind::Postgres {
            db.execute("TRUNCATE audit_logs").await.unwrap_err();
        }
        for (from, to) in [
            ("'{}'", "'{'"), ("'DONE'", "'OK'"), ("'DONE'", "'DENIED'"), ("'DONE'", "'NO_ORDERS'"),
            ("DONE', 1", "DONE', -1"), ("'root'", "NULL"),
        ] {
            let wrong = entry.replace(from, to);
            assert!(db.execute(&wrong).await.is_err(), "was accepted: {wrong}");
        }
        for id in [-1, 0, 7] {
            let sql = entry.replace("(controller_id", "(id, controller_id")
                .replace("('prod'", &format!("({id}, 'prod'"));
            assert!(db.execute(&sql).await.is_err(), "was accepted: {sql}");
        }
        let after = snapshot(&db).await;
        assert_eq!(after[..before.len()], before);
    }

    async fn defaults_of_an_order(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        db.execute("INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
            VALUES ('prod', 'a|b', '/sos/eod', '1')").await.unwrap();
        let rows = db.rows("SELECT state, CASE WHEN suspended THEN 1 ELSE 0 END, mark, scheduled_for,
            kill_requested, sigkill_at, folder, parent_id, effective_state,
            CASE WHEN created = modified THEN 1 ELSE 0 END FROM orders_effective").await.unwrap();
        let row: Vec<_> = rows[0].iter().map(Option::as_deref).collect();
        assert_eq!(row, [Some("FRESH"), Some("0"), None, None, None, None, Some("/sos"), Some("a"),
            Some("PENDING"), Some("1")]);
        let age = match kind {
            Kind::Sqlite => "SELECT unixepoch() - unixepoch(created) FROM orders",
            Kind::Postgres => "SELECT extract(epoch FROM now() - created)::bigint FROM orders",
        };
        assert!((0..60).contains(&db.count(age).await));
    }

    async fn folders_names_and_parents(kind: Kind) {
        let db = Database::create(kind).await;
        db.execute(WORLD).await.unwrap();
        for (path, folder, name) in [
            ("/eod", "/", "eod"),
            ("/sos/eod", "/sos", "eod"),
            ("/sos/billing/eod", "/sos/billing", "eod"),
            ("/a/a", "/a", "a"),
            ("/aa/a/aa", "/aa/a", "aa"),
            ("/ / ", "/ ", " "),
            ("/日本/東京/日報", "/日本/東京", "日報"),
            ("/O'Brien & \"Söhne\"/it's", "/O'Brien & \"Söhne\"", "it's"),
            ("/50%_ off\\/[a-z]*", "/50%_ off\\", "[a-z]*"),
            ("/🎄/e\u{301}🎄", "/🎄", "e\u{301}🎄"),
        ] {
            let sql = format!(
                "INSERT INTO workflows (controller_id, path, version_id) VALUES ('prod', {0}, 'v');
                 INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
                 VALUES ('prod', {0}, {0}, 'v')", quote(path));
            db.execute(&sql).await.unwrap();
            let sql = format!("SELECT w.folder, w.name, o.folder FROM workflows w JOIN orders o
                ON o.workflow_path = w.path WHERE w.path = {} AND w.version_id = 'v'", quote(path));
            let row = db.rows(&sql).await.unwrap().remove(0);
            let row: Vec<_> = row.iter().flatten().collect();
            assert_eq!(row, [folder, name, folder], "{path}");
        }
        for (id, parent) in [
            ("#1", None),
            ("#1|east", Some("#1")),
            ("#1|east|north", Some("#1|east")),
            ("a|a", Some("a")),
            ("ü'\"|日本|🎄", Some("ü'\"|日本")),
        ] {
            db.insert(&[Order::new(id)]).await;
            let sql = format!("SELECT parent_id FROM orders WHERE order_id = {}", quote(id));
            assert_eq!(db.rows(&sql).await.unwrap()[0][0].as_deref(), parent, "{id}");
        }
    }

    async fn the_effective_state(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let now = Utc::now();
        let mut orders = Vec::new();
        let mut expected = BTreeMap::new();
        for state in ["FRESH", "RUNNING", "INPROGRESS", "WAITING", "PROMPTING", "FAILED", "FINISHED",
            "CANCELLED"] {
            for suspended in [false, true] {
                let terminal = matches!(state, "FINISHED" | "CANCELLED");
                if suspended && (terminal || state == "RUNNING") {
                    continue;
                }
                for (at, offset) in [("never", None), ("past", Some(-1)), ("long ago", Some(-999_999)),
                    ("future", Some(1)), ("far", Some(999_999))] {
                    let mut order = Order::new(&format!("{state} {suspended} {at}")).state(state);
                    order.suspended = suspended;
                    order.scheduled_for = offset.map(|hours| now + TimeDelta::hours(hours));
                    let effective = match (state, suspended, offset) {
                        (_, true, _) => "SUSPENDED",
                        ("FRESH", _, None) => "PENDING",
                        ("FRESH", _, Some(1..)) => "SCHEDULED",
                        ("FRESH", ..) => "BLOCKED",
                        _ => state,
                    };
                    expected.insert(order.order_id.clone(), effective);
                    orders.push(order);
                }
            }
        }
        app.db.insert(&orders).await;
        let rows = app.db.rows("SELECT order_id, effective_state FROM orders_effective").await.unwrap();
        assert_eq!(rows.len(), expected.len());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for row in rows {
            let (id, state) = (row[0].clone().unwrap(), row[1].clone().unwrap());
            assert_eq!(state, expected[&id], "{id}");
            *counts.entry(state).or_default() += 1;
        }

        // The service sees the same, but for those that nothing can be done to.
        let preview = app.preview(json!({"folders": [{"folder": "/"}]})).await;
        counts.retain(|state, _| state != "FINISHED" && state != "CANCELLED");
        assert_eq!(preview["byState"], json!(counts));
        for order in preview["orders"].as_array().unwrap() {
            assert_eq!(order["state"], expected[order["orderId"].as_str().unwrap()]);
        }
        for (state, count) in counts {
            let preview = app.preview(json!({"states": [state]})).await;
            assert_eq!(preview["byState"], json!({state: count}));
        }
    }

    async fn an_order_that_is_due_now_is_scheduled(kind: Kind) {
        let now = iso(&start_time());
        let app = App::with(kind, &[
            Order::new("now").at(&now),
            Order::new("before").at("2026-11-23T12:34:56.788Z"),
        ])
        .await;
        let preview = app.preview(json!({"folders": [{"folder": "/"}]})).await;
        assert_eq!(preview["orders"][0]["state"], "BLOCKED");
        assert_eq!(preview["orders"][1]["state"], "SCHEDULED");
        app.pass(TimeDelta::milliseconds(1));
        let preview = app.preview(json!({"folders": [{"folder": "/"}]})).await;
        assert_eq!(preview["byState"], json!({"BLOCKED": 2}));
    }

    async fn migrations_go_down_and_up(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        for target in [2, 1, 2, 3, 0] {
            store::migrate(&db.url, Some(target)).await.unwrap();
            let migrations = store::migrations(&db.url).await.unwrap();
            for migration in &migrations {
                assert_eq!(migration.applied, migration.version <= target, "{migration:?}");
            }
            assert_eq!(db.count(AUDIT_TABLES[kind as usize]).await > 0, target >= 2);
        }
        assert_eq!(db.count(TABLES[kind as usize]).await, 0, "something is left");
        store::migrate(&db.url, None).await.unwrap();
        db.insert(&[Order::new("a")]).await;
        assert_eq!(db.count("SELECT count(*) FROM orders").await, 1);
    }

    async fn a_newer_schema_is_refused(kind: Kind) {
        let db = Database::create(kind).await;
        let blob = if kind == Kind::Sqlite { "x'00'" } else { "'\\x00'::bytea" };
        db.execute(&format!("INSERT INTO _sqlx_migrations (version, description, success, checksum,
            execution_time) VALUES (9999, 'later', TRUE, {blob}, 0)")).await.unwrap();
        for error in [
            store::open(&db.url, 2, store::Access::Write).await.err().expect("refused").to_string(),
            store::migrate(&db.url, None).await.unwrap_err().to_string(),
        ] {
            assert!(error.contains("schema") && error.contains("9999"), "{error}");
        }
    }

    async fn the_files_run_by_themselves(kind: Kind) {
        let db = Database::create(kind).await;
        store::migrate(&db.url, Some(0)).await.unwrap();
        for down in [false, true] {
            for file in files(kind, down) {
                let sql = std::fs::read_to_string(&file).unwrap();
                db.execute(&sql).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            }
            if !down {
                db.insert(&[Order::new("a")]).await;
                assert_eq!(db.count("SELECT count(*) FROM orders_effective").await, 1);
                assert!(store::open(&db.url, 1, store::Access::Write).await.is_err(), "nobody recorded the migrations");
                store::record_migrations(&db.url).await.unwrap();
                store::open(&db.url, 1, store::Access::Write).await.unwrap().close().await;
            }
        }
        assert_eq!(db.count(TABLES[kind as usize]).await, 0, "something is left");
    }
}

/// How many tables and views there are, beside that of the migrations, by [`Kind`].
const TABLES: [&str; 2] = [
    "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    "SELECT (SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'
     AND table_name <> '_sqlx_migrations') + (SELECT count(*) FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace)",
];
const AUDIT_TABLES: [&str; 2] = [
    "SELECT count(*) FROM sqlite_schema WHERE name = 'audit_logs'",
    "SELECT count(*) FROM information_schema.tables WHERE table_name = 'audit_logs'",
];

/// The rows of the audit trail.
async fn snapshot(db: &Database) -> Vec<Vec<Option<String>>> {
    let mut rows = db.rows("SELECT * FROM audit_log_details ORDER BY order_id").await.unwrap();
    rows.extend(db.rows("SELECT * FROM audit_logs ORDER BY id").await.unwrap());
    rows
}

/// The migrations of a database in their order.
fn files(kind: Kind, down: bool) -> Vec<String> {
    let folder = if kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
    let end = if down { ".down.sql" } else { ".up.sql" };
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(end))
        .collect();
    files.sort();
    if down {
        files.reverse();
    }
    files
}

#[test]
fn both_databases_have_the_same_migrations() {
    for down in [false, true] {
        let names = |kind| {
            let name = |path: String| path.rsplit_once('/').unwrap().1.to_owned();
            files(kind, down).into_iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(Kind::Sqlite), names(Kind::Postgres));
        assert!(!names(Kind::Sqlite).is_empty());
    }
}

/// A connection as the sqlite3 shell has it.
async fn shell(db: &Database) -> SqliteConnection {
    let options: SqliteConnectOptions = db.url.parse().unwrap();
    options.foreign_keys(false).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_foreign_keys_an_insert_is_checked_nevertheless() {
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
#[test]
fn the_sqlite3_shell_makes_the_schema_and_writes_orders() {
    let mut sql: String = files(Kind::Sqlite, false)
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap() + "\n")
        .collect();
    sql += WORLD;
    sql += "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
            VALUES ('prod', 'a', '/sos/eod', '1');
            UPDATE orders SET position = '[0]', reason = 'FORKED', state = 'WAITING';
            SELECT effective_state FROM orders_effective;";
    let mut shell = std::process::Command::new("sqlite3")
        .args(["-bail", ":memory:"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sqlite3, which scripts/setup installs");
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), sql.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "WAITING\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_takes_every_millisecond() {
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

/// `check` compares a PostgreSQL schema with a list that is part of the program. With
/// `UPDATE_SCHEMA=1` this test writes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_the_schema_is_what_the_migrations_make() {
    let db = Database::create(Kind::Postgres).await;
    store::migrate(&db.url, Some(0)).await.unwrap();
    let mut list: Vec<serde_json::Value> = Vec::new();
    for migration in store::migrations(&db.url).await.unwrap() {
        let version = migration.version;
        store::migrate(&db.url, Some(version)).await.unwrap();
        let mut parts: Vec<_> =
            store::schema(&db.url).await.unwrap().iter().map(|part| json!(part)).collect();
        for known in list.iter_mut().filter(|known| known["before"].is_null()) {
            let is_same = |part: &serde_json::Value| {
                ["kind", "of", "name", "definition"].iter().all(|key| part[key] == known[key])
            };
            match parts.iter().position(is_same) {
                Some(same) => drop(parts.remove(same)),
                None => known["before"] = json!(version),
            }
        }
        for mut part in parts {
            part["since"] = json!(version);
            list.push(part);
        }
    }
    let lines: Vec<String> = list.iter().map(|part| format!("  {part}")).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/postgres/schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let known = std::fs::read_to_string(file).unwrap();
    for (known, made) in known.lines().zip(text.lines()) {
        assert_eq!(known, made, "UPDATE_SCHEMA=1 writes the list anew");
    }
    assert_eq!(known.lines().count(), text.lines().count());
}
