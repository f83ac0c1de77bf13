//! A change whose response is lost is sent again with the same key, and happens once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::{App, Order, start, words};

/// The keys with which each changing endpoint was called.
type Keys = Arc<Mutex<Vec<(String, String)>>>;

/// A request as it came, with its endpoint and its key.
fn read(stream: &mut TcpStream) -> (String, String, Option<String>) {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut lines = lines.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| value.to_owned())
    };
    let length = field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let call = head.split(' ').nth(1).unwrap().trim_start_matches("/joc/api").to_owned();
    let key = field("idempotency-key");
    let text = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    (text + &String::from_utf8(body).unwrap(), call, key)
}

/// A proxy that loses the first response to every change: it closes the connection, or reports that
/// the service is gone.
fn lossy(address: &str, reports: bool) -> (String, Keys) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/joc/api", listener.local_addr().unwrap());
    let (address, keys) = (address.to_owned(), Keys::default());
    let seen = keys.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (request, call, key) = read(&mut stream);
            let mut service = TcpStream::connect(&address).unwrap();
            service.write_all(request.as_bytes()).unwrap();
            let mut response = Vec::new();
            service.read_to_end(&mut response).unwrap();
            if let Some(key) = key {
                let mut seen = seen.lock().unwrap();
                let is_first = !seen.iter().any(|(known, _)| *known == call);
                seen.push((call, key));
                if is_first {
                    response = match reports {
                        true => b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_vec(),
                        false => Vec::new(),
                    };
                }
            }
            let _gone = stream.write_all(&response);
            let _gone = stream.shutdown(Shutdown::Both);
        }
    });
    (url, keys)
}

on_both! {
    async fn a_change_is_repeated_with_its_key(kind: Kind) {
        for reports in [false, true] {
            let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
            let (url, keys) = lossy(app.address(), reports);
            let ran = start(&url, &words("orders cancel --order-id a --yes --output json")).await;
            let body: Value = serde_json::from_str(ran.ok()).unwrap();
            assert_eq!(body["affected"], 1);
            let told = "; sending it again with the same key in 0.5 s\n";
            assert_eq!(ran.stderr.matches(told).count(), 1, "{ran:?}");
            let ran = start(&url, &words("orders add --workflow /sos/eod --order-name n")).await;
            assert_eq!(ran.stderr.matches(told).count(), 1, "{ran:?}");
            ran.ok();

            let keys = keys.lock().unwrap().clone();
            let calls: Vec<&str> = keys.iter().map(|(call, _)| call.as_str()).collect();
            assert_eq!(calls, ["/orders/cancel", "/orders/cancel", "/orders/add", "/orders/add"]);
            assert_eq!(keys[0], keys[1]);
            assert_eq!(keys[2], keys[3]);
            assert_ne!(keys[0].1, keys[2].1);
            let added = "SELECT count(*) FROM orders WHERE order_id LIKE '#%-n'";
            assert_eq!(app.db.count(added).await, 1);
            let entries = "SELECT count(*) FROM audit_logs WHERE request LIKE './orders/%'";
            assert_eq!(app.db.count(entries).await, 2);
        }
    }
}
