//! Commands that read do not write: they create no file, change no byte, and need only a role that
//! may read. Commands that write need no right to change a schema that is up to date.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use joc_orders::store;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use crate::harness::{
    App, Cluster, Database, Kind, Order, ROOT, Ran, Served, launch, launch_command, program,
    versions, with_controller,
};

/// Every command that only reads.
const READERS: &[&[&str]] = &[
    &["check"],
    &["check", "--strict"],
    &["audit", "verify"],
    &["audit", "seals"],
    &["account", "list"],
    &["role", "list"],
    &["migrate", "--status"],
];

/// An app with orders, entries and seals.
async fn used(kind: Kind) -> App {
    let app = App::today(kind, &[]).await;
    app.db.insert(&["a", "b", "c"].map(Order::new)).await;
    app.cancel(json!({"orderIds": ["a"]})).await.ok();
    app.try_login("nobody", "wrong").await;
    assert_eq!(app.store.seal(chrono::Utc::now()).await.unwrap(), 2);
    app
}

/// The URL of the database as a new role with these rights on every table.
async fn role(db: &Database, rights: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let role = format!("reader_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    db.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await
    .unwrap();
    db.owner.replace("postgres@", &format!("{role}@"))
}

/// The names of the files in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

pub fn hash(file: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(file).unwrap()).to_vec()
}

/// A backup in a folder of its own, in WAL mode or not, as `.backup` leaves it.
async fn backup(app: &App, wal: bool) -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    let url = format!("sqlite:{}", file.display());
    app.db.execute(&format!("VACUUM INTO '{}'", file.display())).await.unwrap();
    if wal {
        let options: SqliteConnectOptions = url.parse().unwrap();
        let options = options.journal_mode(SqliteJournalMode::Wal);
        options.connect().await.unwrap().close().await.unwrap();
    }
    // SQLite's names for the two modes.
    assert_eq!(fs::read(&file).unwrap()[18..20], if wal { [2, 2] } else { [1, 1] });
    (folder, file, url)
}

async fn all_read(url: &str) {
    for args in READERS {
        launch(url, args, "").await.ok();
    }
    let folder = tempfile::tempdir().unwrap();
    let target = format!("sqlite:{}", folder.path().join("copy.db").display());
    launch("", &["copy", "--from", url, "--to", &target], "").await.ok();
}

