//! Which rows the schema rejects.

use joc_orders::model::permission::known;

use crate::harness::{Database, HASH, Kind, quote};

use super::WORLD;

/// Pairs of an invalid statement and a similar valid one.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn add(&mut self, wrong: impl Into<String>, right: impl Into<String>) {
        self.0.push((wrong.into(), right.into()));
    }

    /// Adds orders with these columns and values.
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

    /// Adds orders with these ids, which are SQL.
    fn order_id(&mut self, wrong: &str, right: &str) {
        let sql = |id: &str| {
            format!(
                "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id) \
                 VALUES ('prod', {id}, '/sos/eod', '1')"
            )
        };
        self.add(sql(wrong), sql(right));
    }

    /// Adds rows of a table with these values.
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

/// Every control character that a text can have, and NUL, as SQL.
fn control_characters(kind: Kind) -> Vec<String> {
    let function = if kind == Kind::Sqlite { "char" } else { "chr" };
    (0..32).chain([127]).map(|code| format!("{function}({code})")).collect()
}

on_both! {
    async fn rejects_invalid_names_and_ids(kind: Kind) {
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

    async fn rejects_invalid_orders(kind: Kind) {
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

        // What requests and executors write.
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

        // References.
        let order = |controller: &str, path: &str, version: &str| format!(
            "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id) \
             VALUES ('{controller}', 'w{path}{version}', '{path}', '{version}')");
        pairs.add(order("prod", "/sos/eod", "2"), order("prod", "/sos/eod", "1"));
        pairs.add(order("unused", "/unused", "1"), order("prod", "/unused", "1"));
        pairs.add("DELETE FROM workflows WHERE path = '/unused'",
            "DELETE FROM orders WHERE workflow_path = '/unused'");
        pairs.add("DELETE FROM controllers WHERE controller_id = 'prod'",
            "DELETE FROM controllers WHERE controller_id = 'unused'");

        // Computed columns.
        for (column, value) in [("folder", "'/sos'"), ("parent_id", "NULL")] {
            pairs.order(column, value, "DEFAULT");
        }
        if kind == Kind::Sqlite {
            pairs.0.truncate(pairs.0.len() - 2); // SQLite has no DEFAULT as a value.
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

    async fn rejects_invalid_accounts_and_roles(kind: Kind) {
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

        // Deleting a role or an account deletes what belongs to it.
        db.execute("DELETE FROM roles WHERE role = 'r'").await.unwrap();
        db.execute("DELETE FROM accounts WHERE account = 'op'").await.unwrap();
        for table in ["role_folders", "account_roles", "sessions"] {
            assert_eq!(db.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
    }
}
