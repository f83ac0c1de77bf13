//! `joc-orders migrate` where it could lose data, or record a migration that has not run.

use std::fs;

use joc_orders::store;
use serde_json::json;

use crate::harness::{
    App, Database, Kind, Order, Ran, latest, launch, launch_command, on_terminal, program,
    versions, words,
};

async fn migrate(db: &Database, args: &[&str]) -> Ran {
    launch(&db.owner, &[&["migrate"], args].concat(), "").await
}

/// The database's last migration.
pub async fn version(db: &Database) -> i64 {
    let migrations = store::migrations(&db.owner).await.unwrap();
    migrations.iter().filter(|migration| migration.applied).map(|m| m.version).max().unwrap_or(0)
}

/// The statements of these migrations.
fn sql(kind: Kind, versions: std::ops::RangeInclusive<i64>) -> String {
    let folder = if kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_meant = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let number = name.split_once('_').unwrap().0.parse().unwrap();
        name.ends_with(".up.sql") && versions.contains(&number)
    };
    let mut files: Vec<_> = files.filter(is_meant).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

on_both! {
    async fn undoing_names_what_is_lost_and_asks(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        db.insert(&["a", "b", "c"].map(Order::new)).await;
        app.cancel(json!({"orderIds": ["a", "b"]})).await.ok();
        assert_eq!(app.store.seal(chrono::Utc::now()).await.unwrap(), 1);
        let before = store::schema(&db.owner).await.unwrap();
        for (args, said, code) in [
            (&["--to", "0"][..], "--drop-audit-trail", 2),
            (&["--to", "0", "--yes"], "--drop-audit-trail", 2),
            (&["--to", "4", "--yes"], "1 seal would be lost", 2),
            (&["--to", "0", "--drop-audit-trail"], "--yes", 2),
            (&["--to", "4", "--drop-audit-trail"], "--yes", 2),
            (&["--yes"], "--to", 2),
            (&["--to", "99", "--yes"], "99", 2),
        ] {
            let ran = migrate(db, args).await;
            assert!(ran.failed().contains(said), "{args:?}: {ran:?}");
            assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
            assert_eq!(store::schema(&db.owner).await.unwrap(), before);
        }
        let ran = migrate(db, &["--to", "0"]).await;
        for line in [
            "undoing migration 15 loses the old values in 2 audit details",
            "undoing migration 8 loses the history ids of 3 orders",
            "undoing migration 5 loses 1 seal",
            "undoing migration 4 loses priority, arguments, position, reason and times of 2 orders",
            "undoing migration 3 loses 1 account",
            "undoing migration 3 loses 1 session",
            "undoing migration 2 loses 1 audit entry",
            "undoing migration 2 loses 2 audit details",
            "undoing migration 1 loses 3 orders",
            "undoing migration 1 loses 1 workflow",
            "undoing migration 1 loses 1 controller",
        ] {
            assert!(ran.stderr.lines().any(|said| said == line), "{line}: {ran:?}");
        }
        app.store.close().await;
        migrate(db, &["--to", "4", "--yes", "--drop-audit-trail"]).await.ok();
        // The request, and the migration back, which is recorded before the trail refuses it.
        assert_eq!((version(db).await, db.count("SELECT count(*) FROM audit_logs").await), (4, 2));
        // This affects orders only.
        let ran = migrate(db, &["--to", "3"]).await;
        assert!(ran.failed().contains("--yes") && ran.stderr.contains("2 orders"), "{ran:?}");
        migrate(db, &["--to", "3", "--yes"]).await.ok();
        migrate(db, &["--to", "0", "--yes", "--drop-audit-trail"]).await.ok();
        assert_eq!(version(db).await, 0);
        // Without a loss there is no prompt.
        migrate(db, &[]).await.ok();
        migrate(db, &["--to", "2"]).await.ok();
        assert_eq!(version(db).await, 2);
    }

    async fn records_only_migrations_that_the_schema_shows(kind: Kind) {
        let db = Database::create(kind).await.into_owner();
        store::migrate(&db.owner, Some(0)).await.unwrap();
        db.execute("DROP TABLE _sqlx_migrations").await.unwrap();
        let ran = migrate(&db, &["--record"]).await;
        assert_eq!(ran.code, Some(9), "{ran:?}");
        assert!(ran.stderr.contains("not every migration was recorded"), "{ran:?}");
        assert_eq!(version(&db).await, 0);
        // File after file, with one of them only in part.
        for last in versions() {
            db.execute(&sql(kind, last..=last)).await.unwrap();
            // On SQLite migration 13 changes nothing, so whoever has the one before has both.
            let shown = if kind == Kind::Sqlite && last == 12 { 13 } else { last };
            let ran = migrate(&db, &["--record"]).await;
            assert_eq!(ran.code, Some(if shown == latest() { 0 } else { 9 }), "{ran:?}");
            assert_eq!(version(&db).await, shown);
            let applied = versions().iter().filter(|version| **version <= shown).count();
            assert_eq!(ran.stdout.matches("applied").count(), applied, "{ran:?}");
            if last == 4 {
                assert!(ran.stderr.contains("not recorded: the table audit_seals is missing"), "{ran:?}");
                let whole = sql(kind, 5..=5);
                let (table, _) = whole.split_once("CREATE TRIGGER").unwrap();
                db.execute(table).await.unwrap();
                let ran = migrate(&db, &["--record"]).await;
                assert_eq!((ran.code, version(&db).await), (Some(9), 4), "{ran:?}");
                assert!(ran.stderr.contains("not recorded: the trigger audit_seals_"), "{ran:?}");
                assert!(!ran.stderr.contains("the table"), "{ran:?}");
                db.execute("DROP TABLE audit_seals").await.unwrap();
            }
        }
        launch(&db.owner, &["check"], "").await.ok();

        // All at once.
        store::migrate(&db.owner, Some(0)).await.unwrap();
        db.execute(&sql(kind, 1..=latest())).await.unwrap();
        migrate(&db, &["--record"]).await.ok();
        assert_eq!(version(&db).await, latest());
    }
}

/// Runs a command on a terminal where somebody types.
async fn on_a_terminal(url: &str, args: &str, typed: &str) -> Ran {
    let mut command = program(url);
    command.args(words(args));
    launch_command(on_terminal(&command), typed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_for_confirmation_on_a_terminal() {
    let db = Database::create(Kind::Sqlite).await;
    db.insert(&["a", "b"].map(Order::new)).await;
    let last = latest();
    for (typed, code, left) in [("n\n", 6, last), ("\n", 6, last), ("y\n", 0, 0)] {
        let ran = on_a_terminal(&db.owner, "migrate --to 0", typed).await;
        assert_eq!((ran.code, version(&db).await), (Some(code), left), "{ran:?}");
        assert!(ran.stdout.contains("2 orders"), "{ran:?}");
        assert!(ran.stdout.contains("Undo the migrations and lose these data? [y/N]"), "{ran:?}");
    }
}
