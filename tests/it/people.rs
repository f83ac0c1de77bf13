//! What people see: messages, tables, questions and what is said when a command is interrupted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{client, on_terminal_of, start, words};
use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, Ran, launch, launch_command, program,
};
use crate::served::Served;

const CANCEL: &str = "sos:products:controller:orders:cancel";
const PASSWORD: &str = "op-password";

async fn tried(db: &Database, command: &str) -> Ran {
    launch(&db.url, &words(command), format!("{PASSWORD}\n")).await
}

/// What a command that changes something says.
async fn said(db: &Database, command: &str) -> String {
    let ran = tried(db, command).await;
    assert_eq!(ran.stderr, "", "{command}");
    ran.ok().to_owned()
}

on_both! {
    async fn every_change_says_what_it_did(kind: Kind) {
        let db = Database::create(kind).await;
        let eod = Order::new("a").workflow("/sos/billing/eod", "1");
        db.insert(&[eod, Order::new("b").workflow("/mft/in", "1")]).await;
        for (command, expected) in [
            ("role add billing", "added role billing".into()),
            (&format!("role grant billing {CANCEL} --controller-id {CONTROLLER}")[..],
             format!("granted {CANCEL} to billing for controller {CONTROLLER}")),
            ("role grant billing sos:products:joc",
             "granted sos:products:joc to billing for every controller".into()),
            ("role revoke billing sos:products:joc",
             "revoked sos:products:joc from billing for every controller".into()),
            ("role limit billing --folder /sos/billing --only-folder /mft",
             "limited role billing to /sos/billing, /mft only (before: every folder)".into()),
            ("role limit billing --add /sos --remove /mft",
             "limited role billing to /sos, /sos/billing (before: /mft only, /sos/billing)".into()),
            ("role limit billing --add-only /sos/billing",
             "limited role billing to /sos, /sos/billing only (before: /sos, /sos/billing)".into()),
            ("role limit billing --folder /mft",
             "limited role billing to /mft (before: /sos, /sos/billing only)".into()),
            ("role limit billing --none", "lifted the limit of role billing (before: /mft)".into()),
            ("account add anna --role billing", "added account anna with the role billing".into()),
            ("account add otto --role billing --role all", "added account otto with the roles billing, all".into()),
            ("account add emil", "added account emil without a role".into()),
            ("account passwd anna", "changed the password of anna and ended its sessions".into()),
            ("account disable anna", "disabled account anna and ended its sessions".into()),
            ("account enable anna", "enabled account anna".into()),
            ("role assign all anna", "assigned role all to account anna".into()),
            ("role unassign all anna", "took role all from account anna".into()),
            ("account remove anna", "removed account anna and ended its sessions".into()),
            ("role remove billing", "removed role billing".into()),
        ] {
            assert_eq!(said(&db, command).await, format!("{expected}\n"), "{command}");
        }
    }

    async fn misspelt_permissions_are_refused(kind: Kind) {
        let db = Database::create(kind).await;
        said(&db, "role add r").await;
        let before = said(&db, "role list --output csv").await;
        for (permission, meant) in [
            ("sos:products:controller:orders:cancle", CANCEL),
            ("sos:product:controller:orders:cancel", CANCEL),
            ("orders:cancel", CANCEL),
            ("sos:products:joc:auditlog:veiw", "sos:products:joc:auditlog:view"),
        ] {
            let ran = tried(&db, &format!("role grant r {permission}")).await;
            let expected =
                format!("Error: permission: unknown permission {permission}; did you mean {meant}?\n");
            assert_eq!((ran.failed(), ran.code), (&*expected, Some(2)));
        }
        assert_eq!(said(&db, "role list --output csv").await, before);
        // What only JOC uses comes along with its roles.
        for permission in ["sos:products:joc:dailyplan:manage", "sos:products:controller:agents"] {
            said(&db, &format!("role grant r {permission}")).await;
        }
    }

    async fn what_is_not_there_yet_is_warned_of(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a").workflow("/sos/billing/eod", "1")]).await;
        said(&db, "role add r").await;
        let ran = tried(&db, &format!("role grant r {CANCEL} --controller-id nosuch")).await;
        assert_eq!(ran.ok(), format!("granted {CANCEL} to r for controller nosuch\n"));
        assert_eq!(ran.stderr, "warning: there is no controller 'nosuch' yet\n");
        let ran = tried(&db, "role limit r --folder /nonexist --folder /sos").await;
        assert_eq!(ran.ok(), "limited role r to /nonexist, /sos (before: every folder)\n");
        assert_eq!(ran.stderr, "warning: no workflow is in /nonexist yet\n");
        // A folder that was there before is no news; one without workflows of its own is.
        let ran = tried(&db, "role limit r --add-only /sos").await;
        ran.ok();
        assert_eq!(ran.stderr, "warning: no workflow is in /sos yet\n");
        assert_eq!(said(&db, "role list --output csv").await, format!(
            "role,permission,controller_id,folders\nall,sos:products,*,every folder\n\
             r,{CANCEL},nosuch,\"/nonexist, /sos only\"\n"));
    }

    async fn refusals_say_what_is_wrong(kind: Kind) {
        let db = Database::create(kind).await;
        said(&db, "role add r").await;
        said(&db, "account add op --role r").await;
        said(&db, "role grant r sos:products:joc").await;
        db.insert(&[Order::new("a").workflow("/sos/a", "1")]).await;
        said(&db, "role limit r --folder /sos").await;
        let lists = async || {
            let accounts = said(&db, "account list --output csv").await;
            accounts + &said(&db, "role list --output csv").await
        };
        let before = lists().await;
        for (command, expected) in [
            ("account add op", "the account op already exists"),
            ("account add new --role x", "there is no role x"),
            ("account passwd x", "there is no account x"),
            ("account disable x", "there is no account x"),
            ("account enable x", "there is no account x"),
            ("account remove x", "there is no account x"),
            ("role add r", "the role r already exists"),
            ("role remove x", "there is no role x"),
            ("role grant x sos:products", "there is no role x"),
            ("role grant r sos:products:joc", "the role r already has sos:products:joc for *"),
            ("role revoke x sos:products", "there is no role x"),
            ("role revoke r sos:products", "the role r has no sos:products for *"),
            ("role limit x --folder /sos", "there is no role x"),
            ("role limit x --add /sos", "there is no role x"),
            ("role limit r --remove /mft", "the role is not limited to /mft"),
            ("role limit r --remove /sos", "no folder would be left; to lift the limit use --none"),
            ("role assign r x", "there is no account x"),
            ("role assign x op", "there is no role x"),
            ("role assign r op", "the account op already has the role r"),
            ("role unassign r x", "there is no account x"),
            ("role unassign x op", "there is no role x"),
            ("role unassign all op", "the account op does not have the role all"),
        ] {
            let ran = tried(&db, command).await;
            let expected = format!("Error: {expected}\n");
            assert_eq!((ran.failed(), ran.code), (&*expected, Some(4)), "{command}");
        }
        for command in [
            "role limit r --add /sos --folder /a",
            "role limit r --remove /sos --none",
            "role limit r --add sos",
            "role limit r --folder /a --only-folder /a",
            "role limit r --add /a --add-only /a",
        ] {
            tried(&db, command).await.failed();
        }
        assert_eq!(lists().await, before);
    }

    async fn lists_come_in_every_format(kind: Kind) {
        let db = Database::create(kind).await;
        said(&db, "role add empty").await;
        said(&db, "account add otto --role empty --role all").await;
        said(&db, "account add anna").await;
        said(&db, "account disable anna").await;
        let list = |command: &'static str| {
            let list = program(&db.url);
            async move {
                let mut list = list;
                list.args(words(command));
                launch_command(list, "").await
            }
        };
        let ran = list("account list").await;
        assert_eq!(ran.ok(), "\
            ACCOUNT  STATE     ROLES\n\
            anna     disabled\n\
            otto     enabled   all, empty\n");
        assert_eq!(ran.stderr, "2 accounts\n");
        let ran = list("account list --output csv").await;
        assert_eq!(ran.ok(), "account,state,roles\nanna,disabled,\notto,enabled,\"all, empty\"\n");
        assert_eq!(ran.stderr, "");
        let ran = list("account list --output json").await;
        assert_eq!(serde_json::from_str::<Value>(ran.ok()).unwrap(), json!([
            {"account": "anna", "state": "disabled", "roles": []},
            {"account": "otto", "state": "enabled", "roles": ["all", "empty"]},
        ]));
        let ran = list("role list").await;
        assert_eq!(ran.ok(), "\
            ROLE   PERMISSION    CONTROLLER ID  FOLDERS\n\
            all    sos:products  *              every folder\n\
            empty                               every folder\n");
        assert_eq!(ran.stderr, "2 roles\n");
        let ran = list("role list --output json").await;
        assert_eq!(serde_json::from_str::<Value>(ran.ok()).unwrap(), json!([
            {"role": "all", "permissions": [{"permission": "sos:products", "controllerId": "*"}], "folders": []},
            {"role": "empty", "permissions": [], "folders": []},
        ]));
    }

    async fn a_removed_account_is_gone_and_its_audit_entries_stay(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b")]).await;
        let token = app.account("op", CANCEL, &[]).await;
        let cancel = |id: &str| json!({"controllerId": CONTROLLER, "orderIds": [id]}).to_string();
        assert_eq!(app.post_as(&token, "/orders/cancel", cancel("a")).await.affected(), 1);
        said(&app.db, "account remove op").await;
        assert_eq!(app.db.count("SELECT count(*) FROM sessions WHERE account = 'op'").await, 0);
        assert_eq!(app.db.count("SELECT count(*) FROM account_roles WHERE account = 'op'").await, 0);
        app.pass(chrono::TimeDelta::seconds(5));
        assert_eq!(app.try_login("op", "a-password").await.status, 401);
        let mut status = 0;
        for _ in 0..30 {
            status = app.post_as(&token, "/orders/cancel/preview", cancel("b")).await.status;
            if status == 440 {
                break;
            }
            app.pass(chrono::TimeDelta::seconds(1));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(status, 440);
        let kept = "SELECT count(*) FROM audit_logs WHERE account = 'op' AND outcome = 'DONE'";
        assert_eq!(app.db.count(kept).await, 1);
    }

    async fn the_last_account_with_every_permission_is_warned_of(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a").workflow("/sos/a", "1")]).await;
        let warning = "warning: no enabled account has every permission any more\n";
        said(&db, "account add one --role all").await;
        said(&db, "account add two --role all").await;
        said(&db, "account remove two").await;
        for (change, back) in [
            ("account disable one", "account enable one"),
            ("role unassign all one", "role assign all one"),
            ("role revoke all sos:products", "role grant all sos:products"),
            ("role limit all --folder /sos", "role limit all --none"),
        ] {
            let ran = tried(&db, change).await;
            ran.ok();
            assert_eq!(ran.stderr, warning, "{change}");
            said(&db, back).await;
        }
        let ran = tried(&db, "account remove one").await;
        assert_eq!((ran.ok(), &*ran.stderr), ("removed account one and ended its sessions\n", warning));
        // There is none to lose any more.
        said(&db, "role remove all").await;
    }

    async fn a_dry_run_says_that_nothing_changed(kind: Kind) {
        let mut orders: Vec<Order> = (0..20).map(|i| Order::new(&format!("o{i:02}"))).collect();
        orders.push(Order::new("r1").state("RUNNING"));
        orders.push(Order::new("s1").suspended());
        let app = App::with(kind, &orders).await;
        for (command, expected) in [
            ("cancel --state scheduled", "would cancel 20 orders; dry run, nothing changed"),
            ("cancel --order-id o01", "would cancel 1 order; dry run, nothing changed"),
            ("cancel --folder / --fresh-only", "would cancel 21 orders; dry run, nothing changed"),
            ("cancel --folder /", "would cancel 21 orders, mark 1; dry run, nothing changed"),
            ("cancel --state running --kill", "would kill 1 order; dry run, nothing changed"),
            ("suspend --folder /", "would suspend 20 orders, mark 1; dry run, nothing changed"),
            ("resume --folder /", "would resume 1 order; dry run, nothing changed"),
        ] {
            let command = format!("orders {command} --dry-run --show 0");
            let ran = start(&app.url, &words(&command)).await;
            assert!(ran.ok().ends_with(&format!("\n{expected}\n")), "{command} {ran:?}");
            assert!(!ran.stdout.contains("cancelled") && !ran.stdout.contains("suspended"), "{ran:?}");
            for format in ["json", "csv"] {
                let command = format!("{command} --output {format}");
                let ran = start(&app.url, &words(&command)).await;
                ran.ok();
                assert_eq!(ran.stderr, format!("{expected}\n"));
            }
        }
        assert_eq!(app.db.count("SELECT count(*) FROM audit_logs WHERE outcome = 'DONE'").await, 0);
    }

    async fn tables_fit_a_terminal_and_only_that(kind: Kind) {
        let version = "c86308a3-90f1-4b50-a4d2-7d60f5e45c1f";
        let deep = format!("/sos{}/eod", "/folder-of-folders".repeat(8));
        let app = App::with(kind, &[
            Order::new("#2026-11-23#P1-eod").workflow(&deep, version),
            Order::new("failed").workflow("/sos/eod", version).state("FAILED"),
        ])
        .await;
        let shown = async |command: &str, columns: u32, environment: &[(&str, &str)]| {
            let mut command = client(&app.url, &words(command));
            command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
            let terminal = on_terminal_of(columns, &command);
            launch_command(terminal, "").await.ok().replace("\r\n", "\n")
        };
        for command in ["orders list", "orders cancel --folder / --dry-run"] {
            let piped = start(&app.url, &words(command)).await;
            assert!(piped.ok().contains(&deep) && piped.stdout.contains(version), "{piped:?}");
            assert!(!piped.stdout.contains('\u{1b}') && !piped.stdout.contains('…'), "{piped:?}");

            let table = shown(command, 80, &[("NO_COLOR", "1")]).await;
            // The spinner's lines end with a return.
            let lines: Vec<&str> = table.lines().map(|l| l.rsplit('\r').next().unwrap()).collect();
            let lines: Vec<&str> = lines.into_iter().map(|l| l.trim_start_matches("\u{1b}[2K")).collect();
            for line in &lines {
                assert!(line.chars().count() <= 80, "{line}\n{table}");
            }
            let row = lines.iter().find(|line| line.starts_with("#2026-11-23#P1-eod"));
            let row = row.unwrap_or_else(|| panic!("{table:?}"));
            assert!(row.contains("…") && row.contains("/eod ") && row.contains("c863…5c1f"), "{row}");
            assert!(!table.contains("\u{1b}[31m"), "{table}");
            assert!(table.contains("2 orders: 1 FAILED, 1 SCHEDULED\n"), "{table}");

            for (environment, colored) in [(&[][..], true), (&[("TERM", "dumb")][..], false)] {
                let table = shown(command, 250, environment).await;
                assert!(table.contains(&deep) && table.contains(version), "{table}");
                assert_eq!(table.contains("\u{1b}[31mFAILED\u{1b}[0m"), colored, "{table}");
            }
        }
    }

    async fn columns_that_do_not_fit_are_left_out_from_the_right(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let why = json!({"comment": "billing is down again", "ticketLink": "OPS-4711"});
        app.cancel(json!({"orderIds": ["a"], "auditLog": why})).await.ok();
        let shown = async |columns: u32| {
            let mut command = client(&app.url, &words("audit"));
            command.env("TERM", "xterm").env("NO_COLOR", "1");
            let terminal = on_terminal_of(columns, &command);
            launch_command(terminal, "").await.ok().replace("\r\n", "\n")
        };
        for (columns, all) in [(60, false), (80, false), (160, true)] {
            let table = shown(columns).await;
            let last = |line: &str| line.rsplit(['\r', 'K']).next().unwrap().chars().count();
            let header = table.lines().find(|line| line.contains("CREATED")).unwrap();
            assert_eq!(header.ends_with("  …"), !all, "{table}");
            assert_eq!(header.contains("TICKET LINK"), all, "{table}");
            let row = table.lines().find(|line| line.contains("./orders/cancel")).unwrap();
            let width = usize::try_from(columns).unwrap();
            assert!(row.chars().count() <= width && last(header) <= width, "{table}");
        }
    }

    async fn csv_has_no_formulas_behind_blanks(kind: Kind) {
        let ids = ["\u{a0}=1+1", " =1+1", "\u{200b}+1", "\u{feff}@a", "\u{ad}-1", "=1", "a=1"];
        let app = App::with(kind, &ids.map(Order::new)).await;
        let ran = start(&app.url, &words("orders list --output csv")).await;
        for id in &ids[..6] {
            assert!(ran.ok().contains(&format!("\n'{id},")), "{id:?} {ran:?}");
        }
        assert!(ran.stdout.contains("\na=1,"), "{ran:?}");
    }

    async fn a_list_ends_with_totals(kind: Kind) {
        let app = App::with(kind, &[Order::new("a"), Order::new("b").state("FAILED")]).await;
        start(&app.url, &words("orders cancel --order-id a --yes")).await.ok();
        for (command, expected) in [
            ("orders list", "1 order: 1 FAILED\n"),
            ("orders list --order-id x", "0 orders\n"),
            ("audit --account root --category controller", "1 entry: 1 DONE\n"),
            ("audit --details 1", "1 order: 1 CANCELLED\n"),
            ("orders list --output csv", ""),
            ("orders list --output json", ""),
        ] {
            let ran = start(&app.url, &words(command)).await;
            ran.ok();
            let id = app.db.count("SELECT id FROM audit_logs WHERE outcome = 'DONE'").await;
            if command != "audit --details 1" || id == 1 {
                assert_eq!(ran.stderr, expected, "{command}");
            }
        }
    }

    async fn a_whole_response_of_joc_is_recognised(kind: Kind) {
        let db = Database::create(kind).await;
        let response = include_str!("../fixtures/orders.json");
        let pretty = format!("{:#}", serde_json::from_str::<Value>(response).unwrap());
        for input in [response.to_owned(), pretty] {
            let ran = launch(&db.url, &["import"], input).await;
            assert_eq!(ran.failed(), "Error: nothing was imported: this looks like a JOC /orders \
                response: name its controller with --controller-id\n");
        }
        assert_eq!(db.count("SELECT count(*) FROM orders").await, 0);
    }

    async fn an_interrupted_import_says_that_nothing_was_imported(kind: Kind) {
        let db = Database::create(kind).await;
        for signal in ["INT", "TERM"] {
            let mut command = program(&db.url);
            let mut child = piped(command.arg("import"));
            let mut stdin = child.stdin.take().unwrap();
            // More than two batches, of which the first are in the transaction by then.
            for i in 0..16_000 {
                stdin.write_all(line(i).as_bytes()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(300));
            tell(&child, signal);
            let output = child.wait_with_output().unwrap();
            drop(stdin);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(stderr, "Error: interrupted: nothing was imported\n");
            assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
            for table in ["orders", "workflows", "controllers"] {
                assert_eq!(db.count(&format!("SELECT count(*) FROM {table}")).await, 0);
            }
        }
        // Nothing is left locked.
        let ran = launch(&db.url, &["import"], line(1)).await;
        assert_eq!(ran.ok(), "imported: 1 new, 0 replaced, 0 skipped\n");
    }

    async fn an_interrupted_import_tells_the_truth(kind: Kind) {
        let input: String = (0..30_000).map(line).collect();
        for delay in [0, 20, 60, 120, 200, 300, 450, 600, 800, 1200] {
            let db = Database::create(kind).await;
            let mut command = program(&db.url);
            let mut child = piped(command.arg("import"));
            let mut stdin = child.stdin.take().unwrap();
            let input = input.clone();
            let fed = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
            std::thread::sleep(Duration::from_millis(100 + delay));
            tell(&child, "INT");
            let output = child.wait_with_output().unwrap();
            fed.join().unwrap();
            let orders = db.count("SELECT count(*) FROM orders").await;
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if output.status.success() {
                assert_eq!((orders, &*stdout), (30_000, "imported: 30000 new, 0 replaced, 0 skipped\n"));
            } else {
                assert_eq!((orders, &*stderr), (0, "Error: interrupted: nothing was imported\n"));
            }
        }
    }

    async fn an_interrupted_copy_says_that_nothing_was_copied(kind: Kind) {
        let source = Database::create(Kind::Sqlite).await;
        let orders: Vec<Order> = (0..20_000).map(|i| Order::new(&format!("o{i:05}"))).collect();
        source.insert(&orders).await;
        // While somebody else has the target, and at whatever moment.
        for (locked, delay) in [(true, 800), (false, 150), (false, 300), (false, 600), (false, 1000)] {
            let target = Database::create(kind).await;
            let begin = if kind == Kind::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
            let mut other = target.lock(begin).await;
            let insert = "INSERT INTO roles (role) VALUES ('other')";
            other.execute(if locked { insert } else { "ROLLBACK" }).await;
            let mut command = program("");
            let args = ["copy", "--from", &source.url, "--to", &target.url];
            let child = piped(command.args(args));
            std::thread::sleep(Duration::from_millis(delay));
            tell(&child, "INT");
            let output = child.wait_with_output().unwrap();
            if locked {
                other.execute("ROLLBACK").await;
            }
            let copied = target.count("SELECT count(*) FROM orders").await;
            let stderr = String::from_utf8(output.stderr).unwrap();
            if output.status.success() {
                assert!(!locked && copied == 20_000, "{copied}");
            } else {
                assert_eq!((copied, &*stderr), (0, "Error: interrupted: nothing was copied\n"));
                assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
                assert_eq!(target.count("SELECT count(*) FROM roles").await, 1);
            }
        }
    }

    async fn a_url_needs_no_path(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let origin = app.url.strip_suffix("/joc/api").unwrap();
        for url in [origin, &format!("{origin}/")] {
            let ran = start(url, &words("orders list --output csv")).await;
            assert!(ran.ok().contains("\na,"), "{ran:?}");
        }
        let ran = start(&format!("{origin}/api"), &words("orders list")).await;
        let expected = format!("Error: there is no API at {origin}/api; try --url {origin}/joc/api\n");
        assert_eq!((ran.failed(), ran.code), (&*expected, Some(2)));
    }

    async fn a_service_on_this_machine_is_never_behind_a_proxy(kind: Kind) {
        let (proxy, seen) = proxy();
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a")]).await;
        let mut serve = program(&db.url);
        serve.env("JOC_ORDERS_ROOT_PASSWORD", "root-password");
        let served = Served::start(serve);
        let port = served.url.trim_end_matches("/joc/api").rsplit_once(':').unwrap().1.to_owned();
        let behind = |mut command: Command| {
            for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env(name, &proxy);
            }
            command.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
            launch_command(command, "")
        };
        let health = |args: &[&str]| {
            let mut command = program("");
            command.arg("health").args(args).env("JOC_ORDERS_LISTEN", format!("127.0.0.1:{port}"));
            command
        };
        behind(health(&[])).await.ok();
        behind(health(&["--ready"])).await.ok();
        for host in ["127.0.0.1", "localhost"] {
            behind(client(&format!("http://{host}:{port}"), &["orders", "list"])).await.ok();
            behind(health(&["--url", &format!("http://{host}:{port}")])).await.ok();
        }
        assert_eq!(*seen.lock().unwrap(), [""; 0]);

        // What is elsewhere is, unless NO_PROXY says otherwise.
        let elsewhere = "http://joc.example.invalid:4446";
        let ran = behind(client(elsewhere, &["orders", "list"])).await;
        assert_eq!(ran.code, Some(7), "{ran:?}");
        let reached = std::mem::take(&mut *seen.lock().unwrap());
        assert!(reached[0].starts_with("POST http://joc.example.invalid:4446/"), "{reached:?}");
        let mut direct = client(elsewhere, &["orders", "list"]);
        direct.env("http_proxy", &proxy).env("NO_PROXY", "example.invalid");
        assert_eq!(launch_command(direct, "").await.code, Some(7));
        assert_eq!(*seen.lock().unwrap(), [""; 0]);
        served.stop();
    }
}

