//! `/orders/overview/folders`, `/orders/overview/schedule`, `/orders/overview/cancelling` and
//! `/audit_log/overview`.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Order, ROOT, everything, with_controller};

const VIEW: &str = "sos:products:controller:orders:view";

/// A part of a response that has dates.
async fn part(app: &App, call: &str, fields: Value, name: &str) -> Value {
    let answer = app.post(call, &with_controller(fields)).await.ok();
    assert_eq!(answer["surveyDate"].as_str().map(str::len), Some(24), "{answer}");
    assert_eq!(answer["deliveryDate"].as_str().map(str::len), Some(24), "{answer}");
    answer[name].clone()
}

/// The counts of a folder that are not 0.
fn some(folder: &Value) -> (String, Value) {
    let counts = folder["orders"].as_object().unwrap().iter();
    let counts = counts.filter(|(_, count)| *count != 0);
    let counts = counts.map(|(state, count)| (state.clone(), count.clone())).collect();
    (folder["folder"].as_str().unwrap().into(), Value::Object(counts))
}

async fn folders(app: &App, fields: Value) -> Vec<(String, Value)> {
    let folders = part(app, "/orders/overview/folders", fields, "folders").await;
    folders.as_array().unwrap().iter().map(some).collect()
}

/// The numbers of the buckets.
fn numbers(answer: &Value, name: &str) -> Vec<u64> {
    answer["buckets"].as_array().unwrap().iter().map(|b| b[name].as_u64().unwrap()).collect()
}

async fn schedule(app: &App, fields: Value) -> Value {
    app.post("/orders/overview/schedule", &with_controller(fields)).await.ok()
}

