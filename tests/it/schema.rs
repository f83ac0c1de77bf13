//! What the schema guarantees to those who write SQL, and how it is migrated.

use joc_orders::store;
use serde_json::json;

use crate::harness::{Database, Kind, Order};

mod changes;
mod computed;
mod rows;
mod sqlite;

const WORLD: &str = "INSERT INTO controllers (controller_id) VALUES ('prod'), ('unused');
    INSERT INTO workflows (controller_id, path, version_id)
    VALUES ('prod', '/sos/eod', '1'), ('prod', '/unused', '1');";

on_both! {
    async fn migrations_go_down_and_up(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        for target in [2, 1, 2, 3, 0] {
            store::migrate(&db.owner, Some(target)).await.unwrap();
            let migrations = store::migrations(&db.owner).await.unwrap();
            for migration in &migrations {
                assert_eq!(migration.applied, migration.version <= target, "{migration:?}");
            }
            assert_eq!(db.count(AUDIT_TABLES[kind as usize]).await > 0, target >= 2);
        }
        assert_eq!(db.count(TABLES[kind as usize]).await, 0, "something is left");
        store::migrate(&db.owner, None).await.unwrap();
        db.insert(&[Order::new("a")]).await;
        assert_eq!(db.count("SELECT count(*) FROM orders").await, 1);
    }

    async fn rejects_a_newer_schema(kind: Kind) {
        let db = Database::create(kind).await;
        let blob = if kind == Kind::Sqlite { "x'00'" } else { "'\\x00'::bytea" };
        db.execute(&format!("INSERT INTO _sqlx_migrations (version, description, success, checksum,
            execution_time) VALUES (9999, 'later', TRUE, {blob}, 0)")).await.unwrap();
        for error in [
            store::open(&db.url, 2, store::Access::Write).await.err().expect("refused").to_string(),
            store::migrate(&db.owner, None).await.unwrap_err().to_string(),
        ] {
            assert!(error.contains("schema") && error.contains("9999"), "{error}");
        }
    }

    async fn the_migration_files_run_by_themselves(kind: Kind) {
        let db = Database::create(kind).await;
        store::migrate(&db.owner, Some(0)).await.unwrap();
        for down in [false, true] {
            for file in files(kind, down) {
                let sql = std::fs::read_to_string(&file).unwrap();
                db.execute(&sql).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            }
            if !down {
                db.insert(&[Order::new("a")]).await;
                assert_eq!(db.count("SELECT count(*) FROM orders_effective").await, 1);
                assert!(store::open(&db.owner, 1, store::Access::Write).await.is_err(), "nobody recorded the migrations");
                store::record_migrations(&db.owner).await.unwrap();
                store::open(&db.owner, 1, store::Access::Write).await.unwrap().close().await;
            }
        }
        assert_eq!(db.count(TABLES[kind as usize]).await, 0, "something is left");
    }
}

/// The number of tables and views besides sqlx's own, by [`Kind`].
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

/// The migrations of a database, in order.
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

/// `check` compares a PostgreSQL schema with a list that is part of the program. With
/// `UPDATE_SCHEMA=1` this test writes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_the_schema_is_what_the_migrations_make() {
    let db = Database::create(Kind::Postgres).await;
    store::migrate(&db.owner, Some(0)).await.unwrap();
    let mut list: Vec<serde_json::Value> = Vec::new();
    for migration in store::migrations(&db.owner).await.unwrap() {
        let version = migration.version;
        store::migrate(&db.owner, Some(version)).await.unwrap();
        let mut parts: Vec<_> =
            store::schema(&db.owner).await.unwrap().iter().map(|part| json!(part)).collect();
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
