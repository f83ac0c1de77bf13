//! `JOC_ORDERS_AUDIT_IDENTITIES=keyed`: the audit trail holds hashes of accounts and addresses.

use std::process::Command;

use serde_json::json;
use tempfile::NamedTempFile;

use crate::harness::{
    App, Database, Kind, Order, Ran, Served, launch, launch_command, program, with_controller,
};

const KEY: &str = "  0123456789abcdef0123456789abcdef\n";

/// The program with a key.
fn keyed(db: &Database, key: &NamedTempFile, args: &[&str]) -> Command {
    let mut command = program(&db.url);
    command
        .env("JOC_ORDERS_AUDIT_IDENTITIES", "keyed")
        .env("JOC_ORDERS_AUDIT_KEY_FILE", key.path());
    command.env("SUDO_USER", "anna").args(args);
    command
}

async fn keyed_run(db: &Database, key: &NamedTempFile, args: &[&str]) -> Ran {
    launch_command(keyed(db, key, args), "op-password").await
}

fn key(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

on_both! {
    async fn the_trail_names_nobody(kind: Kind) {
        let (db, key) = (Database::create(kind).await, key(KEY));
        keyed_run(&db, &key, &["account", "add", "anna", "--role", "all"]).await.ok();
        db.insert(&["a", "b"].map(Order::new)).await;
        let served = Served::start(keyed(&db, &key, &[]));
        let client = reqwest::Client::new();
        let login = |password: &'static str| {
            client.post(format!("{}/authentication/login", served.url))
                .basic_auth("anna", Some(password)).send()
        };
        assert_eq!(login("wrong").await.unwrap().status(), 401);
        let token = login("op-password").await.unwrap().headers()["x-access-token"].to_str().unwrap().to_owned();
        let post = async |call: &str, body: serde_json::Value| -> serde_json::Value {
            let request = client.post(format!("{}{call}", served.url)).header("x-access-token", &token);
            let request = request.header("idempotency-key", "k");
            request.json(&with_controller(body)).send().await.unwrap().json().await.unwrap()
        };
        post("/orders/cancel", with_controller(json!({"orderIds": ["a"]}))).await;
        let pseudonym = keyed_run(&db, &key, &["audit", "identity", "anna"]).await.ok().trim().to_owned();
        assert!(pseudonym.starts_with("keyed:") && pseudonym.len() == 47, "{pseudonym}");
        for account in ["anna", &pseudonym] {
            let found = post("/audit_log", json!({"account": account})).await;
            let entries = found["auditLog"].as_array().unwrap();
            assert_eq!(entries.len(), 1, "{found}");
            assert!(entries.iter().all(|entry| entry["account"] == *pseudonym), "{found}");
        }
        served.stop();
        let rows = db.rows("SELECT account, CAST(parameters AS TEXT), coalesce(client_address, '-') FROM audit_logs").await.unwrap();
        let text = format!("{rows:?}");
        assert!(!text.contains("anna") && !text.contains("127.0.0.1") && !text.contains("os:"), "{text}");
        // The login that was refused, and the cancel.
        let hers = rows.iter().filter(|row| row[0].as_ref() == Some(&pseudonym)).count();
        assert_eq!((hers, rows.len()), (2, 3), "{text}");
        let keys = db.rows("SELECT account FROM idempotency_keys").await.unwrap();
        assert_eq!(keys, [[Some(pseudonym)]]);
        // Verifying needs no key.
        let mut verify = program(&db.url);
        verify.args(["audit", "verify"]);
        launch_command(verify, "").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_short_key_is_refused() {
    let db = Database::create(Kind::Sqlite).await;
    for bad in [key("short"), key("   \n                   ")] {
        let ran = keyed_run(&db, &bad, &["account", "list"]).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.failed().contains("JOC_ORDERS_AUDIT_KEY_FILE: the key is shorter"), "{ran:?}");
    }
    let mut command = program(&db.url);
    command.env("JOC_ORDERS_AUDIT_IDENTITIES", "keyed").args(["account", "list"]);
    let ran = launch_command(command, "").await;
    assert!(ran.failed().contains("the key is missing"), "{ran:?}");
    let mut command = program(&db.url);
    command.args(["audit", "identity", "anna"]);
    assert_eq!(launch_command(command, "").await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_commands_that_record_need_the_key() {
    let (db, gone) = (Database::create(Kind::Sqlite).await, key(KEY));
    std::fs::remove_file(gone.path()).unwrap();
    for args in [&["audit", "verify"][..], &["audit", "seals"], &["check"]] {
        keyed_run(&db, &gone, args).await.ok();
    }
    let to = ["--before", "2020-01-01", "--to", "/tmp/never-written"];
    for args in [
        &["serve"][..],
        &["account", "add", "anna"],
        &["import"],
        &["audit", "identity", "anna"],
        &[&["audit", "archive"], &to[..]].concat(),
        &[&["orders", "archive"], &to[..]].concat(),
    ] {
        let ran = keyed_run(&db, &gone, args).await;
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.failed().contains("JOC_ORDERS_AUDIT_KEY_FILE: "), "{ran:?}");
    }
}

on_both! {
    // Those from before the setting are plain; those of an earlier key have other pseudonyms.
    async fn a_search_finds_what_an_account_did_before_and_after(kind: Kind) {
        let (db, one, two) = (Database::create(kind).await, key(KEY), key("another key of enough bytes"));
        keyed_run(&db, &one, &["account", "add", "anna", "--role", "all"]).await.ok();
        for (command, found, log) in [
            (program(&db.url), 0, "plain"),
            (keyed(&db, &one, &[]), 1, "keyed"),
            (keyed(&db, &two, &[]), 2, "with a new key"),
        ] {
            let served = Served::start(command);
            let client = reqwest::Client::new();
            let login = client.post(format!("{}/authentication/login", served.url))
                .basic_auth("anna", Some("op-password")).send().await.unwrap();
            let token = login.headers()["x-access-token"].to_str().unwrap().to_owned();
            let of = async |body: serde_json::Value| {
                let request = client.post(format!("{}/audit_log", served.url)).header("x-access-token", &token);
                let found: serde_json::Value = request.json(&body).send().await.unwrap().json().await.unwrap();
                found["auditLog"].as_array().unwrap().len()
            };
            assert_eq!(of(json!({"account": "anna"})).await, found.min(1), "{log}");
            db.insert(&[Order::new(log)]).await;
            let request = client.post(format!("{}/orders/cancel", served.url)).header("x-access-token", &token);
            request.json(&with_controller(json!({"orderIds": [log]}))).send().await.unwrap();
            assert_eq!(of(json!({"account": "anna"})).await, [1, 2, 2][found], "{log}");
            // And that of `account add`.
            assert_eq!(of(json!({})).await, found + 2, "{log}");
            served.stop();
        }
        launch(&db.url, &["audit", "verify"], "").await.ok();
    }
}

/// An account still does not learn from its own requests where there are orders.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_trail_is_as_before() {
    let app = App::with(Kind::Sqlite, &[Order::new("a")]).await;
    app.cancel(json!({"orderIds": ["a"]})).await.ok();
    let found = app.post("/audit_log", &json!({"account": "root"})).await.ok();
    assert_eq!(found["auditLog"][0]["account"], "root");
}
