//! Compares selection and effect with a model: random controllers and requests go through HTTP, and
//! lists, previews, responses and tables must match what a few naive loops over the orders say.
//!
//! Set `ORACLE_SEED` and `ORACLE_CASES` for other or more controllers.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use joc_orders::model::folders::Folder;
use joc_orders::model::window::iso;
use proptest::test_runner::{
    Config, RngAlgorithm, TestCaseError, TestCaseResult, TestRng, TestRunner,
};
use serde_json::json;
use tokio::runtime::Handle;

use crate::harness::{App, Kind, quote, start_time};
use case::{ACCOUNTS, Case, Request};
use model::{Expected, ModelOrder};

mod case;
mod generate;
mod lists;
mod model;
mod selection;

/// Rows of a table, as text.
type Rows = Vec<Vec<Option<String>>>;

on_both! {
    async fn selection_and_effect_match_the_model(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let whole = app.replica(&["--orders-cycles", "all"]).await;
        let mut tokens = vec![app.token.clone()];
        for (i, folders) in ACCOUNTS.iter().enumerate().skip(1) {
            let folders = case::padded(folders, i);
            let folders: Vec<_> = folders.iter().map(|(f, r)| (f.as_str(), *r)).collect();
            let name = case::account_name(i);
            tokens.push(app.account(&name, "sos:products:controller:orders:cancel", &folders).await);
            app.store.grant(&name, "sos:products:controller:workflows:view", "*").await.unwrap();
            for permission in ["suspend_resume", "confirm", "modify", "view"] {
                let permission = format!("sos:products:controller:orders:{permission}");
                app.store.grant(&name, &permission, "*").await.unwrap();
            }
            if let Some(other) = case::FAILED_AS[i] {
                let role = format!("{name}, failed");
                let folders = case::padded(ACCOUNTS[other], other).into_iter();
                let folders: Vec<_> =
                    folders.map(|(folder, recursive)| Folder { folder, recursive }).collect();
                app.store.add_role(&role).await.unwrap();
                let permission = "sos:products:controller:orders:resume_failed";
                app.store.grant(&role, permission, "*").await.unwrap();
                app.store.limit(&role, &folders).await.unwrap();
                app.store.assign(&role, &name).await.unwrap();
            }
            *tokens.last_mut().unwrap() = app.login(&name, "a-password").await;
        }

        let cases = from_environment("ORACLE_CASES").unwrap_or(600);
        let seed = from_environment("ORACLE_SEED").unwrap_or(27);
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config {
            cases,
            max_shrink_iters: 400,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, rng);
        let tally = Tally::default();
        let result = tokio::task::block_in_place(|| {
            runner.run(&generate::case(), |case| {
                Handle::current().block_on(check([&app, &whole], &tokens, &case, &tally))
            })
        });
        println!("{kind:?}, seed {seed}: {tally:?}");
        if let Err(error) = result {
            panic!("{error}");
        }
    }
}

/// How much was compared.
#[derive(Debug, Default)]
struct Tally {
    controllers: AtomicU32,
    requests: AtomicU32,
    refused: AtomicU32,
    without_orders: AtomicU32,
    affected: AtomicU32,
}

fn from_environment(name: &str) -> Option<u32> {
    std::env::var(name).ok().map(|value| value.parse().expect(name))
}

/// Sends a controller's requests in turn, and compares each with the model.
async fn check(apps: [&App; 2], tokens: &[String], case: &Case, tally: &Tally) -> TestCaseResult {
    let [app, whole] = apps;
    let number = tally.controllers.fetch_add(1, Ordering::Relaxed);
    let controller = format!("c{number}");
    app.db.insert_into(&controller, &case.orders).await;
    let mut orders: Vec<ModelOrder> = case.orders.iter().map(ModelOrder::new).collect();
    let mut entries = Rows::new();
    let mut passed = TimeDelta::zero();
    let mut result = Ok(());
    for (i, request) in case.requests.iter().enumerate() {
        apps.iter().for_each(|app| app.pass(request.pass));
        let app = if request.whole_cycles { whole } else { app };
        passed += request.pass;
        let now = start_time() + passed;
        let expected = model::expected(&orders, request, now);
        tally.requests.fetch_add(1, Ordering::Relaxed);
        if i.is_multiple_of(2) {
            let token = &tokens[request.account];
            let compared = lists::compare(app, token, &controller, request, &orders, now).await;
            result = compared.map_err(|problem| format!("request {i}, lists: {problem}"));
            if result.is_err() {
                break;
            }
        }
        let compared =
            compare(app, tokens, &controller, request, &expected, &mut orders, &mut entries).await;
        result = compared.map_err(|problem| format!("request {i}: {problem}"));
        if result.is_err() {
            break;
        }
        match expected {
            Expected::Refused => tally.refused.fetch_add(1, Ordering::Relaxed),
            Expected::Touches { touches, .. } if touches.is_empty() => {
                tally.without_orders.fetch_add(1, Ordering::Relaxed)
            }
            Expected::Touches { touches, .. } => {
                tally.affected.fetch_add(touches.len() as u32, Ordering::Relaxed)
            }
        };
    }
    apps.iter().for_each(|app| app.pass(-passed));
    result.map_err(TestCaseError::fail)
}

