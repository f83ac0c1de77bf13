//! Which requests go through a proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::harness::{Database, Kind, Order, Served, client, launch_command, program};

on_both! {
    async fn requests_to_this_machine_use_no_proxy(kind: Kind) {
        let (proxy, seen) = proxy();
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        let mut serve = program(&db.url);
        serve.env("JOC_ORDERS_ROOT_PASSWORD", "root-password");
        let served = Served::start(serve);
        let port = served.url.trim_end_matches("/joc/api").rsplit_once(':').unwrap().1.to_owned();
        let behind = |mut command: Command| {
            for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env(name, &proxy);
            }
            command.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
            launch_command(command, "")
        };
        let health = |args: &[&str]| {
            let mut command = program("");
            command.arg("health").args(args).env("JOC_ORDERS_LISTEN", format!("127.0.0.1:{port}"));
            command
        };
        behind(health(&[])).await.ok();
        behind(health(&["--ready"])).await.ok();
        for host in ["127.0.0.1", "localhost"] {
            behind(client(&format!("http://{host}:{port}"), &["orders", "list"])).await.ok();
            behind(health(&["--url", &format!("http://{host}:{port}")])).await.ok();
        }
        assert_eq!(*seen.lock().unwrap(), [""; 0]);

        // Requests to other machines do, unless NO_PROXY says otherwise.
        let elsewhere = "http://joc.example.invalid:4446";
        let ran = behind(client(elsewhere, &["orders", "list"])).await;
        assert_eq!(ran.code, Some(7), "{ran:?}");
        let reached = std::mem::take(&mut *seen.lock().unwrap());
        assert!(reached[0].starts_with("POST http://joc.example.invalid:4446/"), "{reached:?}");
        let mut direct = client(elsewhere, &["orders", "list"]);
        direct.env("http_proxy", &proxy).env("NO_PROXY", "example.invalid");
        assert_eq!(launch_command(direct, "").await.code, Some(7));
        assert_eq!(*seen.lock().unwrap(), [""; 0]);
        served.stop();
    }
}

/// A proxy that rejects everything, and the first line of each request that it received.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let record = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut first = String::new();
            let _ = BufReader::new(&stream).read_line(&mut first);
            record.lock().unwrap().push(first.trim().to_owned());
            let _ = stream
                .write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.read(&mut [0; 1]);
        }
    });
    (url, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_to_this_machine_use_no_proxy() {
    let (collector, traces) = proxy();
    let (proxy, seen) = proxy();
    let db = Database::create(Kind::Sqlite).await;
    let mut serve = program(&db.url);
    serve.env("JOC_ORDERS_ROOT_PASSWORD", "root-password").env("http_proxy", &proxy);
    serve.env("JOC_ORDERS_OTLP_ENDPOINT", format!("{collector}/v1/traces"));
    serve.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    let served = Served::start(serve);
    assert_eq!(served.try_login("root-password").await, 200);
    served.stop();
    assert_eq!(*seen.lock().unwrap(), [""; 0]);
    let traces = traces.lock().unwrap();
    assert!(traces.iter().any(|line| line.starts_with("POST /v1/traces ")), "{traces:?}");
}