on_both! {
    async fn counts_living_orders_directly_in_each_folder(kind: Kind) {
        let at = |id: &str, path: &str| Order::new(id).workflow(path, "1");
        let app = App::with(kind, &[
            at("1", "/root"),
            at("2", "/sos/eod"),
            at("3", "/sos/eod").workflow("/sos/eod", "2").suspended(),
            at("4", "/sos/other").state("RUNNING"),
            at("5", "/sos/other|x").state("FINISHED"),
            at("6", "/sos/billing/eod").state("FAILED"),
            at("7", "/sos/billing/eod").remove_when_terminated().never(),
            at("8", "/sos/done/eod").state("CANCELLED"),
            at("9", "/sos-x/eod").at("2026-11-23T12:34:56.788Z"),
            at("10", "/so\u{f6}/eod").state("WAITING"),
            at("11", "/so\u{f6}/eod").state("PROMPTING"),
            at("12", "/so\u{f6}/eod").state("INPROGRESS"),
        ])
        .await;
        let all = [
            ("/".to_owned(), json!({"scheduled": 1})),
            ("/sos".to_owned(), json!({"scheduled": 1, "suspended": 1, "running": 1})),
            ("/sos-x".to_owned(), json!({"blocked": 1})),
            ("/sos/billing".to_owned(), json!({"pending": 1, "failed": 1})),
            ("/so\u{f6}".to_owned(), json!({"inProgress": 1, "waiting": 1, "prompting": 1})),
        ];
        assert_eq!(folders(&app, json!({})).await, all);
        let sos = folders(&app, json!({"folders": [{"folder": "/sos"}]})).await;
        assert_eq!(sos, [all[1].clone(), all[3].clone()]);
        let itself = json!({"folders": [{"folder": "/sos", "recursive": false}]});
        assert_eq!(folders(&app, itself).await, [all[1].clone()]);
        let one = json!({"workflowIds": [{"path": "/sos/eod", "versionId": "2"}]});
        assert_eq!(folders(&app, one).await, [("/sos".to_owned(), json!({"suspended": 1}))]);
        // As in a snapshot, a horizon limits what is scheduled, and a window everything.
        let soon = folders(&app, json!({"dateTo": "1m"})).await;
        assert_eq!(soon[0].1, json!({"suspended": 1, "running": 1}));
        let hour = json!({"dateFrom": "2026-11-23T12:00:00Z", "dateTo": "2026-11-23T13:00:00Z"});
        assert_eq!(folders(&app, hour).await, [all[2].clone()]);

        // The sum is what the snapshot counts.
        let snapshot = part(&app, "/orders/overview/snapshot", json!({}), "orders").await;
        let listed = part(&app, "/orders/overview/folders", json!({}), "folders").await;
        for (state, orders) in snapshot.as_object().unwrap() {
            let sum: u64 = listed.as_array().unwrap().iter()
                .filter_map(|folder| folder["orders"][state].as_u64()).sum();
            assert!(state == "terminated" || sum == orders.as_u64().unwrap(), "{state}: {listed}");
        }
        let names: Vec<&String> = listed[0]["orders"].as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 9, "{listed}");

        let token = app.account("limited", VIEW, &[("/sos", false), ("/sos-x", true)]).await;
        let body = with_controller(json!({})).to_string();
        let seen = app.post_as(&token, "/orders/overview/folders", body).await.ok();
        let seen: Vec<_> = seen["folders"].as_array().unwrap().iter().map(some).collect();
        assert_eq!(seen, all[1..3]);
    }

    async fn counts_fresh_orders_by_the_hour_or_day_of_their_date(kind: Kind) {
        let at = |id: &str, instant: &str| Order::new(id).at(instant);
        let app = App::with(kind, &[
            at("overdue", "2026-11-22T23:59:59.999Z"),
            at("overdue today", "2026-11-23T12:34:56.788Z"),
            at("now", "2026-11-23T12:34:56.789Z"),
            at("marked", "2026-11-23T12:59:59.999Z").mark("CANCELLING"),
            at("at one", "2026-11-23T13:00:00Z").workflow("/hr/eod", "1"),
            at("before the end", "2026-11-23T14:34:56.788Z"),
            at("at the end", "2026-11-23T14:34:56.789Z"),
            at("suspended", "2026-11-23T13:30:00Z").suspended(),
            at("runs", "2026-11-23T13:30:00Z").state("RUNNING"),
            at("done", "2026-11-23T13:30:00Z").state("FINISHED"),
            Order::new("never").never(),
            Order::new("held").never().suspended(),
        ])
        .await;
        let hours = json!({"dateFrom": "0", "dateTo": "2h", "unit": "HOUR"});
        let mut answer = schedule(&app, hours.clone()).await;
        for date in ["deliveryDate", "surveyDate"] {
            assert!(answer.as_object_mut().unwrap().remove(date).unwrap().is_string());
        }
        assert_eq!(answer, json!({"overdue": 2, "never": 1, "buckets": [
            {"from": "2026-11-23T12:34:56.789Z", "to": "2026-11-23T13:00:00.000Z", "orders": 2},
            {"from": "2026-11-23T13:00:00.000Z", "to": "2026-11-23T14:00:00.000Z", "orders": 1},
            {"from": "2026-11-23T14:00:00.000Z", "to": "2026-11-23T14:34:56.789Z", "orders": 1},
        ]}));
        // Of the past too: what is overdue is in its hour.
        let day = schedule(&app, json!({"dateFrom": "0d", "dateTo": "0d", "unit": "HOUR"})).await;
        let mut expected = vec![0; 24];
        expected[12..15].copy_from_slice(&[3, 1, 2]);
        assert_eq!(numbers(&day, "orders"), expected);
        let days = json!({"dateFrom": "-1d", "dateTo": "0d", "unit": "DAY"});
        assert_eq!(numbers(&schedule(&app, days.clone()).await, "orders"), [1, 6]);
        // In this zone the first is of the same day.
        let mut there = days;
        there["timeZone"] = json!("Asia/Tokyo");
        let days = schedule(&app, there).await;
        assert_eq!(days["buckets"][0]["from"], "2026-11-21T15:00:00.000Z");
        assert_eq!(numbers(&days, "orders"), [0, 7]);

        let of = |fields: Value| {
            let mut body = hours.clone();
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            body
        };
        let hr = schedule(&app, of(json!({"folders": [{"folder": "/hr"}]}))).await;
        assert_eq!((&hr["overdue"], &hr["never"]), (&json!(0), &json!(0)));
        assert_eq!(numbers(&hr, "orders"), [0, 1, 0]);
        let eod = schedule(&app, of(json!({"workflowIds": [{"path": "/sos/eod"}]}))).await;
        assert_eq!(numbers(&eod, "orders"), [2, 0, 1]);
        assert_eq!((&eod["overdue"], &eod["never"]), (&json!(2), &json!(1)));

        let token = app.account("limited", VIEW, &[("/hr", true)]).await;
        let body = with_controller(hours.clone()).to_string();
        let seen = app.post_as(&token, "/orders/overview/schedule", body).await.ok();
        assert_eq!(seen["buckets"], hr["buckets"]);
        assert_eq!((&seen["overdue"], &seen["never"]), (&json!(0), &json!(0)));
    }

    async fn an_hour_comes_twice_where_the_clock_is_set_back(kind: Kind) {
        let at = |id: &str, instant: &str| Order::new(id).at(instant);
        let app = App::with(kind, &[
            at("first", "2027-10-31T00:30:00Z"),
            at("second", "2027-10-31T01:30:00Z"),
            at("third", "2027-10-31T01:59:59.999Z"),
        ])
        .await;
        let body = json!({"dateFrom": "2027-10-31T01:00:00", "dateTo": "2027-10-31T03:00:00",
                          "timeZone": "Europe/Berlin", "unit": "HOUR"});
        let answer = schedule(&app, body).await;
        let from: Vec<&Value> =
            answer["buckets"].as_array().unwrap().iter().map(|bucket| &bucket["from"]).collect();
        let expected = ["2027-10-30T23:00:00.000Z", "2027-10-31T00:00:00.000Z", "2027-10-31T01:00:00.000Z"];
        assert_eq!(from, expected);
        assert_eq!(numbers(&answer, "orders"), [0, 1, 2]);
    }

    async fn counts_into_a_thousand_buckets_and_no_more(kind: Kind) {
        let orders: Vec<Order> = (0..1000)
            .map(|hour| {
                let order = Order::new(&format!("o{hour}"));
                let at = crate::harness::start_time() + TimeDelta::hours(hour);
                order.at(&joc_orders::model::window::iso(&at))
            })
            .collect();
        let app = App::with(kind, &orders).await;
        let whole = json!({"dateFrom": "2026-11-23T12:00:00Z", "dateTo": "2027-01-04T04:00:00Z",
                           "unit": "HOUR"});
        assert_eq!(numbers(&schedule(&app, whole.clone()).await, "orders"), [1; 1000]);
        let mut more = with_controller(whole);
        more["dateTo"] = json!("2027-01-04T04:00:00.001Z");
        for call in ["/orders/overview/schedule", "/audit_log/overview"] {
            let refused = app.post(call, &more).await.failed("JOC-420");
            assert_eq!(refused, "unit: the window has more than 1000 hours", "{call}");
        }
    }

    async fn a_window_needs_both_dates_and_a_unit(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let all = json!({"dateFrom": "0", "dateTo": "1h", "unit": "HOUR"});
        for call in ["/orders/overview/schedule", "/audit_log/overview"] {
            for field in ["dateFrom", "dateTo", "unit"] {
                let mut body = with_controller(all.clone());
                body.as_object_mut().unwrap().remove(field);
                let refused = app.post(call, &body).await.failed("JOC-420");
                assert_eq!(refused, format!("{field}: is missing"), "{call}");
            }
            let mut body = with_controller(all.clone());
            body["unit"] = json!("WEEK");
            let refused = app.post(call, &body).await.failed("JOC-420");
            let expected = "unit: unknown variant `WEEK`, expected `HOUR` or `DAY`";
            assert_eq!(refused, expected, "{call}");
        }
    }

    async fn lists_orders_that_are_being_cancelled_the_longest_first(kind: Kind) {
        let runs = |id: &str| Order::new(id).state("RUNNING");
        let app = App::with(kind, &[
            runs("b"),
            runs("a"),
            runs("killed later").workflow("/hr/eod", "2"),
            runs("again"),
            runs("waits for others"),
            Order::new("imported").state("INPROGRESS").mark("CANCELLING"),
            runs("suspending").mark("SUSPENDING"),
            Order::new("fresh"),
        ])
        .await;
        app.db.execute("UPDATE orders SET modified = '2026-11-23T12:35:00.000Z' \
                        WHERE order_id = 'imported'").await.unwrap();
        let cancel = async |ids: Value, kill: bool| {
            let id = app.cancel(json!({"orderIds": ids, "kill": kill})).await.entry();
            app.pass(TimeDelta::seconds(1));
            id
        };
        let first = cancel(json!(["killed later", "again"]), false).await;
        let second = cancel(json!(["b", "a", "fresh"]), true).await;
        // Only asks for a kill: the mark is there already.
        cancel(json!(["killed later"]), true).await;
        let undo = with_controller(json!({"auditLogId": first}));
        app.post("/orders/cancel/undo", &undo).await.ok();
        app.pass(TimeDelta::seconds(1));
        let last = cancel(json!(["again"]), false).await;

        let of = async |fields: Value| {
            app.post("/orders/overview/cancelling", &with_controller(fields)).await.ok()
        };
        let answer = of(json!({})).await;
        let item = |id: &str, workflow: [&str; 2], state: &str, kill: bool, since: &str| {
            json!({"orderId": id, "workflowId": {"path": workflow[0], "versionId": workflow[1]},
                   "state": state, "kill": kill, "since": since})
        };
        let by = |item: Value, audit_log_id: i64| {
            let mut item = item;
            item["auditLogId"] = json!(audit_log_id);
            item["account"] = json!("root");
            item
        };
        let (eod, hr) = (["/sos/eod", "1"], ["/hr/eod", "2"]);
        let mut expected = vec![
            by(item("killed later", hr, "RUNNING", true, "2026-11-23T12:34:56.789Z"), first),
            by(item("a", eod, "RUNNING", true, "2026-11-23T12:34:57.789Z"), second),
            by(item("b", eod, "RUNNING", true, "2026-11-23T12:34:57.789Z"), second),
            item("imported", eod, "INPROGRESS", false, "2026-11-23T12:35:00.000Z"),
            by(item("again", eod, "RUNNING", false, "2026-11-23T12:35:00.789Z"), last),
        ];
        assert_eq!(answer["orders"], json!(expected));
        assert_eq!(answer["total"], 5);
        // Two of them are listed, and all counted.
        let two = of(json!({"limit": 2})).await;
        assert_eq!((&two["total"], &two["orders"]), (&json!(5), &json!(expected[..2])));
        let none = of(json!({"limit": 0})).await;
        assert_eq!((&none["total"], &none["orders"]), (&json!(5), &json!([])));
        let hr = of(json!({"folders": [{"folder": "/hr"}]})).await;
        assert_eq!((&hr["total"], &hr["orders"]), (&json!(1), &json!(expected[..1])));
        let too_many = with_controller(json!({"limit": 10_001}));
        let refused = app.post("/orders/overview/cancelling", &too_many).await.failed("JOC-420");
        assert_eq!(refused, "limit: at most 10000 orders can be listed; the counts are of all");

        // Who it was is in the audit log, which not everybody may read.
        let viewer = app.account("viewer", VIEW, &[]).await;
        let seen = app.post_as(&viewer, "/orders/overview/cancelling", with_controller(json!({})).to_string());
        let seen = seen.await.ok();
        for item in &mut expected {
            item.as_object_mut().unwrap().remove("account");
        }
        assert_eq!(seen["orders"], json!(expected));
        let hr = app.account("hr", "sos:products", &[("/hr", true)]).await;
        let seen = app.post_as(&hr, "/orders/overview/cancelling", with_controller(json!({})).to_string());
        let seen = seen.await.ok();
        assert_eq!(seen["total"], 1);
        assert_eq!(seen["orders"][0]["account"], "root");
    }

    async fn a_mark_set_after_an_undo_by_others_is_not_the_requests(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").state("RUNNING")]).await;
        let answer = app.cancel(json!({"orderIds": ["a"]})).await;
        answer.ok();
        let id: i64 = answer.headers["x-audit-log-id"].to_str().unwrap().parse().unwrap();
        app.post("/orders/cancel/undo", &with_controller(json!({"auditLogId": id}))).await.ok();
        app.db.execute("UPDATE orders SET mark = 'CANCELLING', modified = '2026-11-24T00:00:00.000Z'")
            .await.unwrap();
        let orders = part(&app, "/orders/overview/cancelling", json!({}), "orders").await;
        assert_eq!(orders, json!([{
            "orderId": "a", "workflowId": {"path": "/sos/eod", "versionId": "1"}, "state": "RUNNING",
            "kill": false, "since": "2026-11-24T00:00:00.000Z"
        }]));
    }

    async fn counts_requests_and_their_orders_by_time(kind: Kind) {
        let at = |id: &str, path: &str| Order::new(id).workflow(path, "1");
        let mut app = App::with(kind, &[
            at("a", "/sos/eod"), at("b", "/sos/eod"), at("c", "/hr/eod"), at("d", "/hr/eod"),
            at("e", "/hr/eod"),
        ])
        .await;
        app.db.insert_into("other", &[Order::new("x")]).await;
        app.cancel(json!({"orderIds": ["a", "c"]})).await.ok();
        app.pass(TimeDelta::minutes(29));
        app.cancel(json!({"orderIds": ["b"]})).await.ok();
        assert_eq!(app.cancel(json!({"orderIds": ["none"]})).await.status, 420);
        let suspend = with_controller(everything());
        app.post("/orders/suspend", &suspend).await.ok();
        let elsewhere = json!({"controllerId": "other", "orderIds": ["x"]});
        app.post("/orders/cancel", &elsewhere).await.ok();
        app.pass(TimeDelta::hours(1));
        app.token = app.login(ROOT.0, ROOT.1).await;
        let token = app.account("somebody", "sos:products", &[]).await;
        let body = with_controller(json!({"orderIds": ["d"]})).to_string();
        app.post_as(&token, "/orders/cancel", body).await.ok();

        let today = |fields: Value| {
            let mut body = json!({"dateFrom": "2026-11-23T12:00:00Z", "dateTo": "2026-11-23T15:00:00Z",
                                  "unit": "HOUR"});
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            body
        };
        let of = async |fields: Value| {
            let answer = app.post("/audit_log/overview", &today(fields)).await.ok();
            (numbers(&answer, "requests"), numbers(&answer, "orders"))
        };
        let cancels = json!({"controllerId": CONTROLLER, "request": "./orders/cancel"});
        assert_eq!(of(cancels.clone()).await, (vec![1, 1, 1], vec![2, 1, 1]));
        assert_eq!(of(json!({"request": "./orders/cancel"})).await, (vec![1, 2, 1], vec![2, 2, 1]));
        let of_all = json!({"controllerId": CONTROLLER, "request": "./orders/*"});
        assert_eq!(of(of_all).await, (vec![1, 2, 1], vec![2, 3, 1]));
        assert_eq!(of(json!({"account": "some*"})).await, (vec![0, 0, 1], vec![0, 0, 1]));
        assert_eq!(of(json!({"account": "nobody"})).await, (vec![0; 3], vec![0; 3]));
        let answer = app.post("/audit_log/overview", &today(cancels.clone())).await.ok();
        assert_eq!(answer["buckets"][1], json!({"from": "2026-11-23T13:00:00.000Z",
            "to": "2026-11-23T14:00:00.000Z", "requests": 1, "orders": 1}));
        assert!(answer["surveyDate"].is_string() && answer["deliveryDate"].is_string());
        // A day back, and to the end of this one.
        let days = json!({"dateFrom": "1d", "dateTo": "0d", "unit": "DAY", "request": "./orders/cancel"});
        let days = app.post("/audit_log/overview", &with_controller(days)).await.ok();
        assert_eq!(numbers(&days, "requests"), [0, 3]);
        assert_eq!(numbers(&days, "orders"), [0, 4]);

        // An account that is limited counts what it can see: an entry by its orders there.
        let limited = app.account("limited", "sos:products", &[("/sos", true)]).await;
        let seen = app.post_as(&limited, "/audit_log/overview", today(cancels).to_string()).await.ok();
        assert_eq!(numbers(&seen, "requests"), [1, 1, 0]);
        assert_eq!(numbers(&seen, "orders"), [1, 1, 0]);
    }
}
