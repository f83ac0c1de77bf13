//! The file of an SQLite database and its write-ahead log: its length, what happens if somebody
//! removes the files, and concurrent starts.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::harness::{
    CONTROLLER, Database, Kind, Order, ROOT, Response, Served, program, until, with_controller,
};
use crate::readers::{hash, names};
use crate::slow_clients::connect;

const MIB: u64 = 1 << 20;
/// The length at which the log is truncated (`docs/operations.md`).
const LOG: u64 = 32 * MIB;

/// Reads a list of every order at 45 kB a second until told to hurry, and returns its body.
fn read_slowly(address: &str, token: &str, hurry: &AtomicBool) -> String {
    let body = json!({"controllerId": CONTROLLER, "limit": -1}).to_string();
    let mut stream = connect(address);
    // HTTP/1.0, so no chunks.
    write!(
        stream,
        "POST /joc/api/orders HTTP/1.0\r\nX-Access-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4500]);
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
        if !hurry.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{head}");
    body.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_make_the_log_grow() {
    const ORDERS: usize = 20_000;
    let db = Database::create(Kind::Sqlite).await;
    db.insert(&(0..ORDERS).map(|i| Order::new(&format!("o{i:05}"))).collect::<Vec<_>>()).await;
    // 28 MiB of log each time.
    let update = |i: u32| {
        format!("UPDATE orders SET arguments = json_object('n', {i}, 'x', '{}')", "x".repeat(1000))
    };
    let mut writer = db.lock("PRAGMA synchronous = OFF").await;
    writer.execute(&update(0)).await;
    let served = Served::over(&db, &[]);
    let token = served.login().await;
    let file = db.url.strip_prefix("sqlite:").unwrap().to_owned();
    let log = || fs::metadata(format!("{file}-wal")).map_or(0, |wal| wal.len());

    let hurry = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let (address, token, hurry) = (served.address().to_owned(), token.clone(), hurry.clone());
        move || read_slowly(&address, &token, &hurry)
    });
    for i in 1..=3 {
        writer.execute(&update(i)).await;
    }
    // The reader's snapshot is from before the second change, and it soon releases it.
    until("the log is truncated", async || log() <= LOG).await;
    let mut longest = 0;
    for i in 4..=7 {
        writer.execute(&update(i)).await;
        longest = longest.max(log());
    }
    assert!(longest < 100 * MIB, "{longest}");
    until("the log is truncated", async || log() <= LOG).await;
    assert!(!reader.is_finished());

    // A long log also shrinks when there are no more requests.
    let copy = "CREATE TABLE t AS SELECT * FROM orders";
    writer.execute(&format!("BEGIN; {}; {copy}; COMMIT", update(8))).await;
    until("the log is truncated", async || log() <= LOG).await;
    assert!(!reader.is_finished());

    // What was read is complete and consistent.
    hurry.store(true, Ordering::Relaxed);
    let body = tokio::task::block_in_place(|| reader.join().unwrap());
    let body: Value = serde_json::from_str(&body).unwrap();
    let orders = body["orders"].as_array().unwrap();
    assert_eq!(orders.len(), ORDERS);
    let n = &orders[0]["arguments"]["n"];
    assert!(n.is_u64() && orders.iter().all(|order| &order["arguments"]["n"] == n), "{n}");
    served.stop();
}

/// A database file in a folder of its own, with no open connections.
struct Place {
    folder: TempDir,
    file: PathBuf,
    url: String,
}

