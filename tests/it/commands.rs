//! The program's other commands, each on the database of a running app, and how the app reacts.

use std::time::Duration;

use chrono::TimeDelta;
use joc_orders::store;
use serde_json::json;

use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, Served, launch, launch_command, program, versions,
};

const CANCEL: &str = "sos:products:controller:orders:cancel";
const PASSWORD: &str = "op-password";

/// Every command.
pub const COMMANDS: &[&str] = &[
    "demo",
    "serve",
    "migrate",
    "import",
    "account",
    "account add",
    "account passwd",
    "account disable",
    "account enable",
    "account remove",
    "account list",
    "role",
    "role add",
    "role remove",
    "role grant",
    "role revoke",
    "role limit",
    "role assign",
    "role unassign",
    "role list",
    "login",
    "logout",
    "contexts",
    "contexts list",
    "contexts use",
    "contexts remove",
    "orders",
    "orders list",
    "orders show",
    "orders history",
    "orders wait",
    "orders add",
    "orders cancel",
    "orders suspend",
    "orders resume",
    "orders archive",
    "workflows",
    "workflows list",
    "controllers",
    "controllers list",
    "audit",
    "audit verify",
    "audit seals",
    "audit archive",
    "audit identity",
    "check",
    "capture",
    "capture on",
    "capture off",
    "capture status",
    "capture prune",
    "copy",
    "health",
    "completions",
];

/// Runs a command that must succeed, with the password on standard input.
async fn ok(db: &Database, command: &str) -> String {
    let args: Vec<&str> = command.split(' ').collect();
    launch(&db.url, &args, format!("{PASSWORD}\n")).await.ok().to_owned()
}

