//! Which databases are rejected, and how upgrades coexist with other users of the database.

use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use joc_orders::store;
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgRow};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::harness::{
    Database, Kind, ROOT, Ran, Served, launch, launch_command, program, until, with_controller,
};
use crate::migrate::version;

/// Every command that opens a database.
const COMMANDS: &[&[&str]] = &[
    &["serve", "--listen", "127.0.0.1:0"],
    &["migrate"],
    &["migrate", "--status"],
    &["migrate", "--record"],
    &["migrate", "--to", "0"],
    &["import"],
    &["account", "list"],
    &["account", "remove", "anna"],
    &["check"],
    &["audit", "verify"],
];

/// Expects every command to reject a database with these words.
async fn all_refuse(url: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let other = format!("sqlite:{}", folder.path().join("other.db").display());
    store::migrate(&other, None).await.unwrap();
    let copies = [["copy", "--from", url, "--to", &other], ["copy", "--from", &other, "--to", url]];
    let copies = copies.iter().map(|args| &args[..]);
    for args in COMMANDS.iter().copied().chain(copies) {
        let ran = launch(url, args, "").await;
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "{word}, {args:?}: {ran:?}");
        }
        assert!(ran.stdout.is_empty(), "{args:?}: {ran:?}");
    }
}

/// Creates a database in the cluster, and returns its URL.
async fn create_database(db: &Database, name: &str, with: &str) -> String {
    db.execute(&format!("CREATE DATABASE {name} {with} TEMPLATE template0")).await.unwrap();
    let (server, _) = db.owner.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// The single value of a query on a database of the cluster.
async fn one<T>(url: &str, sql: &'static str) -> T
where
    (T,): for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
{
    let mut connection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
    let (value,) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_other_encodings_by_name_and_leaves_them_alone() {
    let db = Database::create(Kind::Postgres).await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("in_{}", encoding.to_lowercase());
        let url = create_database(&db, &name, &format!("ENCODING '{encoding}' LOCALE 'C'")).await;
        let createdb = "createdb --encoding UTF8 --template template0";
        all_refuse(&url, &[&name, encoding, createdb]).await;
        let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        assert_eq!(one::<i64>(&url, tables).await, 0);
    }
}

/// The service's own settings override those of its role.
#[tokio::test(flavor = "multi_thread")]
async fn client_encoding_and_locale_do_not_matter() {
    let db = Database::create(Kind::Postgres).await;
    let icu = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn' LOCALE 'C'";
    let url = create_database(&db, "german", icu).await;
    db.execute(
        "ALTER DATABASE german SET client_encoding = 'LATIN1'; CREATE ROLE umlaut SUPERUSER LOGIN;
         ALTER ROLE umlaut SET client_encoding = 'LATIN1'",
    )
    .await
    .unwrap();
    let url = url.replace("postgres@", "umlaut@");
    let order = json!({"controllerId": "prod", "order": {
        "orderId": "ü日本", "workflowId": {"path": "/Büro/日本", "versionId": "1"},
        "state": {"_text": "SCHEDULED"}, "scheduledFor": 1_795_437_600_000_u64,
    }});
    launch(&url, &["import"], order.to_string()).await.ok();
    launch(&url, &["check", "--strict"], "").await.ok();
    assert_eq!(one::<String>(&url, "SELECT order_id FROM orders").await, "ü日本");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_file_in_utf_16_and_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wide.db");
    let made = Command::new("sqlite3")
        .arg(&file)
        .arg("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a); DROP TABLE t")
        .status();
    assert!(made.unwrap().success());
    let before = std::fs::read(&file).unwrap();
    let url = format!("sqlite:{}", file.display());
    all_refuse(&url, &["wide.db", "UTF-16", "UTF-8"]).await;
    // Its mode may have become WAL, in bytes 18 and 19, which counts as a change.
    let mut after = std::fs::read(&file).unwrap();
    assert_eq!(after.len(), before.len());
    for changing in [18..20, 24..28, 92..100] {
        after[changing.clone()].copy_from_slice(&before[changing]);
    }
    assert!(after == before);
    let tables = Command::new("sqlite3").arg(&file).arg(".tables").output().unwrap();
    assert!(tables.stdout.is_empty());
}

/// A database at migration 3 with an order.
async fn older(kind: Kind) -> Database {
    let db = Database::create(kind).await;
    store::migrate(&db.owner, Some(3)).await.unwrap();
    db.execute(
        "INSERT INTO controllers (controller_id) VALUES ('prod');
         INSERT INTO workflows (controller_id, path, version_id) VALUES ('prod', '/sos/eod', '1');
         INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id)
         VALUES ('prod', 'a', '/sos/eod', '1')",
    )
    .await
    .unwrap();
    db
}

/// What keeps a migration from its locks.
fn hold(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "BEGIN IMMEDIATE; UPDATE orders SET modified = modified",
        Kind::Postgres => "BEGIN; SELECT count(*) FROM orders",
    }
}