/// Runs the program as a user without root's rights, whom file permissions bind.
async fn bound(url: &str, args: &[&str]) -> Ran {
    let mut command = program(url);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        let mut setpriv = std::process::Command::new("setpriv");
        setpriv.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
        setpriv.env("DATABASE_URL", url).current_dir(std::env::temp_dir());
        command = setpriv;
    }
    command.args(args);
    launch_command(command, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn does_not_create_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("typo.db");
    let url = format!("sqlite:{}", file.display());
    let writers: &[&[&str]] = &[
        &["account", "add", "anna"],
        &["account", "passwd", "anna"],
        &["account", "disable", "anna"],
        &["role", "add", "r"],
        &["role", "grant", "r", "sos:products"],
        &["migrate", "--record"],
    ];
    let expected = format!("there is no such file: {}", file.display());
    for url in [url.clone(), format!("{url}?mode=rwc")] {
        for args in READERS.iter().chain(writers) {
            let ran = launch(&url, args, "a-password\n").await;
            assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
            assert!(ran.failed().contains(&expected), "{args:?}: {ran:?}");
            assert_eq!(names(folder.path()), [""; 0], "{args:?}");
        }
    }
    let target = format!("sqlite:{}", folder.path().join("target.db").display());
    let ran = launch("", &["copy", "--from", &url, "--to", &target], "").await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.failed().contains("--from") && ran.stderr.contains(&expected), "{ran:?}");
    assert_eq!(names(folder.path()), [""; 0]);

    // These commands create it.
    launch(&url, &["import"], "").await.ok();
    launch("", &["copy", "--from", &url, "--to", &target], "").await.ok();
    assert_eq!(names(folder.path()), ["target.db", "typo.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_an_empty_file_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.db");
    fs::write(&file, "").unwrap();
    let url = format!("sqlite:{}", file.display());
    let ran = launch(&url, &["migrate", "--status"], "").await;
    assert!(ran.ok().lines().all(|line| line.ends_with("pending")), "{ran:?}");
    let ran = launch(&url, &["check"], "").await;
    assert_eq!(ran.code, Some(9));
    let all = versions().iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    assert!(ran.failed().contains(&format!("migrations {all} have not run")), "{ran:?}");
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    assert_eq!(names(folder.path()), ["empty.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_input_is_a_usage_error() {
    let db = Database::create(Kind::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let (missing, directory) = (folder.path().join("typo.json"), folder.path());
    for file in [missing.to_str().unwrap(), directory.to_str().unwrap()] {
        let ran = launch(&db.url, &["import", file], "").await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.failed().starts_with(&format!("Error: {file}: ")), "{ran:?}");
    }
    let missing = missing.to_str().unwrap();
    let ran = launch(&db.url, &["audit", "verify", "--seals", missing], "").await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.failed().starts_with(&format!("Error: --seals: {missing}: ")), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_a_backup_unchanged() {
    let app = used(Kind::Sqlite).await;
    for wal in [false, true] {
        let (folder, file, url) = backup(&app, wal).await;
        let before = hash(&file);
        for args in READERS {
            launch(&url, args, "").await.ok();
            assert_eq!(names(folder.path()), ["backup.db"], "{args:?}, WAL: {wal}");
        }
        all_read(&url).await;
        // The transaction cannot go on.
        let ran = launch(&url, &["audit", "verify", "--seals", "-"], "no seal\n").await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(names(folder.path()), ["backup.db"]);
        assert_eq!(hash(&file), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_a_read_only_file() {
    use std::os::unix::fs::PermissionsExt;
    let app = used(Kind::Sqlite).await;
    for wal in [false, true] {
        let (folder, file, url) = backup(&app, wal).await;
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&file, 0o444);
        mode(folder.path(), 0o555);
        let before = hash(&file);
        for args in READERS {
            let ran = bound(&url, args).await;
            assert!(ran.success, "{args:?}, WAL: {wal}: {ran:?}");
        }
        let refused = bound(&url, &["account", "disable", "root"]).await;
        assert!(!refused.success && refused.stderr.contains("readonly"), "{refused:?}");
        assert_eq!(names(folder.path()), ["backup.db"]);
        assert_eq!(hash(&file), before);
        mode(folder.path(), 0o755);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_a_file_in_use() {
    let app = used(Kind::Sqlite).await;
    all_read(&app.db.url).await;
    // The file is still in use.
    app.cancel(json!({"orderIds": ["b"]})).await.ok();
    assert_eq!(app.db.state("b").await, "CANCELLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_needs_only_a_role_that_may_read() {
    let app = used(Kind::Postgres).await;
    let url = role(&app.db, "SELECT").await;
    all_read(&url).await;
    let ran = launch(&url, &["account", "disable", "root"], "").await;
    assert!(ran.failed().contains("permission denied"), "{ran:?}");
    // As on a standby, whatever the role's rights.
    let role = url.split_once("//").unwrap().1.split_once('@').unwrap().0;
    app.db
        .execute(&format!(
            "ALTER ROLE {role} SUPERUSER; ALTER ROLE {role} SET default_transaction_read_only = on"
        ))
        .await
        .unwrap();
    all_read(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_a_standby() {
    let mut cluster = Cluster::start();
    let db = Database::of(&cluster).await;
    db.insert(&["a", "b"].map(Order::new)).await;
    let store = store::open(&db.url, 2, store::Access::Write).await.unwrap();
    store.add_role("r").await.unwrap();
    store.close().await;
    let standby = cluster.standby();
    let ran = launch(&standby, &["check"], "").await;
    ran.ok();
    assert!(ran.stderr.contains("ok: 2 orders, 0 entries, 0 seals"), "{ran:?}");
    all_read(&standby).await;
    let ran = launch(&standby, &["role", "add", "other"], "").await;
    assert!(ran.failed().contains("read-only transaction"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_needs_no_rights_on_the_schema() {
    let db = Database::create(Kind::Postgres).await;
    db.insert(&["a"].map(Order::new)).await;
    let url = role(&db, "SELECT, INSERT, UPDATE, DELETE").await;
    launch(&url, &["migrate"], "").await.ok();
    launch(&url, &["role", "add", "r"], "").await.ok();
    launch(&url, &["account", "add", ROOT.0, "--role", "all"], ROOT.1).await.ok();
    let line = json!({"controllerId": "prod", "order": {"orderId": "new",
        "workflowId": {"path": "/sos/eod", "versionId": "1"}, "state": {"_text": "SCHEDULED"}}});
    let ran = launch(&url, &["import"], line.to_string()).await;
    assert_eq!(ran.ok(), "imported: 1 new, 0 replaced, 0 skipped\n");
    let served = Served::start(program(&url));
    assert_eq!(served.page("/ready").await.status, 200);
    let token = served.login().await;
    let cancel = with_controller(json!({"orderIds": ["a", "new"]}));
    assert_eq!(served.post(&token, "/orders/cancel", &cancel).await.affected(), 2);
    served.stop();
    launch(&url, &["check"], "").await.ok();

    // The message says who can fix it.
    store::migrate(&db.owner, Some(4)).await.unwrap();
    let before = db.rows("SELECT version FROM _sqlx_migrations").await.unwrap();
    for args in [&["serve"][..], &["import"], &["migrate"]] {
        let ran = launch(&url, args, "").await;
        assert_eq!(ran.code, Some(9), "{args:?}: {ran:?}");
        let said = ran.failed();
        assert!(
            said.contains("migrations 5, ")
                && said.contains("have not run")
                && said.contains("owner"),
            "{ran:?}"
        );
    }
    for args in [["--to", "3"], ["--to", "5"]] {
        let ran = launch(&url, &[&["migrate", "--yes"], &args[..]].concat(), "").await;
        assert_eq!(ran.code, Some(9), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("owner"), "{ran:?}");
    }
    assert_eq!(db.rows("SELECT version FROM _sqlx_migrations").await.unwrap(), before);
}

on_both! {
    async fn reports_how_much_was_checked(kind: Kind) {
        let app = used(kind).await;
        for (args, expected) in [
            (&["check"][..], "ok: 3 orders, 2 entries, 2 seals\n"),
            (&["audit", "verify"], "ok: 2 entries, 1 detail, 2 seals\n"),
        ] {
            for output in ["text", "json"] {
                let ran = launch(&app.db.url, &[args, &["--output", output]].concat(), "").await;
                assert_eq!(ran.ok(), "");
                assert!(ran.stderr.ends_with(expected), "{ran:?}");
            }
        }
        let ran = launch(&app.db.url, &["audit", "verify"], "").await;
        let line = "prod: 1 seal over 1 entry and 1 detail; 0 entries are not sealed\n";
        assert!(ran.stderr.contains(line), "{ran:?}");
        app.cancel(json!({"orderIds": ["b", "c"]})).await.ok();
        let ran = launch(&app.db.url, &["audit", "verify"], "").await;
        assert!(ran.stderr.contains("1 detail; 1 entry is not sealed\n"), "{ran:?}");
        let empty = Database::create(kind).await;
        let ran = launch(&empty.url, &["check"], "").await;
        assert!(ran.success && ran.stderr.ends_with("ok: 0 orders, 0 entries, 0 seals\n"), "{ran:?}");
    }

    async fn reports_an_older_schema_and_leaves_it_alone(kind: Kind) {
        let db = Database::create(kind).await;
        store::migrate(&db.owner, Some(3)).await.unwrap();
        let old = store::schema(&db.owner).await.unwrap();
        let writers: &[&[&str]] = &[&["account", "add", "anna"], &["role", "add", "r"]];
        for args in READERS.iter().chain(writers) {
            let ran = launch(&db.owner, args, "a-password\n").await;
            if args == &["migrate", "--status"] {
                assert!(ran.ok().contains("0005 seals      pending\n"), "{ran:?}");
                continue;
            }
            assert_eq!(ran.code, Some(9), "{args:?}: {ran:?}");
            let missing = versions()[3..].iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            let said = format!("migrations {missing} have not run; run `joc-orders migrate`");
            assert!(ran.failed().contains(&said), "{args:?}: {ran:?}");
        }
        assert_eq!(store::schema(&db.owner).await.unwrap(), old);
        let folder = tempfile::tempdir().unwrap();
        let target = format!("sqlite:{}", folder.path().join("copy.db").display());
        let ran = launch("", &["copy", "--from", &db.owner, "--to", &target], "").await;
        assert_eq!(ran.code, Some(9));
        assert!(ran.failed().contains("--from"), "{ran:?}");
        assert_eq!(names(folder.path()), [""; 0]);
        // An import migrates it.
        launch(&db.owner, &["import"], "").await.ok();
        launch(&db.owner, &["check"], "").await.ok();

        // A newer schema is reported as well.
        let blob = if kind == Kind::Sqlite { "x'00'" } else { "'\\x00'::bytea" };
        db.execute(&format!("INSERT INTO _sqlx_migrations (version, description, success, checksum,
            execution_time) VALUES (9999, 'later', TRUE, {blob}, 0)")).await.unwrap();
        let ran = launch(&db.owner, &["check"], "").await;
        assert_eq!(ran.code, Some(9), "{ran:?}");
        assert!(ran.failed().contains("9999"), "{ran:?}");
    }
}