impl Place {
    async fn with(orders: &[&str]) -> Self {
        let db = Database::create(Kind::Sqlite).await;
        db.insert(&orders.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.db");
        db.execute(&format!("VACUUM INTO '{}'", file.display())).await.unwrap();
        let url = format!("sqlite:{}", file.display());
        Self { folder, file, url }
    }

    fn serve(&self) -> Served {
        let mut command = program(&self.url);
        // Long enough that no seal interferes.
        command.env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1).env("JOC_ORDERS_SEAL_EVERY", "3600");
        Served::start(command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The length of the log that would be read with the file.
    fn log(&self) -> u64 {
        fs::metadata(self.path("orders.db-wal")).map_or(0, |log| log.len())
    }
}

/// A service with a change in its log.
async fn changed(place: &Place) -> (Served, String) {
    let served = place.serve();
    let token = served.login().await;
    assert_eq!(cancel(&served, &token, "a").await, 200);
    (served, token)
}

async fn open(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

/// The state of order `a` in a file, which must be intact.
async fn state_in(file: &Path) -> String {
    let mut connection = open(file).await;
    let check: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(check, "ok");
    let state = "SELECT state FROM orders WHERE order_id = 'a'";
    let state = sqlx::query_scalar(state).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    state
}

async fn backup(place: &Place) -> PathBuf {
    let file = place.path("backup.db");
    let mut connection = open(&place.file).await;
    let sql = AssertSqlSafe(format!("VACUUM INTO '{}'", file.display()));
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    file
}

async fn cancel(served: &Served, token: &str, id: &str) -> u16 {
    let body = with_controller(json!({"orderIds": [id]}));
    served.post(token, "/orders/cancel", &body).await.status
}

/// Expects the service to reject everything that needs the database, with the reason, and to log it
/// once.
async fn expect_lost(served: &mut Served, token: &str, reason: &str) {
    // More than there are connections.
    let client = reqwest::Client::new();
    let calls = (0..20).flat_map(|_| {
        let body = with_controller(json!({"folders": [{"folder": "/"}]})).to_string();
        ["/orders/cancel", "/orders", "/orders/overview/snapshot", "/audit_log"].map(|call| {
            let request = client.post(format!("{}{call}", served.url));
            Response::of(request.header("X-Access-Token", token).body(body.clone()))
        })
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.status, 503, "{}", answer.text);
    }
    assert_eq!(served.try_login(ROOT.1).await, 503);
    // The last result may be cached for a second.
    until("/ready fails", async || served.page("/ready").await.status != 200).await;
    let ready = served.page("/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains(reason) && ready.text.contains("restart"), "{}", ready.text);
    assert!(!ready.text.contains("orders.db"), "{}", ready.text);
    assert_eq!(served.page("/health").await.status, 200);
    assert!(served.runs());
    let log = served.log();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(reason) && errors[0].contains(".db"), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_a_deleted_file_and_does_not_recreate_it() {
    for by_link in [false, true] {
        let mut place = Place::with(&["a", "b"]).await;
        if by_link {
            let link = place.path("link.db");
            symlink(&place.file, &link).unwrap();
            place.url = format!("sqlite:{}", link.display());
        }
        let (mut served, token) = changed(&place).await;
        let backup = backup(&place).await;
        fs::remove_file(&place.file).unwrap();
        expect_lost(&mut served, &token, "was deleted").await;
        assert!(!place.file.exists());
        served.stop();
        assert_eq!(place.log(), 0);
        fs::rename(backup, &place.file).unwrap();
        let served = place.serve();
        let token = served.login().await;
        assert_eq!(cancel(&served, &token, "a").await, 420);
        assert_eq!(cancel(&served, &token, "b").await, 200);
        served.stop();
        assert_eq!(state_in(&place.file).await, "CANCELLED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_a_replacement_file_unchanged() {
    let place = Place::with(&["a", "b"]).await;
    let backup = backup(&place).await;
    let before = hash(&backup);
    let (mut served, token) = changed(&place).await;
    fs::rename(backup, &place.file).unwrap();
    expect_lost(&mut served, &token, "was replaced").await;
    // If the service were killed now, the old log would be read as the new file's.
    until("the old log is gone", async || place.log() == 0).await;
    drop(served);
    assert_eq!(hash(&place.file), before);
    assert_eq!(state_in(&place.file).await, "FRESH");

    let (served, _) = changed(&place).await;
    served.stop();
    assert_eq!(state_in(&place.file).await, "CANCELLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_moved_aside_keep_acknowledged_changes() {
    for all in [true, false] {
        let place = Place::with(&["a", "b"]).await;
        let backup = backup(&place).await;
        let before = hash(&backup);
        let (mut served, token) = changed(&place).await;
        let aside = place.path("aside");
        fs::create_dir(&aside).unwrap();
        let with_log = ["orders.db", "orders.db-wal", "orders.db-shm"];
        for name in if all { &with_log[..] } else { &with_log[..1] } {
            fs::rename(place.path(name), aside.join(name)).unwrap();
        }
        fs::copy(&backup, &place.file).unwrap();
        // It may be noticed before the new file is there.
        expect_lost(&mut served, &token, "the database file was ").await;
        until("the old log is gone", async || place.log() == 0).await;
        drop(served);
        assert_eq!(hash(&place.file), before);
        assert_eq!(state_in(&aside.join("orders.db")).await, "CANCELLED");
        assert_eq!(state_in(&place.file).await, "FRESH");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_a_deleted_log_and_loses_nothing() {
    for name in ["orders.db-wal", "orders.db-shm"] {
        let place = Place::with(&["a", "b"]).await;
        let (mut served, token) = changed(&place).await;
        fs::remove_file(place.path(name)).unwrap();
        expect_lost(&mut served, &token, &format!("{} file was deleted", &name[9..])).await;
        served.stop();
        assert_eq!(state_in(&place.file).await, "CANCELLED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_an_emptied_index_alone() {
    let place = Place::with(&["a", "b"]).await;
    let (mut served, _) = changed(&place).await;
    // It is mapped into memory, and a process that touches that would be killed.
    fs::write(place.path("orders.db-shm"), "").unwrap();
    until("it is noticed", async || served.log().contains("emptied")).await;
    assert_eq!(served.page("/ready").await.status, 503);
    assert_eq!(served.page("/health").await.status, 200);
    assert!(served.runs());
    served.stop();
    assert_eq!(state_in(&place.file).await, "CANCELLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn six_concurrent_first_starts_all_serve() {
    for round in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.db");
        if round > 0 {
            fs::write(&file, "").unwrap();
        }
        let url = format!("sqlite:{}", file.display());
        let starts = (0..6).map(|_| {
            let command = program(&url);
            tokio::task::spawn_blocking(|| Served::start(command))
        });
        let served = join_all(starts).await;
        let served = served.into_iter().map(Result::unwrap);
        let shown: String = tokio::task::block_in_place(|| served.map(Served::stop).collect());
        assert_eq!(shown.matches("created the account root").count(), 1, "{shown}");
        assert_eq!(names(folder.path()), ["orders.db"]);
    }
}