/// Migrates in a separate task.
fn migrating(db: &Database, args: &[&str]) -> JoinHandle<Ran> {
    let mut command = program(&db.owner);
    command.arg("migrate").args(args);
    tokio::spawn(launch_command(command, ""))
}

on_both! {
    async fn an_upgrade_without_a_lock_ends_and_changes_nothing(kind: Kind) {
        let db = older(kind).await;
        let mut holder = db.lock(hold(kind)).await;
        let schema = store::schema(&db.owner).await.unwrap();
        let ran = migrating(&db, &["--lock-timeout", "1", "--wait", "2"]).await.unwrap();
        assert_eq!(ran.code, Some(7), "{ran:?}");
        for said in ["no lock yet", "migration 4", "nothing of it was done", "In the way: "] {
            assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        }
        let holder_is = match kind {
            Kind::Sqlite => "another program that writes to the file",
            Kind::Postgres => "of role postgres at 127.0.0.1, idle in transaction for 00:",
        };
        assert!(ran.stderr.contains(holder_is), "{ran:?}");
        assert_eq!(store::schema(&db.owner).await.unwrap(), schema);
        assert_eq!(version(&db).await, 3);
        holder.execute("COMMIT").await;
        migrating(&db, &[]).await.unwrap().ok();
        launch(&db.owner, &["check", "--strict"], "").await.ok();

        // And back.
        let mut holder = db.lock(hold(kind)).await;
        let schema = store::schema(&db.owner).await.unwrap();
        let down = ["--to", "3", "--lock-timeout", "1", "--wait", "1", "--yes"];
        let ran = migrating(&db, &down).await.unwrap();
        assert_eq!(ran.code, Some(7), "{ran:?}");
        assert!(ran.stderr.contains("undoing migration"), "{ran:?}");
        if kind == Kind::Sqlite {
            assert_eq!(store::schema(&db.owner).await.unwrap(), schema);
        }
        holder.execute("COMMIT").await;
        migrating(&db, &down).await.unwrap().ok();
        assert_eq!(version(&db).await, 3);
    }

    async fn an_upgrade_lets_others_through_and_continues_when_it_can(kind: Kind) {
        let db = older(kind).await;
        let mut holder = db.lock(hold(kind)).await;
        let migrating = migrating(&db, &["--lock-timeout", "1", "--wait", "600"]);
        // It waits, pauses and waits again, and those who queue behind it get through.
        let (mut waits, mut waited) = (0, false);
        let started = Instant::now();
        until("it waits once more", async || {
            if kind == Kind::Postgres {
                let waits_now = db.count(WAITING).await > 0;
                waits += i32::from(waits_now && !waited);
                waited = waits_now;
            }
            let read = db.count("SELECT count(*) FROM orders");
            let read = tokio::time::timeout(Duration::from_secs(30), read).await;
            assert_eq!(read.expect("a reader waits for long"), 1);
            (kind == Kind::Sqlite || waits >= 2) && started.elapsed() > Duration::from_secs(3)
        })
        .await;
        assert!(!migrating.is_finished());
        holder.execute("COMMIT").await;
        migrating.await.unwrap().ok();
        launch(&db.owner, &["check", "--strict"], "").await.ok();
    }
}

/// How many sessions wait for `orders`.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted
    AND relation = 'orders'::regclass AND database = (SELECT oid FROM pg_database
        WHERE datname = current_database())";

/// Somebody else migrates, or holds the migration lock for no reason.
#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_the_migration_lock_is_limited() {
    let db = older(Kind::Postgres).await;
    let mut holder = db.lock(hold(Kind::Postgres)).await;
    let first = migrating(&db, &["--wait", "600"]);
    until("the first waits", async || db.count(WAITING).await > 0).await;
    let ran = migrating(&db, &["--lock-timeout", "1", "--wait", "1"]).await.unwrap();
    assert_eq!(ran.code, Some(7), "{ran:?}");
    for said in ["the migration lock", "of role postgres (joc-orders)"] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
    // Without pending migrations no lock is needed.
    holder.execute("COMMIT").await;
    first.await.unwrap().ok();
    let mut lock = db.lock("SELECT pg_advisory_lock(1)").await;
    lock.execute("BEGIN; LOCK TABLE audit_logs IN SHARE MODE").await;
    migrating(&db, &["--lock-timeout", "1", "--wait", "1"]).await.unwrap().ok();
}

/// Dropping triggers needs an exclusive lock, so it takes that before anything else.
#[tokio::test(flavor = "multi_thread")]
async fn undoing_takes_its_lock_first() {
    let db = Database::create(Kind::Postgres).await;
    let mut holder = db.lock("BEGIN; SELECT count(*) FROM sessions").await;
    let migrating = migrating(&db, &["--to", "5", "--wait", "600"]);
    let waiting =
        "SELECT coalesce(max(a.query), '') FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE NOT l.granted AND l.relation = 'sessions'::regclass
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut query = String::new();
    until("it waits", async || {
        query = db.rows(waiting).await.unwrap()[0][0].clone().unwrap();
        !query.is_empty()
    })
    .await;
    assert!(query.contains("LOCK TABLE") && query.contains("ACCESS EXCLUSIVE"), "{query}");
    holder.execute("COMMIT").await;
    migrating.await.unwrap().ok();
    assert_eq!(version(&db).await, 5);
}

