//! How the operators' page is served.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use crate::harness::{App, Kind, Order};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What a whole page may take over the network.
const MOST: usize = 60 * 1024;

struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn unpacked(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(&*self.bytes).read_to_end(&mut bytes).unwrap();
        bytes
    }
}

async fn ask(app: &App, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.client.request(method, format!("http://{}{path}", app.address()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, bytes: response.bytes().await.unwrap().into() }
}

async fn get(app: &App, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(app, Method::GET, path, headers).await
}

/// The files of the page.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
    let files = std::fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
    });
    files.collect()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').unwrap().1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        other => panic!("say here which media type .{other} has"),
    }
}

#[track_caller]
fn check_headers(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
    assert_eq!(answer.header("content-security-policy"), POLICY);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
    assert!(!answer.headers.contains_key("set-cookie"));
    let tag = answer.header("etag");
    assert_eq!((tag.len(), tag.starts_with('"')), (66, true), "{tag}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_served_plain_and_compressed() {
    let app = App::start(Kind::Sqlite, &[]).await;
    let mut all = 0;
    for (name, bytes) in files() {
        let path = format!("/web/{name}");
        let plain = get(&app, &path, &[]).await;
        assert_eq!((plain.status, &plain.bytes), (200, &bytes), "{name}");
        assert!(!plain.headers.contains_key("content-encoding"), "{name}");
        let packed = get(&app, &path, &[("accept-encoding", "gzip, deflate, br, zstd")]).await;
        assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"), "{name}");
        assert_eq!(packed.unpacked(), bytes, "{name}");
        all += packed.bytes.len();
        for answer in [&plain, &packed] {
            check_headers(answer);
            assert_eq!(answer.header("content-type"), media_type(&name), "{name}");
        }
        assert_ne!(plain.header("etag"), packed.header("etag"), "{name}");
        let again = get(&app, &path, &[]).await;
        assert_eq!(again.header("etag"), plain.header("etag"), "{name}");
    }
    assert!((1..MOST).contains(&all), "{all} bytes");

    let index = get(&app, "/web/index.html", &[]).await;
    let page = get(&app, "/", &[]).await;
    assert_eq!((page.status, &page.bytes), (200, &index.bytes));
    assert_eq!(page.header("etag"), index.header("etag"));
    check_headers(&page);
    // Nothing in it needs what the policy forbids.
    let text = String::from_utf8(page.bytes).unwrap();
    for forbidden in ["<script>", "<style", " style=", " onclick=", "http://", "https://"] {
        assert!(!text.contains(forbidden), "{forbidden} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_encoding_is_one_that_the_client_takes() {
    let app = App::start(Kind::Sqlite, &[]).await;
    for (accepted, encoding) in [
        ("gzip", Some("gzip")),
        ("br;q=1, gzip;q=0.5", Some("gzip")),
        ("gzip;q=0", None),
        ("br", None),
        ("", None),
        ("identity", None),
        ("gzip;q=0.1, identity;q=0.9", None),
        ("\u{e4}", None),
    ] {
        let answer = get(&app, "/", &[("accept-encoding", accepted)]).await;
        let given = answer.headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!((answer.status, given), (200, encoding), "{accepted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_already_is_not_sent_again() {
    let app = App::start(Kind::Sqlite, &[]).await;
    let gzip = ("accept-encoding", "gzip");
    let (plain, packed) = (get(&app, "/", &[]).await, get(&app, "/", &[gzip]).await);
    let (plain, packed) = (plain.header("etag"), packed.header("etag"));
    let several = format!("\"x\", W/{packed}");
    for known in [packed, &several, "*"] {
        let answer = get(&app, "/", &[gzip, ("if-none-match", known)]).await;
        assert_eq!((answer.status, answer.header("etag")), (304, packed), "{known}");
        assert!(answer.bytes.is_empty() && !answer.headers.contains_key("content-encoding"));
        check_headers(&answer);
    }
    for unknown in ["\"x\"", plain, "nonsense", ""] {
        let answer = get(&app, "/", &[gzip, ("if-none-match", unknown)]).await;
        assert_eq!((answer.status, answer.header("etag")), (200, packed), "{unknown}");
    }
    let answer = get(&app, "/", &[("if-none-match", plain)]).await;
    assert_eq!((answer.status, answer.header("etag")), (304, plain));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_files_and_methods_are_rejected_as_elsewhere() {
    let app = App::start(Kind::Sqlite, &[]).await;
    for path in ["/web/none.js", "/web/..%2fCargo.toml", "/web/%69ndex.htm"] {
        let answer = get(&app, path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        let body: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
        assert_eq!(body["error"]["code"], "JOC-420", "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains("/web/"), "{path}: {body}");
    }
    assert_eq!(get(&app, "/web", &[]).await.status, 404);
    assert_eq!(get(&app, "/web/a/b", &[]).await.status, 404);
    for path in ["/", "/web/index.html"] {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = ask(&app, method, path, &[]).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
        }
        let (head, whole) = (ask(&app, Method::HEAD, path, &[]).await, get(&app, path, &[]).await);
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), whole.header(name), "{path}");
        }
        check_headers(&head);
    }
}

on_both! {
    async fn the_page_is_served_while_the_database_is_gone(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        app.store.close().await;
        assert_eq!(get(&app, "/ready", &[]).await.status, 503);
        assert_eq!(app.cancel(json!({"orderIds": ["a"]})).await.status, 503);
        for path in ["/", "/web/index.html"] {
            let answer = get(&app, path, &[]).await;
            assert_eq!(answer.status, 200, "{path}");
            check_headers(&answer);
        }
    }
}
