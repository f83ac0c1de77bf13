//! Slow clients: those that do not read, read too slowly, or never finish sending. None of them
//! keeps its slot.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::task::JoinSet;

use crate::harness::{App, Database, Kind, PATIENCE, Response, Served, program, until};
use crate::secured::{certificate, install, trusts};
use crate::stream::insert_long_entries;

/// A connection with a receive buffer of a few kilobytes, for a client that does not read.
pub fn connect(address: &str) -> TcpStream {
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

/// A request for the entries of [`insert_long_entries`].
fn long_list(token: &str) -> String {
    let body = r#"{"limit":-1}"#;
    format!(
        "POST /joc/api/audit_log HTTP/1.1\r\nHost: a\r\nX-Access-Token: {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads what is there, and returns whether the connection is reset.
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

/// Requests a page repeatedly until there is a response.
async fn wait_for_answer(url: &str) -> Response {
    // A new client each time, since a client keeps its connections.
    let page = || reqwest::Client::new().get(url);
    let is_served = async || page().timeout(Duration::from_secs(2)).send().await.is_ok();
    until("a slot is free", is_served).await;
    Response::of(page()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_lose_their_slots() {
    let db = Database::create(Kind::Sqlite).await;
    let served = Served::over(&db, &["--clients=60", "--write-timeout=3"]);
    let before = served.memory();
    let mut clients: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = connect(served.address());
            stream.set_nonblocking(true).unwrap();
            // Until the service stops reading.
            while stream.write(&pipelined(200)).is_ok() {}
            stream.set_nonblocking(false).unwrap();
            stream
        })
        .collect();
    let url = format!("http://{}/health", served.address());
    assert_eq!(wait_for_answer(&url).await.ok(), json!({"alive": true}));
    served.until_logged("reads too slowly", clients.len()).await;
    let held = served.memory() - before;
    assert!(held < 120, "{held} MB for requests that were sent ahead");
    tokio::task::spawn_blocking(move || assert!(clients.iter_mut().all(is_reset))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_clients_that_never_read_lose_their_slots() {
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
    let started = Instant::now();
    while trusts(&served, &certificate).await.is_none() {
        assert!(started.elapsed() < PATIENCE, "no slot is free");
    }
    assert!(served.log().contains("reads too slowly"), "{}", served.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_a_few_bytes_now_and_then_is_disconnected() {
    let app = App::start(Kind::Sqlite, &["--write-timeout=2"]).await;
    let mut stream = connect(app.address());
    let reading = tokio::task::spawn_blocking(move || {
        stream.write_all(&pipelined(200)).unwrap();
        let started = Instant::now();
        while stream.read(&mut [0; 500]).is_ok_and(|bytes| bytes > 0) {
            assert!(started.elapsed() < PATIENCE, "it keeps reading");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_but_in_time_gets_all_responses() {
    let app = App::start(Kind::Sqlite, &["--write-timeout=20"]).await;
    let mut stream = connect(app.address());
    let reading = tokio::task::spawn_blocking(move || {
        // More than the service reads while its responses are not read.
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

/// Unfinished bodies, with and without a length.
const BODIES: [&str; 2] =
    ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\nFFFF\r\n{"];

/// Sends spaces until the connection ends, which must happen within this time, and returns what was
/// received.
fn drip(mut stream: TcpStream, within: Duration) -> String {
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (started, mut received) = (Instant::now(), Vec::new());
    loop {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => received.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(
            started.elapsed() < within,
            "it is waited for: {}",
            String::from_utf8_lossy(&received)
        );
        // A closing connection may still have data to read.
        let _ = stream.write_all(b" ");
    }
    String::from_utf8(received).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unfinished_head_of_a_later_request_times_out() {
    let app = App::start(Kind::Sqlite, &[]).await;
    let mut stream = connect(app.address());
    let dripping = tokio::task::spawn_blocking(move || {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut buffer = [0; 4096];
        let bytes = stream.read(&mut buffer).unwrap();
        assert!(buffer[..bytes].starts_with(b"HTTP/1.1 200"));
        stream.write_all(b"GET /health HTTP/1.1\r\nX-Long: ").unwrap();
        drip(stream, Duration::from_secs(20))
    });
    assert_eq!(dripping.await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_does_not_abort_the_next() {
    let app = App::start(Kind::Sqlite, &["--keep-alive=2"]).await;
    let mut stream = connect(app.address());
    let token = app.token.clone();
    let sending = tokio::task::spawn_blocking(move || {
        // Longer than the timeouts of idle connections and heads; and immediately.
        for wait in [11, 0] {
            let head = format!(
                "POST /joc/api/touch HTTP/1.1\r\nHost: a\r\nX-Access-Token: {token}\r\n\
                 Content-Length: 2\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_secs(wait));
            stream.write_all(b"{}").unwrap();
            let mut buffer = [0; 4096];
            let bytes = stream.read(&mut buffer).unwrap();
            assert!(buffer[..bytes].starts_with(b"HTTP/1.1 200"));
        }
    });
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_body_keeps_no_slot() {
    let app = App::start(Kind::Sqlite, &["--keep-alive=1"]).await;
    let mut clients = JoinSet::new();
    for (is_silent, body) in BODIES.map(|body| [(true, body), (false, body)]).concat() {
        let mut stream = connect(app.address());
        clients.spawn_blocking(move || {
            // Without an access token, rejected before the body is read.
            let head = "POST /joc/api/orders HTTP/1.1\r\nHost: a\r\n";
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            if !is_silent {
                return drip(stream, Duration::from_secs(20));
            }
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut received = String::new();
            stream.read_to_string(&mut received).unwrap();
            received
        });
    }
    while let Some(received) = clients.join_next().await {
        assert!(received.unwrap().starts_with("HTTP/1.1 401"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_idle_connections_are_no_burden() {
    let app = App::start(Kind::Sqlite, &[]).await;
    let address = app.address().to_owned();
    let _idle: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let started = Instant::now();
    app.login(crate::harness::ROOT.0, crate::harness::ROOT.1).await;
    for _ in 0..20 {
        app.post("/touch", &json!({})).await.ok();
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

on_both! {
    async fn a_dripping_body_times_out(kind: Kind) {
        let app = App::start(kind, &["--request-timeout=2"]).await;
        for body in BODIES {
            let mut stream = connect(app.address());
            let head = format!(
                "POST /joc/api/orders/cancel HTTP/1.1\r\nHost: a\r\nX-Access-Token: {}\r\n{body}",
                app.token
            );
            let dripping = tokio::task::spawn_blocking(move || {
                stream.write_all(head.as_bytes()).unwrap();
                drip(stream, Duration::from_secs(20))
            });
            let received = dripping.await.unwrap();
            assert!(received.starts_with("HTTP/1.1 503"), "{received}");
            assert!(received.contains("nothing has changed"), "{received}");
        }
    }

    async fn a_client_that_keeps_the_pace_gets_a_long_response_complete(kind: Kind) {
        let app = App::start(kind, &["--write-timeout=6"]).await;
        insert_long_entries(&app.db).await;
        let mut stream = connect(app.address());
        let request = long_list(&app.token);
        let reading = tokio::task::spawn_blocking(move || {
            stream.write_all(request.as_bytes()).unwrap();
            let (mut received, mut buffer) = (0, vec![0; 64 * 1024]);
            // Longer than the timeout, at several times the required pace.
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(8) {
                stream.read_exact(&mut buffer[..20_000]).unwrap();
                received += 20_000;
                std::thread::sleep(Duration::from_millis(100));
            }
            SockRef::from(&stream).set_recv_buffer_size(256 * 1024).unwrap();
            // The last chunk may arrive alone, or in two parts.
            let mut end = Vec::new();
            while !end.ends_with(b"\r\n0\r\n\r\n") {
                let bytes = stream.read(&mut buffer).unwrap();
                assert_ne!(bytes, 0);
                received += bytes;
                end.drain(..end.len().saturating_sub(7));
                end.extend_from_slice(&buffer[..bytes]);
            }
            received
        });
        assert!(reading.await.unwrap() > 60_000_000);
    }

    async fn clients_that_never_read_do_not_delay_the_shutdown(kind: Kind) {
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
        let started = Instant::now();
        served.signal("-TERM");
        assert!(served.wait(Duration::from_secs(20)).success());
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        assert!(!served.log().contains("aborting"), "{}", served.log());
        assert!(is_reset(&mut lists));
    }
}
