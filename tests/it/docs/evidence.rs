//! The queries of docs/schema.md about what DBAs look for in the audit trail.

use chrono::{DateTime, Local, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use serde_json::json;

use super::{INVOICES, SCHEMA, block, invoices, query, set};
use crate::harness::{App, CONTROLLER, Database, Kind, Order};

/// The request id of the example.
const REQUEST: &str = "3f0c8a52-6f0b-4c7e-9d2a-1b7e5c9f0a34";

fn written(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An entry of another account, and its one detail for an order of this folder, written in SQL.
async fn enter(db: &Database, folder: &str, created: DateTime<Utc>) {
    let sql = format!(
        "INSERT INTO audit_logs (controller_id, account, request, parameters, outcome, affected,
            request_id, created)
         VALUES ('prod', 'other', './orders/suspend', '{{}}', 'DONE', 1, 'r', '{0}');
         INSERT INTO audit_log_details (controller_id, audit_log_id, order_id, workflow_path,
            workflow_version_id, folder, previous_state, new_state, created)
         SELECT 'prod', max(id), 'gone', '{folder}/w', '1', '{folder}', 'PENDING', 'SUSPENDED', '{0}'
         FROM audit_logs",
        written(created)
    );
    db.execute(&sql).await.unwrap();
}

on_both! {
    async fn queries_for_evidence_return_the_documented_rows(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        db.insert(&[
            invoices(),
            Order::new("running").workflow("/sos/billing/night/eod", "1").state("RUNNING"),
            Order::new("imported").state("INPROGRESS").mark("CANCELLING"),
            Order::new("outside").workflow("/sos/billing0/eod", "1"),
        ])
        .await;
        let body = json!({"controllerId": CONTROLLER, "orderIds": [INVOICES]}).to_string();
        let request = app.client.post(format!("{}/orders/cancel", app.url)).body(body);
        let request = request.header("X-Access-Token", &app.token).header("X-Request-Id", REQUEST);
        assert_eq!(request.send().await.unwrap().status(), 200);
        let why = json!({"comment": "stuck"});
        let running = json!({"orderIds": ["running"], "auditLog": why});
        assert_eq!(app.cancel(running).await.affected(), 1);
        let kill = json!({"orderIds": ["running"], "kill": true});
        assert_eq!(app.cancel(kill).await.affected(), 1);
        assert_eq!(app.cancel(json!({"orderIds": ["outside"]})).await.affected(), 1);

        let rows = query(db, "Entries by request id", "audit_log_id account request outcome affected").await;
        assert_eq!(rows, ["1 root ./orders/cancel DONE 1"]);

        let columns = "order_id requests cancelled marked killed last_audit_log_id";
        let rows = query(db, "Orders cancelled more than once", columns).await;
        assert_eq!(rows, ["running 2 0 2 1 3"]);

        let columns = "order_id effective_state requests audit_log_id account comment";
        let section = "Orders still CANCELLING, and since when";
        let mut rows = query(db, section, columns).await;
        rows.sort();
        assert_eq!(rows, ["imported INPROGRESS 0 - - -", "running RUNNING 2 2 root stuck"]);
        let since = query(db, section, "since").await;
        assert_eq!(since.iter().filter(|since| since.starts_with("20")).count(), 1);

        let section = "Orders changed after their last audit entry";
        let later = written(Utc::now() + TimeDelta::minutes(1));
        set(db, "running", &format!("state = 'INPROGRESS', modified = '{later}'")).await;
        set(db, "imported", &format!("modified = '{later}'")).await;
        let columns = "order_id effective_state audit_log_id account request recorded_state";
        let rows = query(db, section, columns).await;
        assert_eq!(rows, ["running INPROGRESS 3 root ./orders/cancel RUNNING"]);

        let viewer = app.account("viewer", "sos:products:controller:orders:view", &[]).await;
        let body = json!({"controllerId": CONTROLLER, "orderIds": ["running"]}).to_string();
        for _ in 0..2 {
            let denied = app.post_as(&viewer, "/orders/cancel", body.clone()).await;
            assert_eq!(denied.status, 403);
        }
        assert_eq!(app.try_login("root", "wrong").await.status, 401);
        let section = "Denied attempts by account and address";
        let rows = query(db, section, "account client_address attempts logins").await;
        assert_eq!(rows, ["viewer 127.0.0.1 2 0", "root 127.0.0.1 1 1"]);

        // The last minutes of a day in UTC, which are on the next one in Berlin.
        let late = (Utc::now() - TimeDelta::days(2)).date_naive().and_hms_opt(23, 30, 0).unwrap();
        enter(db, "/sos/billing/night", late.and_utc()).await;
        let month = Utc::now() - TimeDelta::days(32);
        enter(db, "/sos/billing", month).await;
        let day = match kind {
            Kind::Postgres => late.and_utc().with_timezone(&Berlin).date_naive(),
            Kind::Sqlite => late.and_utc().with_timezone(&Local).date_naive(),
        };
        let section = "Entries per account and day in a time zone";
        let mut rows = query(db, section, "account entries affected found_none outside denied").await;
        rows.sort();
        assert_eq!(rows, ["other 1 1 0 0 0", "root 5 4 0 0 1", "viewer 2 0 0 0 2"]);
        let days = query(db, section, "day account").await;
        assert_eq!(days.last().unwrap(), &format!("{day} other"));

        let columns = "audit_log_id account request order_id new_state mark kill";
        let rows = query(db, "A folder's history", columns).await;
        let first = format!("1 root ./orders/cancel {INVOICES} CANCELLED - f");
        assert_eq!(rows, [
            "8 other ./orders/suspend gone SUSPENDED - f",
            "3 root ./orders/cancel running RUNNING CANCELLING t",
            "2 root ./orders/cancel running RUNNING CANCELLING f",
            &first,
        ]);
    }

    async fn queries_written_for_js7_run_on_its_views(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let db = &app.db;
        db.insert(&[invoices()]).await;
        let why = json!({"comment": "billing is down", "timeSpent": 5, "ticketLink": "T-1"});
        let cancel = json!({"orderIds": [INVOICES], "auditLog": why});
        assert_eq!(app.cancel(cancel).await.affected(), 1);
        assert_eq!(app.try_login("root", "wrong").await.status, 401);

        let entries = "SELECT \"ID\", \"CONTROLLER_ID\", \"ACCOUNT\", \"REQUEST\", \"CATEGORY\", \
            \"COMMENT\", \"TICKET_LINK\", \"TIME_SPENT\" FROM JOC_AUDIT_LOG ORDER BY \"ID\"";
        let shown = |rows: Vec<Vec<Option<String>>>| {
            let text = |row: Vec<Option<String>>| {
                row.into_iter().map(|v| v.unwrap_or("-".into())).collect::<Vec<_>>().join(" ")
            };
            rows.into_iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(shown(db.rows(entries).await.unwrap()), [
            "1 prod root ./orders/cancel 2 billing is down T-1 5",
            "2 - root ./authentication/login 11 - - -",
        ]);
        let details = "SELECT \"AUDITLOG_ID\", \"TYPE\", \"PATH\", \"NAME\", \"ORDER_ID\", \"FOLDER\" \
            FROM JOC_AUDIT_LOG_DETAILS";
        assert_eq!(shown(db.rows(details).await.unwrap()), [
            format!("1 99 /sos/billing/eod eod {INVOICES} /sos/billing")
        ]);
        let parameters = "SELECT \"PARAMETERS\" FROM JOC_AUDIT_LOG WHERE \"ID\" = 1";
        let parameters = shown(db.rows(parameters).await.unwrap());
        let parameters: serde_json::Value = serde_json::from_str(&parameters[0]).unwrap();
        assert_eq!(parameters["orderIds"], json!([INVOICES]));
        let now = Utc::now().format("%Y-%m-%d %H").to_string();
        for view in ["JOC_AUDIT_LOG", "JOC_AUDIT_LOG_DETAILS"] {
            let created = format!("SELECT \"CREATED\" FROM {view}");
            let created = shown(db.rows(&created).await.unwrap());
            let before = (Utc::now() - TimeDelta::hours(1)).format("%Y-%m-%d %H").to_string();
            assert!(created[0].starts_with(&now) || created[0].starts_with(&before), "{created:?}");
        }

        let example = block(SCHEMA, kind, "A query written for JS7");
        assert_eq!(db.columns(&example.sql).await.unwrap(), example.columns);
        let rows = shown(db.rows(&example.sql).await.unwrap());
        assert_eq!(rows.len(), 1);
        assert!(rows[0].ends_with(&format!(" root billing is down /sos/billing/eod {INVOICES}")), "{rows:?}");
    }
}
