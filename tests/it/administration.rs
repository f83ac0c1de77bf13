//! What the command line changes is in the audit trail, in the transaction of the change.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{
    App, CONTROLLER, Database, Kind, Order, Ran, latest, launch_command, program, until, words,
};

const CANCEL: &str = "sos:products:controller:orders:cancel";
const PASSWORD: &str = "op-password";
/// The newest migration before this one.
const BEFORE: i64 = 8;

async fn tried(db: &Database, command: &str, stdin: impl Into<Vec<u8>>) -> Ran {
    let mut run = program(&db.url);
    run.args(words(command)).env_remove("SUDO_USER");
    launch_command(run, stdin).await
}

/// The account of whoever runs the tests.
fn user() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    format!("os:{}", String::from_utf8(id.stdout).unwrap().trim())
}

async fn entries(db: &Database) -> i64 {
    db.count("SELECT count(*) FROM audit_logs").await
}

/// The newest entry, without its id, instant and parameters, and its parameters.
async fn newest(db: &Database) -> (String, Value) {
    let sql = "SELECT controller_id, account, request, category, outcome, affected, client_address,
                   parameters FROM audit_logs ORDER BY id DESC LIMIT 1";
    let mut row = db.rows(sql).await.unwrap().remove(0);
    let parameters = serde_json::from_str(&row.pop().unwrap().unwrap()).unwrap();
    let row: Vec<_> = row.into_iter().map(|value| value.unwrap_or_else(|| "none".into())).collect();
    (row.join(" "), parameters)
}

/// What the trail says of a command.
fn said(controller: &str, request: &str, category: &str) -> String {
    format!("{controller} {} joc-orders {request} {category} DONE 0 none", user())
}