/// Compares one request: preview, response and tables.
async fn compare(
    app: &App,
    tokens: &[String],
    controller: &str,
    request: &Request,
    expected: &Expected,
    orders: &mut [ModelOrder],
    entries: &mut Rows,
) -> Result<(), String> {
    let token = &tokens[request.account];
    let body = request.body(controller).to_string();
    let call = format!("/orders/{}", request.call);
    let preview = app.post_as(token, &format!("{call}/preview"), body.clone()).await;
    let answer = app.post_as(token, &call, body).await;
    let id = answer.headers.get("x-audit-log-id").map(|id| id.to_str().unwrap().to_owned());
    let mut details = Rows::new();

    match expected {
        Expected::Refused => {
            for answer in [&preview, &answer] {
                let refused = answer.status == 420
                    && ["JOC-405", "JOC-420"]
                        .map(Into::into)
                        .contains(&answer.json()["error"]["code"]);
                if !refused {
                    return Err(format!("not refused: {} {}", answer.status, answer.text));
                }
            }
        }
        Expected::Touches { touches, window, without_effect } => {
            let mut seen = preview.json();
            seen.as_object_mut().unwrap().retain(|name, _| !name.ends_with("yDate"));
            let wanted = model::preview(touches, window, request);
            let [Some(listed), Some(modelled)] =
                [&mut seen, &mut wanted.clone()].map(|p| p["orders"].take().as_array().cloned())
            else {
                return Err(format!("preview: {} {}", preview.status, preview.text));
            };
            let as_rows = |list: &[serde_json::Value]| -> Rows {
                list.iter().map(|order| vec![Some(order.to_string())]).collect()
            };
            same("preview's orders", &as_rows(&listed), &as_rows(&modelled))?;
            seen["orders"] = json!(listed);
            if seen != wanted {
                return Err(format!("preview: {seen}, expected {wanted}"));
            }

            let affected = answer.headers.get("x-orders-affected").map(|n| n.to_str().unwrap());
            let outcome = match touches.len() {
                0 => *without_effect,
                _ => "DONE",
            };
            let right = match touches.len() {
                0 => {
                    answer.status == 420 && answer.nothing_found() == model::nothing_found(request)
                }
                n => answer.status == 200 && affected == Some(n.to_string().as_str()),
            };
            if !right {
                let (status, text) = (answer.status, &answer.text);
                return Err(format!("{call}: {status} {text} {affected:?}, not {}", touches.len()));
            }
            entries.push(vec![
                Some(case::account_name(request.account)),
                Some(format!(".{call}")),
                Some(outcome.into()),
                Some(touches.len().to_string()),
            ]);
            for touch in touches {
                details.push(touch.detail(request));
                let row = orders.iter_mut().find(|row| row.order_id == touch.order.order_id);
                *row.unwrap() = touch.after.clone();
            }
        }
    }

    let of = format!("WHERE controller_id = {}", quote(controller));
    let instant = |column: &str| match app.db.kind() {
        Kind::Sqlite => column.to_owned(),
        Kind::Postgres => {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        }
    };
    let sql = format!(
        "SELECT order_id, state, mark, CASE WHEN suspended THEN 'suspended' END, \
         CASE WHEN kill_requested IS NOT NULL THEN 'killed' END, reason, \
         CASE WHEN remove_when_terminated THEN 'removed' END, priority, {}, arguments, position \
         FROM orders {of} ORDER BY order_id",
        instant("state_since")
    );
    let mut seen = app.db.rows(&sql).await.unwrap();
    // The database chooses the spaces.
    for json in seen.iter_mut().flat_map(|row| &mut row[9..]).flatten() {
        *json = serde_json::from_str::<serde_json::Value>(json).unwrap().to_string();
    }
    let flag = |is: bool, word: &str| is.then(|| word.to_owned());
    let wanted = orders.iter().map(|o| {
        vec![
            Some(o.order_id.clone()),
            Some(o.state.into()),
            o.mark.map(Into::into),
            flag(o.suspended, "suspended"),
            flag(o.killed, "killed"),
            o.reason.map(Into::into),
            flag(o.remove_when_terminated, "removed"),
            Some(o.priority.to_string()),
            o.state_since.as_ref().map(iso),
            Some(json!(o.arguments).to_string()),
            o.position.as_ref().map(|position| position.to_string()),
        ]
    });
    same("orders", &seen, &wanted.collect::<Rows>())?;

    let sql =
        format!("SELECT account, request, outcome, affected FROM audit_logs {of} ORDER BY id");
    same("audit_logs", &app.db.rows(&sql).await.unwrap(), entries)?;
    if let Some(id) = id {
        let sql = format!(
            "SELECT order_id, workflow_path, workflow_version_id, folder, previous_state, \
             new_state, mark, CASE WHEN kill THEN 'killed' END, via_parent \
             FROM audit_log_details {of} AND audit_log_id = {} ORDER BY order_id",
            id.parse::<i64>().unwrap()
        );
        same("audit_log_details", &app.db.rows(&sql).await.unwrap(), &details)?;
    } else if !details.is_empty() {
        return Err(format!("{call}: no X-Audit-Log-Id"));
    }
    Ok(())
}

/// Reports the rows that only one of two lists has.
fn same(what: &str, seen: &Rows, wanted: &Rows) -> Result<(), String> {
    if seen == wanted {
        return Ok(());
    }
    let only = |these: &Rows, those: &Rows| -> String {
        let only = these.iter().filter(|row| !those.contains(row));
        only.map(|row| {
            let row: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or("-")).collect();
            format!("\n    {}", row.join("  "))
        })
        .collect()
    };
    Err(format!("{what} differ:\n  is{}\n  should be{}", only(seen, wanted), only(wanted, seen)))
}