on_both! {
    async fn manages_an_account_with_a_role(kind: Kind) {
        let app = App::with(kind, &[
            Order::new("eod").workflow("/sos/billing/eod", "1"),
            Order::new("below").workflow("/sos/billing/a/b", "1"),
            Order::new("only").workflow("/mft/one", "1"),
            Order::new("not below").workflow("/mft/a/one", "1"),
            Order::new("lookalike").workflow("/sos/billing2/eod", "1"),
        ])
        .await;
        let db = &app.db;
        ok(db, "role add billing").await;
        ok(db, &format!("role grant billing {CANCEL} --controller-id {CONTROLLER}")).await;
        ok(db, "role limit billing --folder /sos/billing --only-folder /mft").await;
        ok(db, "account add op --role billing").await;
        assert_eq!(ok(db, "account list").await,
            "ACCOUNT  STATE    ROLES\nop       enabled  billing\nroot     enabled  all\n");
        assert_eq!(ok(db, "role list --output csv").await, format!(
            "role,permission,controller_id,folders\nall,sos:products,*,every folder\n\
             billing,{CANCEL},{CONTROLLER},\"/mft only, /sos/billing\"\n"));

        let token = app.login("op", PASSWORD).await;
        let everything = json!({"controllerId": CONTROLLER, "folders": [{"folder": "/"}]}).to_string();
        let answer = app.post_as(&token, "/orders/cancel", everything.clone()).await;
        assert_eq!(answer.affected(), 3);
        assert_eq!(db.ids_in("CANCELLED").await, ["below", "eod", "only"]);

        // Without the limit.
        ok(db, "role limit billing --none").await;
        let preview = "/orders/cancel/preview";
        let token = app.login("op", PASSWORD).await;
        assert_eq!(app.post_as(&token, preview, everything.clone()).await.ok()["total"], 2);

        // Without the permission, and with it again.
        ok(db, &format!("role revoke billing {CANCEL} --controller-id {CONTROLLER}")).await;
        let token = app.login("op", PASSWORD).await;
        assert_eq!(app.post_as(&token, preview, everything.clone()).await.status, 403);
        ok(db, "role assign all op").await;
        let token = app.login("op", PASSWORD).await;
        assert_eq!(app.post_as(&token, preview, everything.clone()).await.ok()["total"], 2);
        ok(db, "role unassign all op").await;
        let token = app.login("op", PASSWORD).await;
        assert_eq!(app.post_as(&token, preview, everything.clone()).await.status, 403);

        // A password, and a locked account.
        let ran = launch(&db.url, &["account", "passwd", "op"], "another-password\nmore\n").await;
        ran.ok();
        assert_eq!(app.try_login("op", PASSWORD).await.status, 401);
        app.login("op", "another-password").await;
        let token = app.login("op", "another-password").await;
        ok(db, "account disable op").await;
        assert_eq!(app.try_login("op", "another-password").await.status, 401);
        assert!(ok(db, "account list").await.contains("\nop       disabled  billing\n"));
        let mut status = 0;
        for _ in 0..30 {
            app.pass(TimeDelta::seconds(1));
            status = app.post_as(&token, preview, everything.clone()).await.status;
            if status == 440 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert_eq!(status, 440);
        ok(db, "account enable op").await;
        app.login("op", "another-password").await;
        ok(db, "role remove billing").await;
        assert!(ok(db, "account list").await.contains("\nop       enabled\n"));
    }

    async fn account_and_role_reject_invalid_input(kind: Kind) {
        let db = Database::create(kind).await;
        ok(&db, "role add r").await;
        ok(&db, "account add op --role r").await;
        let lists = ok(&db, "account list").await + &ok(&db, "role list").await;
        let long = "x".repeat(101);
        for args in [
            &["account", "add", "op"][..],
            &["account", "add", "a:b"],
            &["account", "add", ""],
            &["account", "add", "a\nb"],
            &["account", "add", &long],
            &["account", "add", "new", "--role", "unknown"],
            &["account", "add", "new", "--role", "r", "--role", "unknown"],
            &["account", "passwd", "nobody"],
            &["account", "disable", "nobody"],
            &["account", "enable", "nobody"],
            &["role", "add", "r"],
            &["role", "add", ""],
            &["role", "add", &long],
            &["role", "remove", "unknown"],
            &["role", "grant", "unknown", CANCEL],
            &["role", "grant", "r", "orders:cancel"],
            &["role", "grant", "r", "sos:products:"],
            &["role", "grant", "r", "sos:products:Controller"],
            &["role", "grant", "r", "sos:products:*"],
            &["role", "grant", "r", CANCEL, "--controller-id", "a/b"],
            &["role", "revoke", "r", CANCEL],
            &["role", "limit", "r"],
            &["role", "limit", "r", "--none", "--folder", "/sos"],
            &["role", "limit", "r", "--folder", "sos"],
            &["role", "limit", "r", "--folder", "/sos/"],
            &["role", "limit", "unknown", "--folder", "/sos"],
            &["role", "limit", "unknown", "--none"],
            &["role", "assign", "r", "nobody"],
            &["role", "assign", "unknown", "op"],
            &["role", "unassign", "all", "op"],
        ] {
            let ran = launch(&db.url, args, format!("{PASSWORD}\n")).await;
            assert!(!ran.success && ran.stdout.is_empty(), "{args:?} {ran:?}");
            assert!(ran.stderr.to_lowercase().contains("error"), "{args:?} {ran:?}");
        }
        for password in ["", "\n", "1234567\n", "ümlaut7\n"] {
            for command in ["add", "passwd"] {
                let name = if command == "add" { "new" } else { "op" };
                let ran = launch(&db.url, &["account", command, name], password).await;
                assert!(ran.failed().contains("at least 8 characters"), "{ran:?}");
            }
        }
        assert_eq!(ok(&db, "account list").await + &ok(&db, "role list").await, lists);
    }

    async fn migrate_goes_down_and_up(kind: Kind) {
        let db = Database::create(kind).await.into_owner();
        let listed = |applied: usize| -> String {
            ["0001 orders    ", "0002 audit     ", "0003 accounts  ", "0004 family    ",
                "0005 seals     ", "0006 closed    ", "0007 trail     ", "0008 history   ",
                "0009 admin     ", "0010 views     ", "0011 capture   ",
                "0012 archive   ", "0013 partitions", "0014 fewer     ", "0015 undo      ",
                "0016 runs      ", "0017 once      "].iter().enumerate()
                .map(|(i, name)| format!("{name} {}\n", if i < applied { "applied" } else { "pending" }))
                .collect()
        };
        assert_eq!(ok(&db, "migrate --status").await, listed(versions().len()));
        assert_eq!(ok(&db, "migrate --to 0").await, listed(0));
        assert_eq!(ok(&db, "migrate --status").await, listed(0));
        assert_eq!(ok(&db, "migrate --to 2").await, listed(2));
        assert_eq!(ok(&db, "migrate").await, listed(versions().len()));
        assert_eq!(ok(&db, "migrate").await, listed(versions().len()));
        launch(&db.owner, &["migrate", "--status", "--to", "1"], "").await.failed();
        let ran = launch(&db.owner, &["migrate", "--to", "99"], "").await;
        assert!(ran.failed().contains("99") && !ran.stderr.contains('\u{1b}'), "{ran:?}");
        assert_eq!(ok(&db, "migrate --status").await, listed(versions().len()));
    }

    async fn serve_creates_root_and_seals_on_shutdown(kind: Kind) {
        let db = Database::create(kind).await;
        let first = Served::start(program(&db.url));
        assert_eq!(first.try_login("wrong").await, 401);
        let url = first.url.clone();
        let output = first.stop();
        let password = output
            .strip_prefix("created the account root with the password ")
            .and_then(|rest| rest.strip_suffix(" (shown only now)\n"))
            .unwrap_or_else(|| panic!("{output}"));
        assert!(password.len() >= 20, "{password}");
        assert!(reqwest::get(&url).await.is_err(), "it has ended");

        let mut again = program(&db.url);
        again.env("JOC_ORDERS_ROOT_PASSWORD", "not any more");
        let again = Served::start(again);
        assert_eq!(again.try_login(password).await, 200);
        assert_eq!(again.try_login("not any more").await, 401);
        assert_eq!(again.stop(), "");
        // On shutdown it seals what it has audited.
        let audited = db.count("SELECT count(*) FROM audit_logs").await;
        assert!(audited > 0);
        assert_eq!(db.count("SELECT sum(entries) FROM audit_seals").await, audited);

        let db = Database::create(kind).await;
        let mut given = program(&db.url);
        given.env("JOC_ORDERS_ROOT_PASSWORD", "given-password");
        let given = Served::start(given);
        assert_eq!(given.try_login("given-password").await, 200);
        assert_eq!(given.stop(), "");
    }

    async fn settings_come_from_flags_then_the_environment_then_a_file(kind: Kind) {
        let db = Database::create(kind).await;
        ok(&db, "account add op").await;
        let folder = tempfile::tempdir().unwrap();
        let list = |file: &str, env: Option<&str>| {
            std::fs::write(folder.path().join(".env"), file).unwrap();
            let mut command = program("");
            command.current_dir(folder.path()).env_remove("DATABASE_URL").args(["account", "list"]);
            if let Some(env) = env {
                command.env("DATABASE_URL", env);
            }
            launch_command(command, "")
        };
        let good = format!("# Where it is\nDATABASE_URL=\"{}\"\n", db.url);
        let bad = "DATABASE_URL=mysql://x:secret@y/z\n";
        let expected = "ACCOUNT  STATE    ROLES\nop       enabled\n";
        assert_eq!(list(&good, None).await.ok(), expected);
        assert_eq!(list(bad, Some(&db.url)).await.ok(), expected);
        list(&good, Some("mysql:x")).await.failed();
        let ran = list(bad, None).await;
        assert!(ran.failed().contains("DATABASE_URL") && !ran.stderr.contains("secret"), "{ran:?}");
        let ran = list("no setting\n", Some(&db.url)).await;
        assert!(ran.failed().contains(".env"), "{ran:?}");
        // The flag belongs to `account`, and comes before its subcommand.
        let mut command = program("mysql:x");
        command.args(["account", "--database-url", &db.url, "list"]);
        assert_eq!(launch_command(command, "").await.ok(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_creates_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new.db").display());
    assert!(launch(&url, &["migrate"], "").await.ok().contains("0001 orders     applied"));
    assert!(store::migrations(&url).await.unwrap().iter().all(|migration| migration.applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_sqlites_synchronous_modes() {
    let db = Database::create(Kind::Sqlite).await;
    for synchronous in ["normal", "full", "extra"] {
        let url = format!("{}?synchronous={synchronous}&mode=rwc", db.url);
        launch(&url, &["migrate"], "").await.ok();
    }
    let ran = launch(&format!("{}?synchronous=nonsense", db.url), &["migrate"], "").await;
    assert!(ran.failed().contains("DATABASE_URL") && ran.stderr.contains("nonsense"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_help() {
    for command in COMMANDS.iter().chain(&[""]) {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ran = launch("", &args, "").await;
        let usage = format!("Usage: joc-orders {command}");
        assert!(ran.ok().contains(usage.trim_end()), "{command}: {ran:?}");
        // A description precedes the usage.
        assert!(!ran.stdout.starts_with("Usage"), "{command}: {ran:?}");
    }
    assert!(launch("", &["--version"], "").await.ok().starts_with("joc-orders "));
    assert!(launch("", &[], "").await.failed().contains("Usage: joc-orders"));
}
