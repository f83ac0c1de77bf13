//! What `import` tells before it writes, what it leaves out, tables, and `orders export`.

use serde_json::{Value, json};

use crate::harness::{App, CONTROLLER, Database, Kind, Order, launch, with_controller};

fn line(id: &str, more: Value) -> String {
    let mut order = json!({"orderId": id, "workflowId": {"path": "/a/w", "versionId": "1"},
        "state": {"_text": "SCHEDULED"}});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"controllerId": CONTROLLER, "order": order}).to_string() + "\n"
}

async fn export(db: &Database) -> String {
    launch(&db.url, &["orders", "export"], "").await.ok().to_owned()
}

on_both! {
    async fn an_export_loses_nothing_in_any_database(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let mut orders: Vec<Order> = (0..1200).map(|i| Order::new(&format!("o{i:04}"))).collect();
        orders.extend([
            Order::new("ü'\"|日本|🎄").workflow("/O'Brien & \"Söhne\"/it's", "ß\\").never(),
            Order::new("running").state("RUNNING"),
            Order::new("first").at("0001-01-01T00:00:00.000Z"),
            Order::new("last").at("9999-12-31T23:59:59.999Z"),
            Order::new("marked").state("RUNNING").mark("SUSPENDING").killed(),
            Order::new("finished").state("FINISHED"),
            Order::new("admission").state("INPROGRESS"),
        ]);
        app.db.insert(&orders).await;
        for sql in [
            r#"UPDATE orders SET arguments = '{"b":[{"c":1}],"a":{"ü":true},"n":-0.10,"m":12345678901234567890.50,"e":1e3}',
                position = '[0,"then",1]', priority = -2147483648, reason = 'FORKED',
                created = '1969-12-31T23:59:59.001Z', started = '2026-01-02T03:04:05.006Z',
                state_since = '1969-12-31T23:59:59.001Z',
                remove_when_terminated = TRUE WHERE order_id = 'running'"#,
            "UPDATE orders SET position = '[0]', reason = 'WAITING_FOR_ADMISSION' WHERE order_id = 'admission'",
            "UPDATE orders SET suspended = TRUE, state = 'FAILED' WHERE order_id = 'o0001'",
            "UPDATE orders SET suspended = TRUE, mark = 'RESUMING' WHERE order_id = 'o0002'",
        ] {
            app.db.execute(sql).await.unwrap();
        }
        app.cancel(with_controller(json!({"orderIds": ["o0003", "o0004"]}))).await.ok();
        let exported = export(&app.db).await;
        assert!(exported.contains("\"killRequested\"") && exported.contains("12345678901234567890.50"));
        for to in [Kind::Sqlite, Kind::Postgres] {
            let target = Database::create(to).await;
            let ran = launch(&target.url, &["import"], exported.clone()).await;
            assert_eq!(ran.ok(), "imported: 1207 new, 0 replaced, 0 skipped\n");
            let again = export(&target).await;
            for (before, after) in exported.lines().zip(again.lines()) {
                assert_eq!(before, after);
            }
            assert_eq!(exported, again);
            launch(&target.url, &["check"], "").await.ok();
            // Replacing by the same changes nothing.
            let ran = launch(&target.url, &["import", "--replace"], exported.clone()).await;
            let ended = exported.matches("\"FINISHED\"").count() + exported.matches("\"CANCELLED\"").count();
            let unchanged = 1207 - ended;
            assert_eq!(
                ran.ok(),
                format!("imported: 0 new, 0 replaced, {unchanged} unchanged, {ended} skipped\n")
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.jsonl").display().to_string();
        let to = ["orders", "export", "--controller-id", CONTROLLER, "--to", &file];
        launch(&app.db.url, &to, "").await.ok();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), exported);
        let again = launch(&app.db.url, &to, "").await;
        assert!(again.failed().contains("is there already"), "{again:?}");
        let none = launch(&app.db.url, &["orders", "export", "--controller-id", "gone"], "").await;
        assert!(none.failed().contains("of the controller 'gone'"), "{none:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    async fn a_dry_run_tells_and_writes_nothing(kind: Kind) {
        let db = Database::create(kind).await;
        let text = line("a", json!({})) + &line("b", json!({})) + &line("a", json!({}));
        let ran = launch(&db.url, &["import", "--dry-run"], text.clone()).await;
        assert_eq!(ran.ok(), "would be imported: 2 new, 0 replaced, 1 skipped\n");
        for table in ["controllers", "workflows", "orders"] {
            assert_eq!(db.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        launch(&db.url, &["import"], text).await.ok();
        let text = line("a", json!({})) + &line("b", json!({"priority": 1})) + &line("c", json!({}));
        let ran = launch(&db.url, &["import", "--dry-run", "--replace"], text).await;
        assert_eq!(ran.ok(), "would be imported: 1 new, 1 replaced, 1 unchanged, 0 skipped\n");
        assert_eq!(db.count("SELECT count(*) FROM orders WHERE priority = 0").await, 2);
        let bad = launch(&db.url, &["import", "--dry-run"], line("", json!({}))).await;
        assert!(bad.failed().contains("line 1: order.orderId: is empty"), "{bad:?}");
    }

    async fn only_orders_that_differ_are_modified(kind: Kind) {
        let db = Database::create(kind).await;
        let text = line("a", json!({"arguments": {"x": 1.0}})) + &line("b", json!({"arguments": {"x": 1.0}}));
        launch(&db.url, &["import"], text).await.ok();
        let old = "UPDATE orders SET created = '2020-01-01T00:00:00.000Z', modified = '2020-01-01T00:00:00.000Z'";
        db.execute(old).await.unwrap();
        let text = line("a", json!({"arguments": {"x": 1.0}}))
            + &line("b", json!({"arguments": {"x": 1.0}})).replace("1.0", "1.00");
        let ran = launch(&db.url, &["import", "--replace"], text).await;
        assert_eq!(ran.ok(), "imported: 0 new, 1 replaced, 1 unchanged, 0 skipped\n");
        let kept = "SELECT count(*) FROM orders WHERE order_id = 'a' AND modified < '2021-01-01T00:00:00.000Z'";
        assert_eq!(db.count(kept).await, 1);
        assert_eq!(db.count(&kept.replace("'a'", "'b'")).await, 0);
    }

    async fn starts_and_ends_are_kept(kind: Kind) {
        let db = Database::create(kind).await;
        let text = line("a", json!({"state": {"_text": "FINISHED"}, "startTime": "2026-11-01T10:00:00+01:00",
                "endTime": 1_795_437_600_000_i64}))
            + &line("b", json!({"state": {"_text": "RUNNING"}, "startTime": "2026-11-01T10:00:00Z"}));
        launch(&db.url, &["import"], text).await.ok();
        let exported = export(&db).await;
        let a = exported.lines().find(|line| line.contains("\"a\"")).unwrap();
        for part in [r#""startTime":"2026-11-01T09:00:00.000Z""#, r#""stateSince":"2026-11-23T12:40:00.000Z""#,
            r#""created":"2026-11-01T09:00:00.000Z""#] {
            assert!(a.contains(part), "{a}");
        }
        // A later import that says less keeps what it does not say.
        let less = line("b", json!({"state": {"_text": "RUNNING"}, "priority": 1}));
        launch(&db.url, &["import", "--replace"], less).await.ok();
        let b = export(&db).await;
        assert!(b.contains(r#""priority":1,"startTime":"2026-11-01T10:00:00.000Z","created":"2026-11-01T10"#), "{b}");
        launch(&db.url, &["check"], "").await.ok();
    }

    async fn rejected_lines_can_be_mended_and_imported(kind: Kind) {
        let db = Database::create(kind).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bad.jsonl").display().to_string();
        let bad = line("", json!({"priorty": 1}));
        let text = line("a", json!({})) + &bad + "no JSON\n" + &line("b", json!({}));
        let rejecting = ["import", "--rejects", &file];
        let ran = launch(&db.url, &rejecting, text.clone()).await;
        assert_eq!((ran.code, &*ran.stdout), (Some(8), "imported: 2 new, 0 replaced, 0 skipped\n"));
        assert!(ran.stderr.contains("2 bad lines went to ") && ran.stderr.contains("line 3: column 2: expected ident"), "{ran:?}");
        let rejected = std::fs::read_to_string(&file).unwrap();
        let expected = format!(
            "# line 2: order.priorty: unknown field; did you mean 'priority'?\n\
             # line 2: order.orderId: is empty\n{bad}# line 3: column 2: expected ident\nno JSON\n"
        );
        assert_eq!(rejected, expected);
        let again = launch(&db.url, &rejecting, text).await;
        assert!(again.failed().contains("is there already"), "{again:?}");
        let mended = rejected.replace("priorty", "priority").replace(r#""orderId":"""#, r#""orderId":"c""#)
            .replace("no JSON\n", "");
        launch(&db.url, &["import"], mended).await.ok();
        assert_eq!(db.count("SELECT count(*) FROM orders WHERE order_id = 'c' AND priority = 1").await, 1);

        // Where nothing is imported, no file is in the way of the next attempt.
        let unused = folder.path().join("unused.jsonl").display().to_string();
        let nothing = launch(&db.url, &["import", "--rejects", &unused], bad).await;
        assert!(nothing.failed().contains("nothing was imported"), "{nothing:?}");
        assert!(!std::path::Path::new(&unused).exists());

        // An order of a response becomes a line.
        let response = json!({"orders": [{"orderId": "x"}, {"orderId": "d", "workflowId":
            {"path": "/a/w", "versionId": "1"}, "state": {"_text": "RUNNING"}}]});
        let file = folder.path().join("more.jsonl").display().to_string();
        let ran = launch(&db.url, &["import", "--controller-id", "x", "--rejects", &file], format!("{response:#}")).await;
        assert_eq!(ran.stdout, "imported: 1 new, 0 replaced, 0 skipped\n", "{ran:?}");
        let rejected = std::fs::read_to_string(&file).unwrap();
        let last: Value = serde_json::from_str(rejected.lines().last().unwrap()).unwrap();
        assert_eq!(last, json!({"controllerId": "x", "order": {"orderId": "x"}}));
    }

    async fn tables_are_imported(kind: Kind) {
        let db = Database::create(kind).await;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let table = "\u{feff}JOBNAME;workflow_path;PRIO;DUE;NOTE;junk\n\
            #a;/a/w;5;2026-11-23T12:40:00Z;\"two\nlines; \"\"quoted\"\"\";x\n\n\
            b;/a/w;;1795437600000;;x\n";
        std::fs::write(path("jobs.csv"), table).unwrap();
        let file = path("jobs.csv");
        let options = ["import", &file, "--controller-id", CONTROLLER, "--delimiter", ";",
            "--map", "order_id=JOBNAME", "--map", "priority=PRIO", "--map", "scheduled_for=DUE",
            "--map", "arguments.note=NOTE", "--default", "state=SCHEDULED"];
        let unmapped = launch(&db.url, &options, "").await;
        assert!(unmapped.failed().contains("line 1: mapped to nothing: 'junk';"), "{unmapped:?}");
        let options = [&options[..], &["--ignore", "junk"]].concat();
        let missing = launch(&db.url, &options, "").await;
        assert!(missing.failed().contains("no column has workflow_version_id: --map"), "{missing:?}");
        let options = [&options[..], &["--default", "workflow_version_id=7"]].concat();
        assert_eq!(launch(&db.url, &options, "").await.ok(), "imported: 2 new, 0 replaced, 0 skipped\n");
        let exported = export(&db).await;
        for part in [r#""note":"two\nlines; \"quoted\"""#, r#""priority":5,"scheduledFor":"2026-11-23T12:40:00.000Z""#,
            r#""priority":0,"scheduledFor":"2026-11-23T12:40:00.000Z""#, r#""versionId":"7""#] {
            assert!(exported.contains(part), "{part}\n{exported}");
        }
        let dos = table.replace('\n', "\r\n").replace("b;/a/w;", "b;a/w;");
        let dos = launch(&db.url, &[&["import", "-", "--format", "csv"], &options[2..]].concat(), dos).await;
        assert!(dos.failed().contains("\n  line 5: workflow_path: 'a/w' is not"), "{dos:?}");
        // Faults name line and column; bad rows can be mended, too.
        let table = table.replace("b;/a/w;;1795437600000", "c;a/w;x;1795437600") + "d;/a/w\ne;/a/w;;;;\n";
        std::fs::write(&file, table).unwrap();
        let bad = launch(&db.url, &options, "").await;
        for part in ["line 5: workflow_path: 'a/w' is not", "line 5: PRIO (priority): is not a whole",
            "line 5: DUE (scheduledFor): 1795437600 looks like seconds", "line 6: has 2 cells, but there are 6"] {
            assert!(bad.failed().contains(part), "{part}\n{bad:?}");
        }
        let rejects = path("bad.csv");
        let ran = launch(&db.url, &[&options[..], &["--rejects", &rejects]].concat(), "").await;
        assert_eq!(ran.stdout, "imported: 1 new, 0 replaced, 1 skipped\n", "{ran:?}");
        let mended = std::fs::read_to_string(&rejects).unwrap();
        assert!(mended.starts_with("JOBNAME;workflow_path;PRIO;DUE;NOTE;junk;import_error\nc;a/w;"), "{mended}");
        let mended = mended.replace("c;a/w;x;1795437600;", "c;/a/w;1;1795437600000;");
        let mended: String = mended.lines().filter(|line| !line.starts_with("d;")).map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, mended).unwrap();
        assert_eq!(launch(&db.url, &options, "").await.ok(), "imported: 1 new, 0 replaced, 0 skipped\n");
    }

    async fn single_arguments_add_to_the_whole_in_any_order(kind: Kind) {
        let db = Database::create(kind).await;
        let import = ["import", "-", "--format", "csv", "--controller-id", CONTROLLER, "--default", "state=FRESH",
            "--default", "workflow_path=/w", "--default", "workflow_version_id=1"];
        let table = "order_id,arguments.x,arguments\na,1,\"{\"\"y\"\": 2}\"\nb,1,\nc,,\n";
        launch(&db.url, &import, table).await.ok();
        let exported = export(&db).await;
        assert!(exported.contains(r#""arguments":{"x":"1","y":2}"#), "{exported}");
        let twice = launch(&db.url, &import, table.replace("y", "x")).await;
        assert!(twice.failed().contains("\n  line 2: arguments.x: is given twice\n"), "{twice:?}");
    }

    async fn what_the_list_writes_is_read(kind: Kind) {
        let app = App::start(kind, &[]).await;
        let text = line("a", json!({"scheduledFor": "2027-01-01T00:00:00Z", "priority": 3})) + &line("b", json!({}));
        launch(&app.db.url, &["import"], text).await.ok();
        let all = app.post("/orders", &json!({"controllerId": CONTROLLER})).await.text;
        let target = Database::create(kind).await;
        let ran = launch(&target.url, &["import", "--controller-id", CONTROLLER], all).await;
        assert_eq!(ran.ok(), "imported: 2 new, 0 replaced, 0 skipped\n");
    }
}