on_both! {
    async fn changes_of_accounts_and_roles_are_recorded(kind: Kind) {
        let db = Database::create(kind).await;
        let folder = |folder: &str, recursive: bool| json!({"folder": folder, "recursive": recursive});
        let grant = json!({"role": "r", "permission": CANCEL, "controllerId": CONTROLLER});
        let everywhere = json!({"role": "r", "permission": CANCEL, "controllerId": "*"});
        let both = json!({"role": "r", "account": "anna"});
        for (count, (command, controller, parameters)) in (1..).zip([
            ("role add r", "-", json!({"role": "r"})),
            (&format!("role grant r {CANCEL} --controller-id {CONTROLLER}")[..], CONTROLLER, grant.clone()),
            (&format!("role grant r {CANCEL}"), "-", everywhere.clone()),
            (&format!("role revoke r {CANCEL}"), "-", everywhere),
            (&format!("role revoke r {CANCEL} --controller-id {CONTROLLER}"), CONTROLLER, grant),
            ("role limit r --folder /a --only-folder /b", "-",
             json!({"role": "r", "before": [], "folders": [folder("/a", true), folder("/b", false)]})),
            ("role limit r --remove /a", "-", json!({"role": "r", "folders": [folder("/b", false)],
             "before": [folder("/a", true), folder("/b", false)]})),
            ("account add anna --role r --role all --role r", "-", json!({"account": "anna", "roles": ["r", "all"]})),
            ("account passwd anna", "-", json!({"account": "anna"})),
            ("account disable anna", "-", json!({"account": "anna"})),
            ("account enable anna", "-", json!({"account": "anna"})),
            ("role unassign r anna", "-", both.clone()),
            ("role assign r anna", "-", both),
            ("role remove r", "-", json!({"role": "r", "accounts": ["anna"]})),
            ("account remove anna", "-", json!({"account": "anna", "roles": ["all"]})),
        ]) {
            tried(&db, command, format!("{PASSWORD}\n")).await.ok();
            let request = words(command)[..2].join(" ");
            assert_eq!(newest(&db).await, (said(controller, &request, "IDENTITY"), parameters));
            assert_eq!(entries(&db).await, count, "{command}");
        }
        let secrets = format!("SELECT count(*) FROM audit_logs WHERE CAST(parameters AS text)
            LIKE '%{PASSWORD}%' OR CAST(parameters AS text) LIKE '%argon2%'");
        assert_eq!(db.count(&secrets).await, 0);
        tried(&db, "check --strict", "").await.ok();
    }

    async fn a_change_that_fails_or_a_list_is_not_recorded(kind: Kind) {
        let db = Database::create(kind).await;
        tried(&db, "account add anna", format!("{PASSWORD}\n")).await.ok();
        for command in [
            "account add anna", "account add otto --role nobody", "account passwd nobody",
            "account disable nobody", "account remove nobody", "role add all", "role remove nobody",
            "role assign nobody anna", "role assign all nobody", "role unassign all anna",
            "role grant all sos:products", "role revoke all sos:products:joc",
            "role limit nobody --none", "role limit all --remove /a",
        ] {
            assert!(!tried(&db, command, format!("{PASSWORD}\n")).await.success, "{command}");
        }
        for command in ["account list", "role list", "migrate --status", "migrate", "check"] {
            tried(&db, command, "").await.ok();
        }
        assert_eq!(entries(&db).await, 1);
    }

    async fn who_is_behind_sudo_is_a_hint(kind: Kind) {
        let db = Database::create(kind).await;
        let mut run = program(&db.url);
        run.args(["role", "add", "r"]).env("SUDO_USER", "x\"'\u{1b}[31m".repeat(100));
        launch_command(run, "").await.ok();
        let (entry, parameters) = newest(&db).await;
        assert_eq!(entry, said("-", "role add", "IDENTITY"));
        let hint = parameters["sudoUser"].as_str().unwrap();
        assert!(hint.starts_with("x\"'\u{1b}[31m") && hint.len() == 255, "{hint}");
    }

    async fn imports_are_recorded_with_their_file(kind: Kind) {
        let db = Database::create(kind).await;
        let line = |controller: &str, id: &str, state: &str| {
            json!({"controllerId": controller, "order": {"orderId": id, "state": {"_text": state},
                "workflowId": {"path": "/a", "versionId": "1"}}})
        };
        let text = format!("{}\n{}\n", line(CONTROLLER, "a", "PENDING"), line(CONTROLLER, "b", "FINISHED"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let path = file.path().to_str().unwrap();
        let hash = Command::new("sha256sum").arg(path).output().unwrap();
        let hash = String::from_utf8(hash.stdout).unwrap()[..64].to_owned();
        let parameters = |counts: [u64; 4], replace: bool, controllers: &[&str]| {
            json!({"file": path, "sha256": hash, "bytes": text.len(), "replace": replace,
                "inserted": counts[0], "replaced": counts[1], "unchanged": counts[3],
                "skipped": counts[2], "rejected": 0,
                "controllers": controllers})
        };
        for (command, counts) in [
            (format!("import {path}"), [2, 0, 0, 0]),
            (format!("import {path}"), [0, 0, 2, 0]),
            (format!("import --replace {path}"), [0, 0, 1, 1]),
        ] {
            tried(&db, &command, "").await.ok();
            let expected = parameters(counts, command.contains("replace"), &[CONTROLLER]);
            assert_eq!(newest(&db).await, (said(CONTROLLER, "import", "IMPORT"), expected));
        }
        // Several controllers, from standard input.
        tried(&db, "import", format!("{}\n{}\n", line("x", "a", "PENDING"), line("y", "a", "PENDING"))).await.ok();
        let (entry, parameters) = newest(&db).await;
        assert_eq!(entry, said("-", "import", "IMPORT"));
        assert_eq!((&parameters["file"], &parameters["controllers"]), (&json!("-"), &json!(["x", "y"])));
        assert_eq!(entries(&db).await, 4);
        // What imports nothing is not recorded.
        assert!(!tried(&db, "import", format!("{}\n{{\n", line("z", "a", "PENDING"))).await.success);
        tried(&db, "import", "").await.ok();
        assert_eq!(entries(&db).await, 4);
    }

    async fn migrations_are_recorded_and_the_trail_survives_them(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[Order::new("a"), Order::new("b")]).await;
        let db = &app.db.share().into_owner();
        app.cancel(json!({"orderIds": ["a"]})).await.ok();
        tried(db, "role add r", "").await.ok();
        app.store.seal(chrono::Utc::now()).await.unwrap();
        app.store.close().await;
        tried(db, "audit verify", "").await.ok();
        let trail = "SELECT id, controller_id, account, request, category, outcome, affected
                     FROM audit_logs ORDER BY id";
        let before = db.rows(trail).await.unwrap();
        let schema = async || {
            let mut parts = joc_orders::store::schema(&db.url).await.unwrap();
            parts.sort_by_key(|part| format!("{part:?}"));
            parts
        };
        let at_first = schema().await;
        let down = format!("migrate --to {BEFORE} --yes --drop-audit-trail");
        tried(db, &down, "").await.ok();
        let (entry, parameters) = newest(db).await;
        assert_eq!(entry, said("-", "migrate", "OTHERS"));
        assert_eq!(parameters, json!({"from": latest(), "to": BEFORE}));
        // An older release takes what it knows, and nothing else.
        let insert = |category: &str, outcome: &str| format!(
            "INSERT INTO audit_logs (controller_id, account, request, parameters, category, outcome,
                 request_id) VALUES ('-', 'a', 'b', '{{}}', '{category}', '{outcome}', 'r')");
        for (category, outcome) in
            [("IMPORT", "DENIED"), ("OTHERS", "DENIED"), ("IDENTITY", "DONE"), ("CONTROLLER", "OUTSIDE")]
        {
            db.execute(&insert(category, outcome)).await.unwrap_err();
        }
        db.execute("DELETE FROM audit_logs").await.unwrap_err();
        tried(db, "migrate", "").await.ok();
        assert_eq!(newest(db).await.1, json!({"from": BEFORE, "to": latest()}));
        assert_eq!(schema().await, at_first);
        let after = db.rows(trail).await.unwrap();
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.len(), before.len() + 2);
        db.execute(&insert("CONTROLLER", "DONE")).await.unwrap_err();
        for (category, outcome) in [("CONTROLLER", "OUTSIDE"), ("IMPORT", "DONE")] {
            db.execute(&insert(category, outcome)).await.unwrap();
        }
        // What went before is lost, and a seal covers it.
        let verified = tried(db, "audit verify", "").await;
        assert_eq!(verified.stdout, "prod, seal 1, audit log 1, order a: the detail was changed\n");
        tried(db, "check --strict", "").await.ok();
        // A change that the trail does not take does not happen.
        let refuse = match kind {
            Kind::Sqlite => "CREATE TRIGGER full BEFORE INSERT ON audit_logs
                BEGIN SELECT RAISE(ABORT, 'the trail is full'); END",
            Kind::Postgres => "CREATE TRIGGER full_trail BEFORE INSERT ON audit_logs
                FOR EACH ROW EXECUTE FUNCTION refuse_change('the trail is full')",
        };
        db.execute(refuse).await.unwrap();
        let roles = "SELECT role FROM roles ORDER BY role";
        let before = db.rows(roles).await.unwrap();
        for command in ["role add s", "role remove r", "account remove root"] {
            assert!(tried(db, command, "").await.failed().contains("the trail is full"));
        }
        assert_eq!(db.rows(roles).await.unwrap(), before);
    }

    async fn a_new_database_begins_with_its_root_account(kind: Kind) {
        let db = Database::create(kind).await;
        let mut serve = program(&db.url);
        serve.args(["serve", "--listen", "127.0.0.1:0"]).env_remove("SUDO_USER");
        let mut serve = serve.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null())
            .env("JOC_ORDERS_ROOT_PASSWORD", PASSWORD).spawn().unwrap();
        until("root", async || entries(&db).await > 0).await;
        serve.kill().unwrap();
        serve.wait().unwrap();
        let parameters = json!({"account": "root", "roles": ["all"]});
        assert_eq!(newest(&db).await, (said("-", "serve", "IDENTITY"), parameters));
    }
}
