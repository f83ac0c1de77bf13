//! `check` on a schema that somebody changed.

use std::process::Command;

use serde_json::json;

use crate::harness::{App, Database, Kind, latest, launch, launch_command};

use super::{check, order};

on_both! {
    async fn reports_a_changed_schema(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[order("a")]).await;
        let own = "CREATE TABLE own (id TEXT PRIMARY KEY); CREATE INDEX own_orders ON orders (modified);
            CREATE VIEW own_view AS SELECT order_id FROM orders; ALTER TABLE orders ADD COLUMN own TEXT;";
        app.db.execute(own).await.unwrap();
        // Additions are not faults.
        assert_eq!(check(&app.db, &["--strict"]).await, [""; 0]);
        let cases: &[(&str, &[&str])] = match kind {
            Kind::Sqlite => &[
                ("DROP TRIGGER audit_logs_refuse_update; CREATE TRIGGER audit_logs_refuse_update
                  BEFORE UPDATE ON audit_logs WHEN NEW.id = 7 BEGIN SELECT RAISE(ABORT, 'x'); END",
                 &["the trigger audit_logs_refuse_update differs from the migrations"]),
                ("DROP INDEX orders_living_state; DROP INDEX orders_marked",
                 &["the index orders_living_state is missing", "the index orders_marked is missing"]),
                ("DROP VIEW orders_effective; CREATE VIEW orders_effective AS
                  SELECT o.*, o.state AS effective_state FROM orders o",
                 &["the view orders_effective differs from the migrations"]),
                ("PRAGMA writable_schema = ON;
                  UPDATE sqlite_schema SET sql = replace(replace(sql, '''RESUMING''))', '''RESUMING'', ''X''))'),
                      'orders_kill_has_mark', 'other_name') WHERE name = 'orders';
                  PRAGMA writable_schema = RESET",
                 &["the column orders.mark differs from the migrations",
                   "the constraint orders_kill_has_mark of orders is missing"]),
                ("ALTER TABLE orders RENAME COLUMN reason TO motive",
                 &["the column orders.reason is missing"]),
            ],
            Kind::Postgres => &[
                ("DROP TRIGGER audit_logs_append_only ON audit_logs; CREATE TRIGGER audit_logs_append_only
                  BEFORE UPDATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('x');
                  ALTER TABLE audit_seals DISABLE TRIGGER audit_seals_append_only",
                 &["the trigger audit_logs_append_only differs from the migrations",
                   "the trigger audit_seals_append_only is disabled"]),
                ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RETURN NULL; END $$",
                 &["the function refuse_change differs from the migrations"]),
                ("DROP INDEX orders_living_state; DROP INDEX orders_marked",
                 &["the index orders_living_state is missing", "the index orders_marked is missing"]),
                ("CREATE OR REPLACE VIEW orders_effective AS SELECT o.controller_id, o.order_id,
                  o.parent_id, o.root_id, o.workflow_path, o.workflow_version_id, o.folder, o.state,
                  o.suspended, o.mark, o.scheduled_for, o.kill_requested, o.sigkill_at, o.created,
                  o.modified, o.priority, o.arguments, o.position, o.reason, o.started, o.state_since,
                  o.remove_when_terminated, o.history_id, o.history_at, (o.state || '')::text AS effective_state FROM orders o",
                 &["the view orders_effective differs from the migrations"]),
                ("ALTER TABLE orders DROP CONSTRAINT orders_kill_has_mark;
                  ALTER TABLE orders DROP CONSTRAINT orders_mark_check;
                  ALTER TABLE orders ADD CONSTRAINT orders_mark_check CHECK (mark <> '') NOT VALID",
                 &["the constraint orders_kill_has_mark of orders is missing",
                   "the constraint orders_mark_check of orders differs from the migrations"]),
                ("ALTER TABLE orders RENAME COLUMN reason TO motive",
                 &["the column orders.reason is missing",
                   "the constraint orders_reason_is_a_word of orders differs from the migrations"]),
            ],
        };
        let mut expected = Vec::new();
        for (sql, problems) in cases {
            app.db.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            expected.extend(*problems);
            expected.sort_unstable();
            let mut found = check(&app.db, &[]).await;
            // Whatever refers to the renamed column is reported, too.
            found.retain(|line| !sql.contains("RENAME") || expected.contains(&&**line));
            assert_eq!(found, expected, "{sql}");
        }
        let lines = check(&app.db, &["--output", "json"]).await;
        let line = json!({"problem": "the column orders.reason is missing"}).to_string();
        assert!(lines.contains(&line), "{lines:?}");
    }

    async fn reports_missing_parts_when_the_rest_cannot_be_checked(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.store.close().await;
        app.db.execute("DROP VIEW orders_effective; DROP TABLE audit_seals").await.unwrap();
        let ran = launch(&app.db.url, &["check"], "").await;
        assert_eq!(ran.code, Some(8), "{ran:?}");
        let lines: Vec<_> = ran.stdout.lines().collect();
        for line in ["the table audit_seals is missing", "the view orders_effective is missing"] {
            assert!(lines.contains(&line), "{ran:?}");
        }
        assert!(ran.stderr.contains("the rest was not checked"), "{ran:?}");
    }

    async fn strict_reports_foreign_triggers(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let (sql, expected): (_, &[&str]) = match kind {
            Kind::Sqlite => (
                "CREATE TRIGGER swallow BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(IGNORE); END",
                &["the trigger swallow on audit_logs is not from the migrations"]),
            Kind::Postgres => (
                "CREATE RULE swallow AS ON INSERT TO audit_logs DO INSTEAD NOTHING;
                 CREATE TRIGGER other AFTER INSERT ON orders FOR EACH STATEMENT
                     EXECUTE FUNCTION refuse_change('x')",
                &["the rule swallow on audit_logs is not from the migrations",
                  "the trigger other on orders is not from the migrations"]),
        };
        app.db.execute(sql).await.unwrap();
        assert_eq!(check(&app.db, &[]).await, [""; 0]);
        assert_eq!(check(&app.db, &["--strict"]).await, expected);
    }

    async fn accepts_a_schema_migrated_back_and_forth(kind: Kind) {
        let db = Database::create(kind).await.into_owner();
        let last = latest();
        for target in [0, last, 3, last, 5, last, 4, last, 1, last] {
            joc_orders::store::migrate(&db.owner, Some(target)).await.unwrap();
        }
        assert_eq!(check(&db, &["--strict"]).await, [""; 0]);
    }
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// A dump writes the schema in the database's own words.
#[tokio::test(flavor = "multi_thread")]
async fn accepts_a_schema_restored_from_a_dump() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&[order("a")]).await;
    let (server, _) = db.owner.rsplit_once('/').unwrap();
    db.execute("CREATE DATABASE restored TEMPLATE template0").await.unwrap();
    let restored = format!("{server}/restored");
    pipe(command("pg_dump", &[&db.owner]), command("psql", &[&restored])).await;
    launch(&restored, &["check", "--strict"], "").await.ok();

    let db = Database::create(Kind::Sqlite).await;
    db.insert(&[order("a")]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("restored.db");
    let dump = db.owner.trim_start_matches("sqlite:");
    let restored = file.display().to_string();
    pipe(command("sqlite3", &[dump, ".dump"]), command("sqlite3", &[&restored])).await;
    launch(&format!("sqlite:{}", file.display()), &["check", "--strict"], "").await.ok();
}

/// Restores the output of one command with another.
async fn pipe(dump: Command, restore: Command) {
    let dumped = launch_command(dump, "").await;
    launch_command(restore, dumped.ok()).await.ok();
}