/// PgBouncer in front of a database; stops when dropped.
struct Pooler {
    url: String,
    process: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Starts it with its default settings plus these.
    async fn start(db: &Database, settings: &str) -> Self {
        let options: PgConnectOptions = db.owner.parse().unwrap();
        let (host, port) = (options.get_host(), options.get_port());
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("users"), "\"postgres\" \"\"\n").unwrap();
        // Another process may take the free port first.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let ini = format!(
                "[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {free}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
                 {settings}\n",
                file("users").display()
            );
            std::fs::write(file("pgbouncer.ini"), ini).unwrap();
            // It refuses to run as root; this user exists, since the cluster's server runs as it.
            let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
            let mut command = Command::new("pgbouncer");
            command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()));
            command.args(is_root.then_some("--user=postgres")).arg(file("pgbouncer.ini"));
            let mut process = command.stderr(Stdio::null()).spawn().expect("pgbouncer");
            while process.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", free)).is_ok() {
                    let (_, name) = db.owner.rsplit_once('/').unwrap();
                    let url = format!("postgres://postgres@127.0.0.1:{free}/{name}");
                    return Self { url, process, _folder: folder };
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        panic!("pgbouncer does not start");
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_a_pooler_with_default_settings() {
    let db = older(Kind::Postgres).await;
    let pooler = Pooler::start(&db, "").await;
    launch(&pooler.url, &["migrate"], "").await.ok();
    let mut command = program(&pooler.url);
    command.env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1);
    let served = tokio::task::spawn_blocking(|| Served::start(command)).await.unwrap();
    let token = served.login().await;
    let cancel = with_controller(json!({"orderIds": ["a"]}));
    assert_eq!(served.post(&token, "/orders/cancel", &cancel).await.affected(), 1);
    drop(served);
    for args in [&["check", "--strict"][..], &["audit", "verify"], &["account", "list"]] {
        launch(&pooler.url, args, "").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_transaction_pooler() {
    let db = older(Kind::Postgres).await;
    let word = "pool_mode = session";
    let pooler = Pooler::start(&db, "pool_mode = transaction");
    all_refuse(&pooler.await.url, &[word]).await;
    for settings in [
        "pool_mode = statement",
        "pool_mode = transaction\nserver_round_robin = 1\nmin_pool_size = 3",
    ] {
        let ran = launch(&Pooler::start(&db, settings).await.url, &["migrate"], "").await;
        assert_eq!(ran.code, Some(2), "{settings}: {ran:?}");
        assert!(ran.stderr.contains(word), "{settings}: {ran:?}");
    }
    assert_eq!(version(&db).await, 3);
}

/// The steps that avoid migration 4's long lock lead to the same schema.
#[tokio::test(flavor = "multi_thread")]
async fn migration_4_in_steps_has_the_same_result() {
    let db = older(Kind::Postgres).await;
    db.execute(
        "INSERT INTO orders (controller_id, order_id, workflow_path, workflow_version_id, state,
             created, modified)
         SELECT 'prod', 'o' || i, '/sos/eod', '1', state, '2026-01-01', '2026-01-02'
         FROM generate_series(1, 9) i, (VALUES ('FINISHED')) s (state)",
    )
    .await
    .unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/migration-4-in-steps.sql");
    let mut psql = Command::new("psql");
    psql.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file", file, &db.owner]);
    launch_command(psql, "").await.ok();
    let recorded = launch(&db.owner, &["migrate", "--record"], "").await;
    assert_eq!((recorded.code, version(&db).await), (Some(9), 4), "{recorded:?}");
    let since = "SELECT count(*) FROM orders WHERE state_since = modified";
    assert_eq!(db.count(since).await, 9);
    launch(&db.owner, &["migrate"], "").await.ok();
    launch(&db.owner, &["check", "--strict"], "").await.ok();
}

/// The indexes that are built before the upgrade are those of migration 10, which replaces an invalid one.
#[tokio::test(flavor = "multi_thread")]
async fn migration_10_takes_indexes_that_are_there() {
    let db = Database::create(Kind::Postgres).await;
    store::migrate(&db.owner, Some(8)).await.unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/migration-10-indexes.sql");
    let mut psql = Command::new("psql");
    psql.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file", file, &db.owner]);
    launch_command(psql, "").await.ok();
    let failed = "UPDATE pg_index SET indisvalid = false
                  WHERE indexrelid = 'audit_log_details_folder'::regclass";
    assert_eq!(db.execute(failed).await.unwrap(), 1);
    // Since migration 13 it is that of a partition.
    let kept = "SELECT coalesce(to_regclass('audit_logs_p0_request'),
                    'audit_logs_request'::regclass)::oid::bigint";
    let before = db.count(kept).await;
    launch(&db.owner, &["migrate"], "").await.ok();
    assert_eq!(db.count(kept).await, before);
    launch(&db.owner, &["check", "--strict"], "").await.ok();
}
