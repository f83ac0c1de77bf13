//! Clients that keep the service waiting: that do not read, or read too slowly. No such client keeps
//! its slot.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::{Answer, App, Database, Kind, program};
use crate::secured::{certificate, install, trusts, wait_for};
use crate::served::Served;
use crate::stream::insert_long_entries;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection whose system takes a few kilobytes for a client that does not read.
fn connect(address: &str) -> TcpStream {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn pipelined(requests: usize) -> Vec<u8> {
    "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(requests).into_bytes()
}

/// A request for entries of [`insert_long_entries`].
fn long_list(token: &str) -> String {
    let body = r#"{"limit":-1}"#;
    format!(
        "POST /joc/api/audit_log HTTP/1.1\r\nHost: a\r\nX-Access-Token: {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Whether a connection is reset; it reads what is there.
fn is_reset(stream: &mut TcpStream) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Asks for a page again and again until there is an answer.
async fn wait_for_answer(url: &str) -> Answer {
    let begun = Instant::now();
    loop {
        // A client of its own, since one keeps connections.
        let request = reqwest::Client::new().get(url).timeout(Duration::from_secs(2));
        if request.send().await.is_ok() {
            return Answer::of(reqwest::Client::new().get(url)).await;
        }
        assert!(begun.elapsed() < PATIENCE, "no slot is free");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_lose_their_slots() {
    let db = Database::create(Kind::Sqlite).await;
    let served = Served::over(&db, &["--clients=60", "--write-timeout=3"]);
    let mut clients: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = connect(served.address());
            stream.write_all(&pipelined(200)).unwrap();
            stream
        })
        .collect();
    let url = format!("http://{}/health", served.address());
    assert_eq!(wait_for_answer(&url).await.ok(), json!({"alive": true}));
    wait_for(&served, "reads too slowly", clients.len()).await;
    tokio::task::spawn_blocking(move || assert!(clients.iter_mut().all(is_reset))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_by_tls_lose_their_slots() {
    let db = Database::create(Kind::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate();
    install(folder.path(), &certificate);
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut command = program(&db.url);
    command
        .args(["--write-timeout=3", "--clients", &threads.to_string()])
        .env("JOC_ORDERS_TLS_CERT", folder.path().join("cert.pem"))
        .env("JOC_ORDERS_TLS_KEY", folder.path().join("key.pem"));
    let served = Served::start(command);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let config = Arc::new(config);
    let _clients: Vec<_> = (0..threads)
        .map(|_| {
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let tls = ClientConnection::new(config.clone(), name).unwrap();
            let mut stream = StreamOwned::new(tls, connect(served.address()));
            stream.write_all(&pipelined(200)).unwrap();
            stream.flush().unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    while trusts(&served, &certificate).await.is_none() {
        assert!(begun.elapsed() < PATIENCE, "no slot is free");
    }
    assert!(served.log().contains("reads too slowly"), "{}", served.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_a_few_bytes_now_and_then_loses_its_connection() {
    let app = App::start(Kind::Sqlite, &["--write-timeout=2"]).await;
    let mut stream = connect(app.url.split('/').nth(2).unwrap());
    let reading = tokio::task::spawn_blocking(move || {
        stream.write_all(&pipelined(200)).unwrap();
        let begun = Instant::now();
        while stream.read(&mut [0; 500]).is_ok_and(|bytes| bytes > 0) {
            assert!(begun.elapsed() < PATIENCE, "it reads on and on");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_but_in_time_gets_all_responses() {
    let app = App::start(Kind::Sqlite, &["--write-timeout=20"]).await;
    let mut stream = connect(app.url.split('/').nth(2).unwrap());
    let reading = tokio::task::spawn_blocking(move || {
        // More than the service reads while nobody reads it.
        stream.write_all(&pipelined(50)).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        stream.write_all(&pipelined(49)).unwrap();
        let last = "GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(last.as_bytes()).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        String::from_utf8(received).unwrap()
    });
    let received = reading.await.unwrap();
    assert_eq!(received.matches("HTTP/1.1 200 OK\r\n").count(), 100);
    assert!(received.ends_with('}'));
}

on_both! {
    async fn a_client_that_keeps_the_pace_gets_a_long_answer_whole(kind: Kind) {
        let app = App::start(kind, &["--write-timeout=2"]).await;
        insert_long_entries(&app.db).await;
        let mut stream = connect(app.url.split('/').nth(2).unwrap());
        let request = long_list(&app.token);
        let reading = tokio::task::spawn_blocking(move || {
            stream.write_all(request.as_bytes()).unwrap();
            let (mut received, mut buffer) = (0, vec![0; 64 * 1024]);
            // Longer than the timeout, at several times the pace that is asked for.
            for _ in 0..50 {
                stream.read_exact(&mut buffer[..20_000]).unwrap();
                received += 20_000;
                std::thread::sleep(Duration::from_millis(100));
            }
            SockRef::from(&stream).set_recv_buffer_size(256 * 1024).unwrap();
            while !buffer.ends_with(b"\r\n0\r\n\r\n") {
                buffer.resize(64 * 1024, 0);
                let bytes = stream.read(&mut buffer).unwrap();
                assert_ne!(bytes, 0);
                received += bytes;
                buffer.truncate(bytes);
            }
            received
        });
        assert!(reading.await.unwrap() > 60_000_000);
    }

    async fn clients_that_never_read_do_not_delay_the_end(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[]).await;
        insert_long_entries(&db).await;
        let mut served = Served::over(&db, &[]);
        let token = served.login().await;
        let mut lists = connect(served.address());
        lists.write_all(long_list(&token).as_bytes()).unwrap();
        lists.read_exact(&mut [0; 12]).unwrap();
        let mut pages = connect(served.address());
        pages.write_all(&pipelined(200)).unwrap();
        pages.read_exact(&mut [0; 12]).unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        served.signal("-TERM");
        assert!(served.wait(Duration::from_secs(20)).success());
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert!(!served.log().contains("broken off"), "{}", served.log());
        assert!(is_reset(&mut lists));
    }
}
