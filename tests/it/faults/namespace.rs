//! The network between the service and PostgreSQL loses every packet, and neither side is told: the
//! service runs in a network namespace whose link goes down.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use super::{agrees, cancel, unavailable, works};
use crate::harness::{
    Cluster, Database, Order, ROOT, Served, WAIT_FOR_ROWS, until, with_controller,
};

fn ip(args: &str) -> bool {
    let run = Command::new("ip").args(args.split(' ')).output();
    run.is_ok_and(|output| output.status.success())
}

/// A namespace with two links to it; all removed when dropped. Names and networks are unique to
/// this process.
struct Namespace {
    name: String,
    /// The link to the database, and the one to the API.
    links: [Link; 2],
}

struct Link {
    name: String,
    /// The address of the host on it, and that of the namespace.
    host: String,
    guest: String,
}

impl Namespace {
    /// `None` where the system does not allow one.
    fn create() -> Option<Self> {
        let id = std::process::id();
        let link = |kind: u32| {
            let network = format!("10.{}.{}", 192 + id / 128 % 64, 2 * (id % 128) + kind);
            Link {
                name: format!("joc{kind}x{id}"),
                host: format!("{network}.1"),
                guest: format!("{network}.2"),
            }
        };
        let namespace = Self { name: format!("joc{id}"), links: [link(0), link(1)] };
        let name = &namespace.name;
        let mut commands = vec![format!("netns add {name}")];
        for Link { name: link, host, guest } in &namespace.links {
            commands.extend([
                format!("link add {link} type veth peer name {link} netns {name}"),
                format!("address add {host}/24 dev {link}"),
                format!("link set {link} up"),
                format!("-n {name} address add {guest}/24 dev {link}"),
                format!("-n {name} link set {link} up"),
            ]);
        }
        commands.iter().all(|args| ip(args)).then_some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The namespace itself goes some time after its last process.
        for link in &self.links {
            ip(&format!("link delete {}", link.name));
        }
        ip(&format!("netns delete {}", self.name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recovers_when_the_network_loses_every_packet() {
    let Some(namespace) = Namespace::create() else {
        eprintln!(
            "SKIPPED: this system lets nobody make network namespaces, which root may on Linux"
        );
        return;
    };
    let (name, [database, api]) = (&namespace.name, &namespace.links);
    let listen = format!("-c listen_addresses=127.0.0.1,{}", database.host);
    let cluster = tokio::task::spawn_blocking(move || Cluster::start_with(&listen)).await.unwrap();
    let db = Database::of(&cluster).await;
    let hba = db.rows("SHOW hba_file").await.unwrap()[0][0].clone().unwrap();
    let mut hba = OpenOptions::new().append(true).open(hba).unwrap();
    writeln!(hba, "host all all {}/24 trust", database.guest).unwrap();
    db.rows("SELECT pg_reload_conf()").await.unwrap();
    db.insert(&[Order::new("a")]).await;

    let folder = tempfile::tempdir().unwrap();
    let within = folder.path().join("within");
    let program = env!("CARGO_BIN_EXE_joc-orders");
    fs::write(&within, format!("#!/bin/sh\nexec ip netns exec {name} {program} \"$@\"\n")).unwrap();
    fs::set_permissions(&within, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&within);
    command
        .args(["--listen", &format!("{}:0", api.guest)])
        .env("DATABASE_URL", db.url.replace("127.0.0.1", &database.host))
        .env("JOC_ORDERS_ALLOW_PLAIN_HTTP", "true")
        .env("JOC_ORDERS_ROOT_PASSWORD", ROOT.1)
        .current_dir(folder.path());
    let mut served = Served::start(command);
    let token = served.login().await;

    let mut order = db.lock("BEGIN; SELECT 1 FROM orders WHERE order_id = 'a' FOR UPDATE").await;
    let ids = ["a".to_owned()];
    let call = cancel(&served, &token, "lost", &ids, None);
    let network = async {
        until("the change waits", async || db.count(WAIT_FOR_ROWS).await == 1).await;
        assert!(ip(&format!("link set {} down", database.name)));
        Instant::now()
    };
    let (told, lost) = tokio::join!(call, network);
    unavailable(&told.answer);
    let answered = lost.elapsed();
    // The server ends transactions whose client is unreachable, and releases their locks.
    let working = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'joc-orders'
                   AND state <> 'idle' AND datname = current_database()";
    until("the server ends it", async || db.count(working).await == 0).await;
    eprintln!("answered after {answered:?}, ended by the server after {:?}", lost.elapsed());
    order.execute("COMMIT").await;
    assert_eq!(db.state("a").await, "FRESH");
    assert_eq!(served.page("/ready").await.status, 503);

    assert!(ip(&format!("link set {} up", database.name)));
    let body = with_controller(json!({"orderIds": ids}));
    let cancels = async || served.post(&token, "/orders/cancel", &body).await.status == 200;
    until("a change without a restart", cancels).await;
    works(&mut served, &db, &token, "afterwards").await;
    agrees(&db).await;
}
