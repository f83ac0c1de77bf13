//! What `import` accepts and rejects, and that it imports all of a file or nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Database, Kind, Order, launch};

const FIXTURE: &str = include_str!("../fixtures/orders.json");
const FIXTURE_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/orders.json");

fn fixture() -> Vec<Value> {
    let answer: Value = serde_json::from_str(FIXTURE).unwrap();
    answer["orders"].as_array().unwrap().clone()
}

/// Orders by id with `state`, the workflow and the instant.
async fn stored(db: &Database) -> BTreeMap<String, [String; 3]> {
    let at = match db.kind() {
        Kind::Sqlite => "scheduled_for",
        Kind::Postgres => {
            "to_char(scheduled_for AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
        }
    };
    let sql = format!(
        "SELECT order_id, state || coalesce('+' || mark, '') || CASE WHEN suspended THEN '~' ELSE '' END,
         workflow_path || ' ' || workflow_version_id, {at} FROM orders"
    );
    let text = |value: Option<String>| value.unwrap_or("never".into());
    let rows = db.rows(&sql).await.unwrap();
    rows.into_iter()
        .map(|row| row.into_iter().map(text).collect::<Vec<_>>().try_into().unwrap())
        .map(|[id, state, workflow, at]: [String; 4]| (id, [state, workflow, at]))
        .collect()
}

/// How an order of the fixture should be stored.
fn mapped(order: &Value) -> [String; 3] {
    let at_start = order["position"] == json!([0]);
    let mut state = match order["state"]["_text"].as_str().unwrap() {
        "PENDING" | "SCHEDULED" | "BLOCKED" => "FRESH",
        "SUSPENDED" if at_start || order["position"].is_null() => "FRESH~",
        "SUSPENDED" => "WAITING~",
        "BROKEN" => "FAILED",
        "INPROGRESS" if at_start && order["state"]["_reason"] == "WAITING_FOR_ADMISSION" => "FRESH",
        other => other,
    }
    .to_owned();
    let is_kept = |mark: &&str| match *mark {
        "OUTDATED" => false,
        "RESUMING" => state.ends_with('~'),
        _ => true,
    };
    if let Some(mark) = order["marked"]["_text"].as_str().filter(is_kept) {
        state = match state.strip_suffix('~') {
            Some(state) => format!("{state}+{mark}~"),
            None => format!("{state}+{mark}"),
        };
    }
    let workflow = &order["workflowId"];
    let part = |name: &str| workflow[name].as_str().unwrap().to_owned();
    let millis = order["scheduledFor"].as_i64().filter(|_| order["scheduledNever"] != true);
    let at = millis.map_or("never".into(), |millis| {
        let at = chrono::DateTime::from_timestamp_millis(millis).unwrap();
        at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    });
    [state, part("path") + " " + &part("versionId"), at]
}

fn line(id: &str, path: &str, state: &str) -> String {
    let workflow = json!({"path": path, "versionId": "1"});
    let order = json!({"orderId": id, "workflowId": workflow, "state": {"_text": state}});
    json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n"
}

