//! What the command line shows people: messages, tables and prompts.

use serde_json::{Value, json};

use crate::commands::COMMANDS;
use crate::harness::{
    App, Database, Order, client, launch, launch_command, on_terminal_of, start, words,
};

mod accounts;
mod interrupted;
mod proxies;

on_both! {
    async fn a_dry_run_reports_that_nothing_changed(kind: Kind) {
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

    async fn tables_shrink_only_to_fit_a_terminal(kind: Kind) {
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
            // The spinner's lines end with a carriage return.
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

    async fn drops_columns_that_do_not_fit_from_the_right(kind: Kind) {
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

    async fn csv_quotes_formulas_after_blanks(kind: Kind) {
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

    async fn import_recognises_a_whole_response_of_joc(kind: Kind) {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_missing_options_before_any_request() {
    // Nobody listens there: a request would exit with 7.
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
async fn help_starts_with_the_commands_own_options() {
    for command in COMMANDS {
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
