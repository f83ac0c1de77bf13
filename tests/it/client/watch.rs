//! A list that is watched.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{App, Database, Order, Served, client, on_terminal_of, signal, start, words};

/// A running `orders list --watch`.
struct Watch(Child, BufReader<ChildStdout>);

impl Watch {
    fn start(url: &str, flags: &str) -> Self {
        let args = format!("orders list --watch --interval 1 {flags}");
        let mut command = client(url, &words(&args));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self(child, stdout)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }

    /// Interrupts it, which is how it ends without an error, and returns standard error.
    fn end(mut self) -> String {
        signal(&self.0, "-INT");
        let mut stderr = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0), "{stderr}");
        // The line in which a terminal shows ^C.
        stderr.strip_suffix('\n').unwrap().to_owned()
    }
}

on_both! {
    async fn a_watch_prints_changes(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let before = app.db.count("SELECT count(*) FROM sessions").await;
        let mut json = Watch::start(&app.url, "-o json --state scheduled,suspended");
        let mut csv = Watch::start(&app.url, "-o csv --order-id b");
        let mut next = || {
            let line: Value = serde_json::from_str(&json.line()).unwrap();
            format!("{} {} {}", line["change"], line["order"]["orderId"], line["order"]["state"]["_text"]).replace('"', "")
        };
        assert_eq!([next(), next()], ["ADDED a SCHEDULED", "ADDED b SCHEDULED"]);
        assert!(csv.line().starts_with("order_id,change,workflow,"));
        assert!(csv.line().starts_with("b,ADDED,"));
        start(&app.url, &words("orders suspend -y --order-id b")).await.ok();
        assert_eq!(next(), "CHANGED b SUSPENDED");
        assert!(csv.line().starts_with("order_id,change,"));
        assert!(csv.line().starts_with("b,CHANGED,"));
        start(&app.url, &words("orders cancel -y --order-id a")).await.ok();
        assert_eq!(next(), "GONE a SCHEDULED");
        assert_eq!((json.end(), csv.end()), (String::new(), String::new()));
        assert_eq!(app.db.count("SELECT count(*) FROM sessions").await, before);
        let ran = start(&app.url, &words("orders list --interval 3")).await;
        assert!(ran.exits(2).contains("--watch"), "{ran:?}");
        let ran = start("http://127.0.0.1:1", &words("orders list --watch")).await;
        assert!(ran.exits(7).contains("cannot reach"), "{ran:?}");
    }

    async fn a_watch_survives_an_outage(kind: Kind) {
        let db = Database::create(kind).await;
        let service = Served::over(&db, &[]);
        db.insert(&[Order::new("a")]).await;
        let address = service.address().to_owned();
        let mut watch = Watch::start(&format!("http://{address}"), "-o name");
        assert_eq!(watch.line(), "a\n");
        service.stop();
        // Takes the address, so that no other test does, and responds to nobody.
        let taken = TcpListener::bind(&address).unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        db.insert(&[Order::new("b").workflow("/sos/other", "1")]).await;
        drop(taken);
        let _service = Served::over(&db, &["--listen", &address]);
        assert_eq!(watch.line(), "b\n");
        let stderr = watch.end();
        assert!(stderr.ends_with("trying again\nthe service responds again\n"), "{stderr}");
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
    }

    async fn a_watch_redraws_on_a_terminal(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let mut command = client(&app.url, &words("orders list --watch --interval 1"));
        command.env("TERM", "xterm");
        let mut terminal = on_terminal_of(200, &command);
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (mut shown, begin) = (String::new(), Instant::now());
        while shown.matches("1 order: 1 SCHEDULED").count() < 2 {
            let mut bytes = [0; 4096];
            let read = stdout.read(&mut bytes).unwrap();
            shown += &String::from_utf8_lossy(&bytes[..read]);
            assert!(read > 0 && begin.elapsed() < Duration::from_secs(30), "{shown}");
        }
        assert!(shown.matches("\u{1b}[H\u{1b}[2J").count() >= 2, "{shown:?}");
        drop(child.stdin.take());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
