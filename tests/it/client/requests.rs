//! What the client sends to a service, and how it handles the responses of a server that only
//! records requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{CONTROLLER, Ran, client, launch_command, start, words};

/// What a server received: endpoint and body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that sends these responses, by endpoint, with a status, or 0 for none; any other
/// endpoint gets `{}`.
fn recorder(answers: Vec<(&'static str, u16, String)>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/joc/api", listener.local_addr().unwrap());
    let asked = Asked::default();
    let record = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (call, body) = request(&stream);
            let answer = answers.iter().find(|(name, ..)| *name == call);
            let (status, text) = match answer {
                Some((_, status, text)) => (*status, text.as_str()),
                None if call == "/authentication/login" => (200, r#"{"accessToken": "t"}"#),
                None => (200, "{}"),
            };
            record.lock().unwrap().push((call, body));
            if status == 0 {
                continue;
            }
            let headers = "X-Audit-Log-Id: 42\r\nX-Orders-Affected: 2\r\nConnection: close";
            let length = text.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{text}"
            );
        }
    });
    (url, asked)
}

fn request(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).unwrap();
    let call = line.split(' ').nth(1).unwrap().strip_prefix("/joc/api").unwrap().to_owned();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (call, serde_json::from_slice(&body).unwrap())
}

/// What the program sends between login and logout.
async fn asks(
    answers: Vec<(&'static str, u16, String)>,
    args: &[&str],
) -> (Ran, Vec<(String, Value)>) {
    let (url, asked) = recorder(answers);
    let ran = start(&url, args).await;
    let mut asked = std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(asked.first().unwrap().0, "/authentication/login");
    assert_eq!(asked.last().unwrap().0, "/authentication/logout", "{ran:?}");
    asked.pop();
    asked.remove(0);
    (ran, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn list_sends_its_options() {
    let answer = json!({"deliveryDate": "x", "orders": [
        {"orderId": "#1", "workflowId": {"path": "/a", "versionId": "1"}, "state": {"_text": "WAITING", "_reason": "FORKED"},
         "marked": {"_text": "SUSPENDING"}, "scheduledFor": 1000, "priority": -5, "arguments": {"n": 1}},
        {"orderId": "#2", "workflowId": {"path": "/a", "versionId": "1"}, "state": {"_text": "PENDING"}},
    ]})
    .to_string();
    let answers = || vec![("/orders", 200, answer.clone())];
    let args = "orders list --order-id #1 --workflow /a --workflow-version /b 2 --folder /c \
                --folder-only /d --state waiting,Blocked --state FAILED --date-from -1d --date-to 1d --time-zone UTC \
                --regex ^#.* --state-date-from -2h --state-date-to 0 --limit -1";
    let (ran, asked) = asks(answers(), &words(args)).await;
    let body = json!({
        "controllerId": CONTROLLER, "orderIds": ["#1"],
        "workflowIds": [{"path": "/a"}, {"path": "/b", "versionId": "2"}],
        "folders": [{"folder": "/c", "recursive": true}, {"folder": "/d", "recursive": false}],
        "states": ["WAITING", "BLOCKED", "FAILED"], "dateFrom": "-1d", "dateTo": "1d", "timeZone": "UTC",
        "regex": "^#.*", "stateDateFrom": "-2h", "stateDateTo": "0", "limit": -1,
    });
    assert_eq!(asked, [("/orders".into(), body)]);
    let (_, asked) = asks(answers(), &words("orders list --date-to 1d")).await;
    let body = json!({
        "controllerId": CONTROLLER, "dateFrom": "0001-01-02T00:00:00", "dateTo": "1d",
    });
    assert_eq!(asked, [("/orders".into(), body)]);
    assert_eq!(
        ran.ok(),
        "ORDER ID  WORKFLOW  VERSION  STATE    MARKED      SCHEDULED FOR\n\
         #1        /a        1        WAITING  SUSPENDING  1970-01-01T00:00:01.000Z\n\
         #2        /a        1        PENDING\n"
    );
    let (ran, asked) = asks(answers(), &words("orders list --output csv")).await;
    assert_eq!(asked, [("/orders".into(), json!({"controllerId": CONTROLLER}))]);
    assert_eq!(
        ran.ok(),
        "order_id,workflow,version,state,reason,marked,scheduled_for,priority,position,arguments\n\
         #1,/a,1,WAITING,FORKED,SUSPENDING,1970-01-01T00:00:01.000Z,-5,,\"{\"\"n\"\":1}\"\n\
         #2,/a,1,PENDING,,,,,,\n"
    );
    let (ran, _) = asks(answers(), &words("orders list -o name")).await;
    assert_eq!(ran.ok(), "#1\n#2\n");
    let (ran, _) = asks(answers(), &words("orders list --output json")).await;
    assert_eq!(ran.ok(), format!("{answer}\n"), "as the service sent it");

    let (ran, _) = asks(vec![("/orders", 200, "<html>".into())], &words("orders list")).await;
    assert!(ran.exits(1).contains("--url"), "{ran:?}");
    let (ran, _) = asks(vec![("/orders", 503, "{}".into())], &words("orders list")).await;
    ran.exits(7);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_lists_send_their_options() {
    let history = json!({"history": [
        {"orderId": "#1", "workflow": "/a", "orderState": {"_text": "CANCELLED"},
         "startTime": "2026-11-23T11:00:00.000Z", "endTime": "2026-11-23T11:02:03.000Z"},
    ]});
    let args = "orders history --order-id #* --workflow /a? --folder /c --folder-only /d \
                --state failed,successful --date-from 2d --date-to 1d --time-zone UTC \
                --completed-date-from 1d --completed-date-to 0 --limit 5";
    let answers = vec![("/orders/history", 200, history.to_string())];
    let (ran, asked) = asks(answers, &words(args)).await;
    let body = json!({
        "controllerId": CONTROLLER, "orderId": "#*", "workflowPath": "/a?",
        "folders": [{"folder": "/c", "recursive": true}, {"folder": "/d", "recursive": false}],
        "historyStates": ["FAILED", "SUCCESSFUL"], "dateFrom": "2d", "dateTo": "1d",
        "timeZone": "UTC", "completedDateFrom": "1d", "completedDateTo": "0", "limit": 5,
    });
    assert_eq!(asked, [("/orders/history".into(), body)]);
    assert_eq!(
        ran.ok(),
        "ORDER ID  WORKFLOW  STATE      START TIME                END TIME\n\
         #1        /a        CANCELLED  2026-11-23T11:00:00.000Z  2026-11-23T11:02:03.000Z\n"
    );

    let workflows = json!({"workflows": [{"path": "/a", "versionId": "1", "numOfOrders": {
        "scheduled": 4, "blocked": 0, "running": 1, "suspended": 0, "failed": 2}}]});
    let args = "workflows list --folder /c --regex ^a --limit 2";
    let answers = vec![("/workflows", 200, workflows.to_string())];
    let (ran, asked) = asks(answers, &words(args)).await;
    let body = json!({
        "controllerId": CONTROLLER, "folders": [{"folder": "/c", "recursive": true}],
        "regex": "^a", "limit": 2,
    });
    assert_eq!(asked, [("/workflows".into(), body)]);
    assert_eq!(
        ran.ok(),
        "PATH  VERSION  SCHEDULED  BLOCKED  RUNNING  SUSPENDED  FAILED\n\
         /a    1        4          0        1        0          2\n"
    );
    assert!(ran.stderr.ends_with("1 workflow\n"), "{ran:?}");

    let controllers = json!({"controllers": [{"controllerId": "east"}, {"controllerId": "west"}]});
    let answers = vec![("/controllers", 200, controllers.to_string())];
    let (ran, asked) = asks(answers, &words("controllers list -o name")).await;
    assert_eq!(asked, [("/controllers".into(), json!({}))]);
    assert_eq!(ran.ok(), "east\nwest\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspend_and_resume_send_their_options() {
    let preview = |total: u32| {
        json!({"total": total, "byState": {"RUNNING": total}, "suspended": 1, "marked": 1, "killed": 0,
               "resumed": total, "orders": []})
        .to_string()
    };
    let answers = || {
        let done = String::from(r#"{"ok": true}"#);
        vec![
            ("/orders/suspend/preview", 200, preview(2)),
            ("/orders/suspend", 200, done.clone()),
            ("/orders/resume/preview", 200, preview(2)),
            ("/orders/resume", 200, done),
        ]
    };
    let args = "orders suspend --folder /a --kill --deep --fresh-only --reset --max-orders 9 --yes --comment c";
    let (ran, asked) = asks(answers(), &words(args)).await;
    assert_eq!(ran.ok(), "suspended: 2 orders, audit log id 42\n");
    assert_eq!(ran.stderr, "2 orders: 2 RUNNING\nwill suspend 1 order, mark 1\n");
    let body = |limit: &str, number: u32| {
        let mut body = json!({
            "controllerId": CONTROLLER, "folders": [{"folder": "/a", "recursive": true}],
            "kill": true, "deep": true, "reset": true, "orderType": "FreshOnly", "auditLog": {"comment": "c"},
        });
        body[limit] = json!(number);
        body
    };
    assert_eq!(
        asked,
        [
            ("/orders/suspend/preview".into(), body("limit", 20)),
            ("/orders/suspend".into(), body("maxOrders", 9)),
        ]
    );

    let (ran, asked) = asks(answers(), &words("orders resume --order-id x --yes")).await;
    assert_eq!(ran.ok(), "resumed: 2 orders, audit log id 42\n");
    // With --yes nobody was shown a number of orders that could limit the change.
    let body = json!({"controllerId": CONTROLLER, "orderIds": ["x"]});
    assert_eq!(asked[1], ("/orders/resume".into(), body));

    let none = vec![("/orders/resume/preview", 200, preview(0))];
    let (ran, asked) = asks(none, &words("orders resume --order-id x --yes")).await;
    ran.exits(3);
    assert_eq!(asked.len(), 1);

    // Other clients' changes between preview and cancel.
    let refusal = |code: &str, message: &str| {
        json!({"error": {"code": code, "message": message}}).to_string()
    };
    for (joc, message, code) in
        [("JOC-400", "No resumable orders found.", 3), ("JOC-420", "maxOrders: 3 orders", 4)]
    {
        let mut changed = answers();
        changed[3] = ("/orders/resume", 420, refusal(joc, message));
        let (ran, _) = asks(changed, &words("orders resume --order-id x --yes")).await;
        assert!(ran.exits(code).ends_with(&format!("Error: {message}\n")), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn add_sends_its_options() {
    let answers = || vec![("/orders/add", 200, r##"{"orderIds": ["#a", "#b"]}"##.to_owned())];
    let args = [
        "orders",
        "add",
        "--workflow",
        "/sos/eod",
        "--order-name",
        "eod",
        "--scheduled-for",
        "now + 60",
        "--time-zone",
        "Europe/Berlin",
        "--argument",
        "n=1",
        "--argument",
        "s=a=b",
        "--argument",
        "b=true",
        "--priority",
        "-10",
        "--comment",
        "c",
    ];
    let (ran, asked) = asks(answers(), &args).await;
    assert_eq!(ran.ok(), "ORDER ID\n#a\n#b\n");
    assert_eq!(ran.stderr, "added: 2 orders, audit log id 42\n");
    let order = json!({
        "workflowPath": "/sos/eod", "orderName": "eod", "scheduledFor": "now + 60",
        "timeZone": "Europe/Berlin", "arguments": {"n": 1, "s": "a=b", "b": true}, "priority": -10,
    });
    let body = json!({"controllerId": CONTROLLER, "orders": [order], "auditLog": {"comment": "c"}});
    assert_eq!(asked, [("/orders/add".into(), body)]);

    let orders = json!([{"workflowPath": "/a"}, {"workflowPath": "/b", "priority": 1}]);
    for text in [
        orders.to_string(),
        format!("{}\n{}\n", orders[0], orders[1]),
        format!("[{}]\n{}", orders[0], orders[1]),
    ] {
        let (url, asked) = recorder(answers());
        let command = client(&url, &words("orders add --from-file - --output csv"));
        assert_eq!(launch_command(command, text).await.ok(), "order_id\n#a\n#b\n");
        assert_eq!(asked.lock().unwrap()[1].1["orders"], orders);
    }
    for text in ["", "[]", "[1]", "{", "{} x"] {
        let command = client("http://127.0.0.1:1", &words("orders add --from-file -"));
        let ran = launch_command(command, text).await;
        assert!(ran.exits(2).contains("standard input: "), "{text} {ran:?}");
    }
    for args in [
        "orders add",
        "orders add --workflow /a --from-file x",
        "orders add --workflow /a --argument n",
        "orders add --workflow /a --argument n=1 --argument n=2",
    ] {
        start("http://127.0.0.1:1", &words(args)).await.exits(2);
    }
    let (ran, _) = asks(answers(), &words("orders add --workflow /a --output json")).await;
    let answer: Value = serde_json::from_str(ran.ok()).unwrap();
    assert_eq!(answer, json!({"orderIds": ["#a", "#b"], "affected": 2, "auditLogId": 42}));
    assert_eq!(ran.stderr, "");

    let broken_off = vec![("/orders/add", 0, String::new())];
    let (ran, asked) = asks(broken_off, &words("orders add --workflow /a")).await;
    // It gives up in the end.
    assert_eq!(asked.len(), 5);
    assert!(asked.iter().all(|sent| *sent == asked[0]), "{asked:?}");
    let complaint = "orders may have been added: `joc-orders audit` shows whether they were";
    assert!(ran.exits(7).contains(complaint), "{ran:?}");
    let ran = start("http://127.0.0.1:1", &words("orders add --from-file /no/such/file")).await;
    assert!(ran.exits(2).contains("/no/such/file: "), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_sends_its_options() {
    let entries = json!({"auditLog": [{"id": 7, "created": "2026-11-23T12:34:56.789Z", "controllerId": "prod",
        "account": "root", "request": "./orders/cancel", "outcome": "DONE", "affected": 2, "comment": "a\nb"}]});
    let args = "audit --account root --folder /a --folder-only /b --object-name x --category controller \
                --comment c --ticket-link t --date-from -1d --date-to 0 --time-zone UTC --limit 5";
    let (ran, asked) = asks(vec![("/audit_log", 200, entries.to_string())], &words(args)).await;
    let body = json!({
        "controllerId": CONTROLLER, "account": "root", "objectName": "x", "categories": ["CONTROLLER"],
        "folders": [{"folder": "/a", "recursive": true}, {"folder": "/b", "recursive": false}],
        "comment": "c", "ticketLink": "t", "dateFrom": "-1d", "dateTo": "0", "timeZone": "UTC", "limit": 5,
    });
    assert_eq!(asked, [("/audit_log".into(), body)]);
    assert!(
        ran.ok().contains(
            "\n7   2026-11-23T12:34:56.789Z  root     ./orders/cancel  DONE     2         a\\nb\n"
        ),
        "{ran:?}"
    );

    let details = json!({"auditLogDetails": [{"orderId": "#1", "workflowId": {"path": "/a", "versionId": "1"},
        "previousState": "SCHEDULED", "newState": "CANCELLED", "kill": false}]});
    let answers = vec![("/audit_log/details", 200, details.to_string())];
    let (ran, asked) = asks(answers, &words("audit --details 7 --output csv")).await;
    assert_eq!(asked[0].1, json!({"controllerId": CONTROLLER, "auditLogId": 7}));
    assert!(ran.ok().ends_with("\n#1,/a,1,SCHEDULED,CANCELLED,,false,,\n"), "{ran:?}");
    start("http://127.0.0.1:1", &words("audit --details 7 --account x")).await.exits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_not_an_error() {
    // A message that nobody reads does not matter either.
    let mut command = client("http://127.0.0.1:1", &["orders", "list"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(7));

    let order = json!({"orderId": "x".repeat(200), "state": {"_text": "PENDING"}});
    let answer = json!({"orders": vec![order; 5000]}).to_string();
    for format in ["table", "json", "csv"] {
        let (url, asked) = recorder(vec![("/orders", 200, answer.clone())]);
        let mut command = client(&url, &["orders", "list", "--output", format]);
        let ran = tokio::task::spawn_blocking(move || {
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            child.wait_with_output().unwrap()
        });
        let output = ran.await.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{format} {output:?}");
        assert_eq!(asked.lock().unwrap().last().unwrap().0, "/authentication/logout");
    }
}