/// A line of an import.
fn line(i: u32) -> String {
    let workflow = json!({"path": format!("/sos/w{}", i % 10), "versionId": "1"});
    let order = json!({"orderId": format!("o{i}"), "workflowId": workflow, "state": {"_text": "SCHEDULED"}});
    json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n"
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn tell(child: &Child, signal: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

/// A proxy that refuses everything, and the first lines of what reached it.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let record = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut first = String::new();
            let _ = BufReader::new(&stream).read_line(&mut first);
            record.lock().unwrap().push(first.trim().to_owned());
            let _ = stream
                .write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.read(&mut [0; 1]);
        }
    });
    (url, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_for_this_machine_go_through_no_proxy() {
    let (collector, traces) = proxy();
    let (proxy, seen) = proxy();
    let db = Database::create(Kind::Sqlite).await;
    let mut serve = program(&db.url);
    serve.env("JOC_ORDERS_ROOT_PASSWORD", "root-password").env("http_proxy", &proxy);
    serve.env("JOC_ORDERS_OTLP_ENDPOINT", format!("{collector}/v1/traces"));
    serve.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    let served = Served::start(serve);
    assert_eq!(served.try_login("root-password").await, 200);
    served.stop();
    assert_eq!(*seen.lock().unwrap(), [""; 0]);
    let traces = traces.lock().unwrap();
    assert!(traces.iter().any(|line| line.starts_with("POST /v1/traces ")), "{traces:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_before_any_request() {
    // Nobody listens there: exit code 7 would be the answer to a request.
    let nowhere = "http://127.0.0.1:1";
    for (command, expected) in [
        ("orders cancel --yes", "select orders: "),
        ("orders suspend --yes --time-zone UTC", "select orders: "),
        ("orders resume --dry-run", "select orders: "),
        ("orders list --date-from 2026-11-23", "such as 2026-11-23T00:00:00"),
        ("orders cancel --yes --date-to 2026-11-23", "such as 2026-11-23T00:00:00"),
        ("orders list --state-date-from 2026-11-23", "such as 2026-11-23T00:00:00"),
        ("audit --date-to 2026-11-23", "such as 2026-11-23T00:00:00"),
        ("orders add --workflow x --scheduled-for 2026-11-23", "such as '2026-11-23 08:00:00'"),
        ("orders list --url 127.0.0.1:4446", "expected http://HOST:PORT or https://HOST:PORT"),
    ] {
        let ran = start(nowhere, &words(command)).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.failed().contains(expected), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_begins_with_what_is_the_commands_own() {
    for command in [
        "import",
        "copy",
        "health",
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
        "serve",
        "demo",
        "migrate",
        "check",
        "completions",
        "orders",
        "orders list",
        "orders add",
        "orders cancel",
        "orders suspend",
        "orders resume",
        "audit",
        "audit verify",
        "audit seals",
    ] {
        let ran = launch("", &[words(command), vec!["--help"]].concat(), "").await;
        let help = ran.ok();
        let place = |heading: &str| help.find(&format!("\n{heading}:\n"));
        let own = place("Options").unwrap_or_else(|| panic!("{help}"));
        let mut last = own;
        for heading in ["Effect", "Safety", "Audit log", "Output", "Connection", "Global options"] {
            let Some(place) = place(heading) else { continue };
            assert!(place > last, "{command}: {heading}\n{help}");
            last = place;
        }
        assert!(!help.contains("\nSelection:\n") && !help.contains("\nOrders:\n"), "{help}");
        let example = format!("\nExamples:\n  joc-orders {}", words(command)[0]);
        assert!(help.contains(&example), "{command} {help}");
    }
}
