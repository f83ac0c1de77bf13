//! What may be wrong with runs, and what refuses it.

use super::*;
use crate::harness::Kind;

const COLUMNS: &str = "controller_id, order_id, run, agent, started, lease_until, ended, failure";
const THEN: &str = "'2026-11-23T12:34:56.789Z'";

on_both! {
    async fn the_database_refuses_wrong_runs(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[due("order").state("RUNNING")]).await;
        let add = async |values: &str| {
            app.db.execute(&format!("INSERT INTO order_runs ({COLUMNS}) VALUES ('prod', {values})")).await
        };
        for values in [
            format!("'none', 1, 'a', {THEN}, {THEN}, NULL, NULL"),
            format!("'order', 1, 'a', {THEN}, NULL, NULL, NULL"),
            format!("'order', 1, 'a', {THEN}, {THEN}, {THEN}, NULL"),
            format!("'order', 1, 'a', {THEN}, {THEN}, NULL, 'KILLED'"),
            format!("'order', 1, 'a', {THEN}, NULL, {THEN}, 'killed'"),
            format!("'order', 0, 'a', {THEN}, {THEN}, NULL, NULL"),
        ] {
            add(&values).await.unwrap_err();
        }
        add(&format!("'order', 1, 'a', {THEN}, {THEN}, NULL, NULL")).await.unwrap();
        add(&format!("'order', 2, 'b', {THEN}, {THEN}, NULL, NULL")).await.unwrap_err();
        add(&format!("'order', 2, 'b', {THEN}, NULL, {THEN}, NULL")).await.unwrap();
    }

    async fn check_reports_wrong_runs(kind: Kind) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&[due("fresh"), due("running").state("RUNNING")]).await;
        let off = match kind {
            Kind::Sqlite => "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;",
            Kind::Postgres => "ALTER TABLE order_runs DROP CONSTRAINT order_runs_living_has_lease,
                    DROP CONSTRAINT order_runs_living_has_no_result,
                    DROP CONSTRAINT order_runs_lease_until;
                SET session_replication_role = replica;",
        };
        let high = if kind == Kind::Sqlite { "soon" } else { "infinity" };
        let mut connection = app.db.lock(off).await;
        connection.execute(&format!("INSERT INTO order_runs ({COLUMNS}) VALUES
            ('prod', 'none', 3, 'a', {THEN}, NULL, {THEN}, NULL),
            ('prod', 'fresh', 1, 'a', {THEN}, {THEN}, NULL, NULL),
            ('prod', 'running', 1, 'a', {THEN}, {THEN}, {THEN}, NULL),
            ('prod', 'running', 2, 'a', {THEN}, '{high}', NULL, 'KILLED')")).await;
        let check = async |flag: &[&str]| {
            let ran = launch(&app.db.url, &[&["check"], flag].concat(), "").await;
            let mut lines: Vec<String> = ran.stdout.lines().map(Into::into).collect();
            lines.retain(|line| line.contains("run "));
            lines.sort();
            lines
        };
        let mut faults = vec![
            "prod, order none: there is no order for run 3".to_owned(),
            "prod, order running: run 1: it breaks order_runs_living_has_lease".into(),
            format!("prod, order running: run 2: lease_until is not a valid instant: {high}"),
            "prod, order running: run 2: it breaks order_runs_living_has_no_result".into(),
        ];
        faults.sort();
        assert_eq!(check(&[]).await, faults);
        faults.push("prod, order fresh: run 1 has not ended, and the order is FRESH".into());
        faults.sort();
        assert_eq!(check(&["--strict"]).await, faults);
    }
}
