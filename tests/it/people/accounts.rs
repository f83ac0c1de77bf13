//! What the commands for accounts and roles print.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    App, CONTROLLER, Database, Order, Ran, launch, launch_command, program, words,
};

const CANCEL: &str = "sos:products:controller:orders:cancel";
const PASSWORD: &str = "op-password";

async fn tried(db: &Database, command: &str) -> Ran {
    launch(&db.url, &words(command), format!("{PASSWORD}\n")).await
}

/// What a successful change prints.
async fn said(db: &Database, command: &str) -> String {
    let ran = tried(db, command).await;
    assert_eq!(ran.stderr, "", "{command}");
    ran.ok().to_owned()
}

on_both! {
    async fn every_change_reports_what_it_did(kind: Kind) {
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

    async fn rejects_misspelt_permissions(kind: Kind) {
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
        // Permissions that only JOC uses can be granted too.
        for permission in ["sos:products:joc:dailyplan:manage", "sos:products:controller:agents"] {
            said(&db, &format!("role grant r {permission}")).await;
        }
    }

    async fn warns_of_controllers_and_folders_without_workflows(kind: Kind) {
        let db = Database::create(kind).await;
        db.insert(&[Order::new("a").workflow("/sos/billing/eod", "1")]).await;
        said(&db, "role add r").await;
        let ran = tried(&db, &format!("role grant r {CANCEL} --controller-id nosuch")).await;
        assert_eq!(ran.ok(), format!("granted {CANCEL} to r for controller nosuch\n"));
        assert_eq!(ran.stderr, "warning: there is no controller 'nosuch' yet\n");
        let ran = tried(&db, "role limit r --folder /nonexist --folder /sos").await;
        assert_eq!(ran.ok(), "limited role r to /nonexist, /sos (before: every folder)\n");
        assert_eq!(ran.stderr, "warning: no workflow is in /nonexist yet\n");
        // A folder that was already in the list gets no warning; one without workflows of its own
        // does.
        let ran = tried(&db, "role limit r --add-only /sos").await;
        ran.ok();
        assert_eq!(ran.stderr, "warning: no workflow is in /sos yet\n");
        assert_eq!(said(&db, "role list --output csv").await, format!(
            "role,permission,controller_id,folders\nall,sos:products,*,every folder\n\
             r,{CANCEL},nosuch,\"/nonexist, /sos only\"\n"));
    }

    async fn failures_state_the_cause(kind: Kind) {
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

    async fn prints_lists_in_every_format(kind: Kind) {
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

    async fn removing_an_account_keeps_its_audit_entries(kind: Kind) {
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

    async fn warns_when_the_last_account_with_every_permission_goes(kind: Kind) {
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
        // No such account is left to lose.
        said(&db, "role remove all").await;
    }
}
