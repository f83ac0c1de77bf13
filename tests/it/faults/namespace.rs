//! The network between the service and PostgreSQL loses every packet, and neither side is told: the
//! service runs in a network namespace whose link goes down.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{agrees, cancel, unavailable, works};
use crate::harness::{Cluster, Database, Order, ROOT, with_controller};
use crate::served::Served;

const NAME: &str = "joc-orders-test";
/// The host's and the namespace's end of the link to the database, and of the one to the API.
const DATABASE: [&str; 2] = ["10.213.77.1", "10.213.77.2"];
const API: [&str; 2] = ["10.213.78.1", "10.213.78.2"];
/// Longer than the server needs to notice that a client is silent, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn ip(args: &str) -> bool {
    let run = Command::new("ip").args(args.split(' ')).status();
    run.is_ok_and(|status| status.success())
}

/// A namespace with two links to it, which go with it.
struct Namespace;

impl Namespace {
    /// `None` where the system lets nobody make one.
    fn create() -> Option<Self> {
        ip(&format!("netns add {NAME}")).then_some(())?;
        let namespace = Self;
        for (link, [host, guest]) in [("jocdb", DATABASE), ("jocapi", API)] {
            for args in [
                format!("link add {link}0 type veth peer name {link}1 netns {NAME}"),
                format!("address add {host}/24 dev {link}0"),
                format!("link set {link}0 up"),
                format!("-n {NAME} address add {guest}/24 dev {link}1"),
                format!("-n {NAME} link set {link}1 up"),
            ] {
                assert!(ip(&args), "ip {args}");
            }
        }
        Some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The namespace itself goes only some time after the last process in it.
        for args in ["link delete jocdb0", "link delete jocapi0"] {
            ip(args);
        }
        ip(&format!("netns delete {NAME}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_loses_every_packet() {
    let Some(_namespace) = Namespace::create() else {
        eprintln!(
            "SKIPPED: this system lets nobody make network namespaces, which root may on Linux"
        );
        return;
    };
    let listen = format!("-c listen_addresses=127.0.0.1,{}", DATABASE[0]);
    let cluster = tokio::task::spawn_blocking(move || Cluster::start_with(&listen)).await.unwrap();
    let db = Database::of(&cluster).await;
    let hba = db.rows("SHOW hba_file").await.unwrap()[0][0].clone().unwrap();
    let mut hba = OpenOptions::new().append(true).open(hba).unwrap();
    writeln!(hba, "host all all {}/24 trust", DATABASE[1]).unwrap();
    db.rows("SELECT pg_reload_conf()").await.unwrap();
    db.insert(&[Order::new("a")]).await;

    let folder = tempfile::tempdir().unwrap();
    let within = folder.path().join("within");
    let program = env!("CARGO_BIN_EXE_joc-orders");
    fs::write(&within, format!("#!/bin/sh\nexec ip netns exec {NAME} {program} \"$@\"\n")).unwrap();
    fs::set_permissions(&within, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&within);
    command
        .args(["--listen", &format!("{}:0", API[1])])
        .env("DATABASE_URL", db.url.replace("127.0.0.1", DATABASE[0]))
        .env("JOC_ORDERS_ALLOW_PLAIN_HTTP", "true")
        .env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1)
        .current_dir(folder.path());
    let mut served = Served::start(command);
    let token = served.login().await;

    let mut order = db.lock("BEGIN; SELECT 1 FROM orders WHERE order_id = 'a' FOR UPDATE").await;
    let ids = ["a".to_owned()];
    let call = cancel(&served, &token, "lost", &ids, None);
    let network = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                     AND application_name = 'joc-orders' AND datname = current_database()";
        reaches(&db, waits, 1).await;
        assert!(ip("link set jocdb0 down"));
        Instant::now()
    };
    let (told, lost) = tokio::join!(call, network);
    unavailable(&told.answer);
    let answered = lost.elapsed();
    // The server ends what nobody can hear of any more, and with it the locks.
    let working = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'joc-orders'
                   AND state <> 'idle' AND datname = current_database()";
    reaches(&db, working, 0).await;
    eprintln!("answered after {answered:?}, ended by the server after {:?}", lost.elapsed());
    order.execute("COMMIT").await;
    assert_eq!(db.state("a").await, "FRESH");
    assert_eq!(served.page("/ready").await.status, 503);

    assert!(ip("link set jocdb0 up"));
    let body = with_controller(json!({"orderIds": ids}));
    let begun = Instant::now();
    while served.post(&token, "/orders/cancel", &body).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "{}", served.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    works(&mut served, &db, &token, "afterwards").await;
    agrees(&db).await;
}

async fn reaches(db: &Database, count: &str, expected: i64) {
    let begun = Instant::now();
    while db.count(count).await != expected {
        assert!(begun.elapsed() < PATIENCE, "{count} is not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