on_both! {
    async fn imports_a_response_of_joc(kind: Kind) {
        let db = Database::create(kind).await;
        let import = ["import", FIXTURE_FILE, "--controller-id", CONTROLLER];
        let ran = launch(&db.url, &import, "").await;
        assert_eq!(ran.ok(), "imported: 420 new, 0 replaced, 0 skipped\n");
        let expected: BTreeMap<_, _> = fixture()
            .iter()
            .map(|order| (order["orderId"].as_str().unwrap().to_owned(), mapped(order)))
            .collect();
        assert_eq!(expected.len(), 420);
        for (id, order) in stored(&db).await {
            assert_eq!(order, expected[&id], "{id}");
        }
        assert_eq!(db.count("SELECT count(*) FROM orders").await, 420);

        let ran = launch(&db.url, &import, "").await;
        assert_eq!(ran.ok(), "imported: 0 new, 0 replaced, 420 skipped\n");
        let replace = [&import[..], &["--replace"]].concat();
        db.execute("UPDATE orders SET scheduled_for = NULL, mark = NULL WHERE state = 'FRESH'").await.unwrap();
        let ran = launch(&db.url, &replace, "").await;
        let changed = expected.values().filter(|[state, _, at]| {
            state.starts_with("FRESH") && (at != "never" || state.contains('+'))
        });
        let changed = changed.count();
        let unchanged = 365 - changed;
        let replaced = format!("imported: 0 new, {changed} replaced, {unchanged} unchanged, 55 skipped\n");
        assert_eq!(ran.ok(), replaced);
        assert_eq!(stored(&db).await, expected);
        db.execute("UPDATE orders SET state = 'CANCELLED', suspended = FALSE, mark = NULL
            WHERE state IN ('FRESH')").await.unwrap();
        let terminal = db.count("SELECT count(*) FROM orders WHERE state IN ('FINISHED', 'CANCELLED')").await;
        let ran = launch(&db.url, &replace, FIXTURE).await;
        let expected = format!("imported: 0 new, 0 replaced, {} unchanged, {terminal} skipped\n", 420 - terminal);
        assert_eq!(ran.ok(), expected);
    }

    async fn an_imported_order_can_be_cancelled(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let import = ["import", "-", "--controller-id", CONTROLLER];
        launch(&app.db.url, &import, FIXTURE).await.ok();
        for folder in ["/O'Brien & \"Söhne\"", "/shop/50% off", "/sos", "/日本/東京", "/Россия"] {
            let before = stored(&app.db).await;
            let below = format!("{folder}/");
            let living = |order: &Value| {
                let path = order["workflowId"]["path"].as_str().unwrap();
                let state = order["state"]["_text"].as_str().unwrap();
                path.starts_with(&below)
                    && state != "FINISHED"
                    && state != "CANCELLED"
                    && order["marked"]["_text"] != "CANCELLING"
            };
            let expected: Vec<Value> = fixture().into_iter().filter(living).collect();
            assert!(!expected.is_empty(), "{folder}");
            let answer = app.cancel(json!({"folders": [{"folder": folder}]})).await;
            assert_eq!(answer.affected(), expected.len() as u64, "{folder}");
            let after = stored(&app.db).await;
            for (id, order) in after {
                if expected.iter().any(|order| order["orderId"] == json!(id)) {
                    let [state, ..] = &order;
                    assert!(state == "CANCELLED" || state.ends_with("+CANCELLING"), "{id}: {state}");
                } else {
                    assert_eq!(order, before[&id], "{id}");
                }
            }
        }
    }

    async fn imports_json_lines(kind: Kind) {
        let db = Database::create(kind).await;
        let mut text = json!({"controllerId": "other", "workflow":
            {"path": "/a/b", "versionId": "7", "title": "x"}}).to_string();
        text += "\r\n\n   \n";
        let order = json!({"orderId": "o", "workflowId": {"path": "/a/c", "versionId": "1"},
            "state": {"_text": "SCHEDULED", "severity": 1}, "scheduledFor": 1_795_437_600_123_i64,
            "lastOutcome": {"x": null}, "marked": null});
        text += "# a comment\n";
        text += &(json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n");
        let names = ["it's \"quoted\"", "50%_ off", "Größe", "日本🎄", "\\'; DROP TABLE orders; --"];
        for name in names {
            text += &line(&format!("#{name}|{name}"), &format!("/{name}/{name}"), "FAILED");
        }
        text += line("last", "/a/c", "PROMPTING").trim_end();
        let ran = launch(&db.url, &["import"], text.clone()).await;
        assert_eq!(ran.ok(), "imported: 7 new, 0 replaced, 0 skipped\n");
        assert_eq!(db.count("SELECT count(*) FROM workflows WHERE controller_id = 'other'").await, 1);
        let stored = stored(&db).await;
        assert_eq!(stored["o"], ["FRESH", "/a/c 1", "2026-11-23T12:40:00.123Z"]);
        assert_eq!(stored["last"], ["PROMPTING", "/a/c 1", "never"]);
        for name in names {
            assert_eq!(stored[&format!("#{name}|{name}")][1], format!("/{name}/{name} 1"));
        }
        let ran = launch(&db.url, &["import", "-"], text).await;
        assert_eq!(ran.ok(), "imported: 0 new, 0 replaced, 7 skipped\n");
    }

    async fn imports_every_field_of_an_order(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let text = |id: &str, state: Value, more: Value| {
            let workflow = json!({"path": "/sos/eod", "versionId": "1"});
            let mut order = json!({"orderId": id, "workflowId": workflow, "state": state});
            order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n"
        };
        let carried = json!({"priority": -7, "position": [2, "then", 0], "arguments":
            {"text": "O'Brien \"日本\"", "number": 1.5, "flag": false, "list": [{"a": 1}], "map": {"k": "v"}, "none": null}});
        let waiting = json!({"_text": "WAITING", "_reason": "DELAYING_RETRY"});
        let input = text("a", waiting, carried.clone())
            + &text("b", json!({"_text": "RUNNING"}), json!({"priority": null, "arguments": null}))
            + &text("c", json!({"_text": "SUSPENDED", "_reason": "FORKED"}), carried)
            + &text("d", json!({"_text": "FINISHED", "_reason": "FORKED"}), json!({"position": [1]}));
        launch(&app.db.url, &["import"], input).await.ok();
        let shown = async |id: &str| {
            app.post("/order", &json!({"controllerId": CONTROLLER, "orderId": id})).await.ok()
        };
        let [a, b, c, d] = [shown("a").await, shown("b").await, shown("c").await, shown("d").await];
        let arguments =
            json!({"text": "O'Brien \"日本\"", "number": 1.5, "flag": false, "list": [{"a": 1}],
                "map": {"k": "v"}});
        for order in [&a, &c] {
            assert_eq!(order["priority"], -7);
            assert_eq!(order["position"], json!([2, "then", 0]));
            assert_eq!(order["arguments"], arguments);
        }
        let waiting = json!({"_text": "WAITING", "severity": 8, "_reason": "DELAYING_RETRY"});
        assert_eq!((&a["state"], &a["isContinuable"]), (&waiting, &json!(true)));
        assert_eq!((&b["priority"], &b["arguments"]), (&json!(0), &json!({})));
        assert!(b.get("position").is_none() && b["state"].get("_reason").is_none(), "{b}");
        assert_eq!(c["state"]["_reason"], "FORKED");
        assert_eq!((&d["position"], d["state"].get("_reason")), (&json!([1]), None));

        // A copy is identical, through any database.
        let copy = Database::create(kind).await;
        let all = json!({"controllerId": CONTROLLER, "orderIds": ["a", "b", "c", "d"]});
        let exported = app.post("/orders", &all).await.text;
        launch(&copy.url, &["import", "--controller-id", CONTROLLER], exported.clone()).await.ok();
        let copied = App::over(copy, &[]).await.post("/orders", &all).await.json();
        assert_eq!(copied["orders"], serde_json::from_str::<Value>(&exported).unwrap()["orders"]);

        // A replaced order keeps nothing except the time since when it has had its state.
        let old = "UPDATE orders SET created = '2020-01-01T00:00:00.000Z', state_since = '2020-01-01T00:00:00.000Z'
            WHERE order_id <> 'd'";
        app.db.execute(old).await.unwrap();
        let replacing = text("a", json!({"_text": "WAITING"}), json!({}))
            + &text("b", json!({"_text": "FINISHED"}), json!({"priority": 3}));
        launch(&app.db.url, &["import", "--replace"], replacing).await.ok();
        let [a, b] = [shown("a").await, shown("b").await];
        assert_eq!((&a["priority"], &a["arguments"]), (&json!(0), &json!({})));
        assert_eq!(a["isContinuable"], false);
        assert!(a.get("position").is_none() && a["state"].get("_reason").is_none(), "{a}");
        assert_eq!(b["priority"], 3);
        let kept = "SELECT count(*) FROM orders WHERE order_id = 'a' AND state_since < '2021-01-01'";
        assert_eq!(app.db.count(kept).await, 1);
        let history = json!({"controllerId": CONTROLLER, "orderId": "b"});
        let history = app.post("/orders/history", &history).await.ok();
        let ended = history["history"][0]["endTime"].as_str().unwrap();
        assert!(ended > "2026", "{ended}");
    }

    async fn the_file_decides_the_current_version(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let line = |path: &str, version: &str, date: Option<&str>| {
            let workflow = json!({"path": path, "versionId": version, "versionDate": date});
            json!({"controllerId": CONTROLLER, "workflow": workflow}).to_string() + "\n"
        };
        let order = |id: &str, path: &str, version: &str| {
            let workflow = json!({"path": path, "versionId": version});
            let order = json!({"orderId": id, "workflowId": workflow, "state": {"_text": "PENDING"}});
            json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n"
        };
        let current = async |path: &str| -> Vec<String> {
            let body = json!({"controllerId": CONTROLLER, "workflowId": {"path": path}});
            let shown = app.post("/workflow", &body).await.ok();
            let orders = json!([{"workflowPath": path}]);
            let body = json!({"controllerId": CONTROLLER, "orders": orders});
            let added = app.post("/orders/add/preview", &body).await.ok();
            [&shown["workflow"]["versionId"], &added["orders"][0]["workflowId"]["versionId"]]
                .map(|version| version.as_str().unwrap().to_owned())
                .into()
        };
        // The last line that names a version decides; dates take precedence.
        let mut text = ["z", "b", "m", "a"].map(|version| line("/plain", version, None)).concat();
        text += &(order("o1", "/named", "2") + &order("o2", "/named", "1") + &order("o3", "/named", "2"));
        text += &line("/dated", "new", Some("2026-03-01T00:00:00.000Z"));
        text += &line("/dated", "old", Some("2025-03-01T00:00:00+01:00"));
        text += &(order("o4", "/late", "x") + &order("o5", "/late", "w"));
        launch(&app.db.url, &["import"], text.clone()).await.ok();
        for (path, version) in [("/plain", "a"), ("/named", "1"), ("/dated", "new"), ("/late", "w")] {
            assert_eq!(current(path).await, [version, version], "{path}");
        }
        let body = json!({"controllerId": CONTROLLER, "workflowId": {"path": "/dated"}});
        let shown = app.post("/workflow", &body).await.ok();
        assert_eq!(shown["workflow"]["versionDate"], "2026-03-01T00:00:00.000Z");

        // Importing it again changes nothing; a new version is the newest; a later date wins.
        launch(&app.db.url, &["import"], text).await.ok();
        let more = line("/plain", "c", None) + &line("/late", "w", Some("2020-01-01T00:00:00Z"));
        launch(&app.db.url, &["import"], more).await.ok();
        for (path, version) in [("/plain", "c"), ("/named", "1"), ("/dated", "new"), ("/late", "x")] {
            assert_eq!(current(path).await, [version, version], "{path}");
        }
        // The same across many batches.
        let text: String = (0..12_000).rev().map(|i| line("/many", &format!("v{i:05}"), None)).collect();
        launch(&app.db.url, &["import"], text).await.ok();
        assert_eq!(current("/many").await, ["v00000", "v00000"]);
    }

    async fn skips_or_replaces_a_repeated_order(kind: Kind) {
        let db = Database::create(kind).await;
        let text = line("a", "/x", "FAILED") + &line("a", "/y", "WAITING");
        let ran = launch(&db.url, &["import"], text.clone()).await;
        assert_eq!(ran.ok(), "imported: 1 new, 0 replaced, 1 skipped\n");
        assert_eq!(stored(&db).await["a"][..2], ["FAILED", "/x 1"]);
        launch(&db.url, &["import", "--replace"], text).await.ok();
        assert_eq!(stored(&db).await["a"][..2], ["WAITING", "/y 1"]);
    }

    async fn rejects_invalid_lines_by_number(kind: Kind) {
        let db = Database::create(kind).await;
        let long = "x".repeat(256);
        let text = [
            line("good", "/a", "FAILED"),
            "{\"controllerId\": \n".into(),
            "\n".into(),
            line("a", "/a", "FINSHED"),
            line("", "/a", "FAILED"),
            line("a||b", "/a", "FAILED"),
            line("a", "a/b", "FAILED"),
            line(&long, "/a", "FAILED"),
            line("a", "/a", "FAILED").replace(CONTROLLER, "a/b"),
            line("a", "/a", "FAILED").replace("\"order\":{", "\"order\":{\"scheduledFor\":\"soon\","),
            "[]\n".into(),
            "{\"controllerId\": \"prod\"}\n".into(),
            line("good too", "/a", "FAILED"),
        ]
        .concat();
        let ran = launch(&db.url, &["import"], text).await;
        let complaint = ran.failed();
        assert!(complaint.contains("nothing was imported: the input has 10 bad lines"), "{complaint}");
        for expected in [
            "line 2: ", "line 4: order.state._text: 'FINSHED'", "line 5: order.orderId: ",
            "line 6: order.orderId: ", "line 7: order.workflowId.path: ", "line 8: order.orderId: ",
            "line 9: controllerId: ", "line 10: order.scheduledFor: ", "line 11: ",
            "line 12: workflow, order: ",
        ] {
            assert!(complaint.contains(expected), "{expected}\n{complaint}");
        }
        assert!(!complaint.contains("line 1: ") && !complaint.contains("line 13"), "{complaint}");

        // The same after batches have been written.
        let mut text = String::new();
        for i in 1..=11_000 {
            text += &line(&format!("o{i}"), "/a", "WAITING");
        }
        text += "no JSON\n";
        let ran = launch(&db.url, &["import"], text).await;
        assert!(ran.failed().contains("line 11001: "), "{ran:?}");
        let whole = launch(&db.url, &["import", FIXTURE_FILE], "").await;
        assert!(whole.failed().contains("--controller-id"), "{whole:?}");
        let absent = launch(&db.url, &["import", "/no/such/file"], "").await;
        assert!(absent.failed().contains("/no/such/file"), "{absent:?}");
        for table in ["controllers", "workflows", "orders"] {
            assert_eq!(db.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
    }

    async fn imports_many_lines(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("#7").state("FINISHED"), Order::new("#19999").state("RUNNING")]).await;
        let mut text = String::new();
        for i in 0..20_000 {
            let workflow = json!({"path": format!("/f{}/w", i % 50), "versionId": "1"});
            let order = json!({"orderId": format!("#{i}"), "workflowId": workflow,
                "state": {"_text": "SCHEDULED"}, "scheduledFor": 1_795_437_600_000_i64 + i});
            writeln!(text, "{}", json!({"controllerId": CONTROLLER, "order": order})).unwrap();
        }
        let ran = launch(&db.url, &["import"], text.clone()).await;
        assert_eq!(ran.ok(), "imported: 19998 new, 0 replaced, 2 skipped\n");
        let ran = launch(&db.url, &["import", "--replace"], text).await;
        assert_eq!(ran.ok(), "imported: 0 new, 0 replaced, 19998 unchanged, 2 skipped\n");
        assert_eq!(db.count("SELECT count(*) FROM orders WHERE state = 'FRESH'").await, 19_998);
        assert_eq!(db.count("SELECT count(DISTINCT scheduled_for) FROM orders").await, 19_999);
    }
}
