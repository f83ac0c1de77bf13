//! What gets in the way of an archive: other programs, a full disk, other databases.

use std::process::Command;

use super::*;
use crate::harness::{Database, launch_command};

/// The program, whose files may not grow beyond some blocks of 512 bytes, as on a full disk.
fn on_a_full_disk(url: &str, args: &[&str]) -> Command {
    let program = program(url);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\""])
        .arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(args);
    command
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

on_both! {
    async fn a_full_disk_changes_nothing(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let ids: Vec<String> = (0..400).map(|i| format!("o{i}")).collect();
        app.db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        cancel(&app, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        seal(&app).await;
        let (folder, before) = (TempDir::new().unwrap(), now().await);
        let to = folder.path().join("1.gz");
        let archive_on_a_full_disk = async |command| {
            let args = [command, "archive", "--before", &before, "--to", to.to_str().unwrap()];
            let ran = launch_command(on_a_full_disk(&app.db.owner, &args), "").await;
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.stderr.contains("1.gz: File too large"), "{ran:?}");
            assert_eq!(files(folder.path()), [""; 0]);
        };
        archive_on_a_full_disk("audit").await;
        assert_eq!(app.db.count("SELECT count(*) FROM audit_log_details").await, 400);
        assert_eq!(verify(&app, &[]).await.ok(), "");
        // Without details, the orders may leave.
        archive(&app, &before, &to).await.ok();
        std::fs::remove_file(&to).unwrap();
        archive_on_a_full_disk("orders").await;
        assert_eq!(app.db.count("SELECT count(*) FROM orders").await, 400);
    }

    async fn requests_go_on_while_entries_are_archived(kind: Kind) {
        let (archived, before) = Archived::sealed(kind).await;
        let app = &archived.app;
        let ids: Vec<String> = (0..40).map(|i| format!("o{i}")).collect();
        app.db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        let requests = async {
            for id in &ids {
                cancel(app, &[id]).await;
                seal(app).await;
            }
        };
        let file = archived.file(1);
        let (ran, ()) = tokio::join!(archive(app, &before, &file), requests);
        ran.ok();
        assert_eq!(verify(app, &["--archive", file.to_str().unwrap()]).await.ok(), "");
        let cancelled = "SELECT count(*) FROM audit_log_details WHERE order_id LIKE 'o%'";
        assert_eq!(app.db.count(cancelled).await, 40);
        launch(&app.db.owner, &["check", "--strict"], "").await.ok();
    }

    async fn of_two_archives_at_once_one_counts(kind: Kind) {
        let (archived, before) = Archived::sealed(kind).await;
        let (app, one, two) = (&archived.app, archived.file(1), archived.file(2));
        let (first, second) = tokio::join!(archive(app, &before, &one), archive(app, &before, &two));
        let (won, lost, lost_file) = if first.success { (&one, second, &two) } else { (&two, first, &one) };
        // It saw that there is nothing left, or that the other was faster.
        assert!([Some(3), Some(4)].contains(&lost.code), "{lost:?}");
        assert!(!lost_file.exists());
        assert_eq!(files(archived.folder.path()).len(), 2);
        assert_eq!(verify(app, &["--archive", won.to_str().unwrap()]).await.ok(), "");
        assert_eq!(archived.rows().await, [2, 1, 2]);
    }

    async fn verifying_says_that_entries_were_archived_meanwhile(kind: Kind) {
        let (archived, before) = Archived::sealed(kind).await;
        let app = &archived.app;
        // What is found is the moment to archive.
        app.db.execute(&format!("{}UPDATE audit_logs SET comment = 'x' WHERE id = 4", unlock(kind))).await.unwrap();
        if kind == Kind::Sqlite {
            let guards = ["audit_logs", "audit_log_details", "audit_seals", "audit_cuts"].map(|table| format!(
                "CREATE TRIGGER {table}_refuse_delete BEFORE DELETE ON {table}
                 BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;"));
            app.db.execute(&guards.concat()).await.unwrap();
        }
        let to = archived.file(1);
        let mut ran = None;
        let due = joc_orders::store::seals::Due { within: chrono::TimeDelta::days(1), now: Utc::now(), live: true };
        let verified = app.store.verify(due, &mut |_| {
            ran.get_or_insert_with(|| {
                let mut command = program(&app.db.owner);
                command.args(["audit", "archive", "--before", &before, "--to"]).arg(&to);
                command.output().unwrap()
            });
        }).await;
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let error = verified.unwrap_err().to_string();
        assert!(error.contains("archived in the meantime"), "{error}");
    }

    async fn the_file_of_another_database_is_none(kind: Kind) {
        let (one, other) = (Archived::new(kind).await, Archived::new(kind).await);
        let file = other.file(1);
        let args = ["--archive", file.to_str().unwrap()];
        let found = findings(&one, &args).await;
        assert!(found.iter().any(|line| line.contains("it was changed: it ends with another seal")), "{found:?}");
        let empty = App::today(kind, &[]).await;
        let ran = verify(&empty, &args).await;
        assert!(ran.stdout.contains("no cut of this database names this file"), "{ran:?}");
        // One without entries, which `audit archive` never writes.
        other.write("{\"archive\":{\"format\":1,\"before\":\"x\",\"created\":\"x\"}}\n\
            {\"end\":{\"seals\":0,\"entries\":0,\"details\":0}}\n");
        let ran = verify(&empty, &args).await;
        assert!(ran.stdout.contains("no cut of this database names this file"), "{ran:?}");
    }

    async fn a_copy_keeps_the_cuts(kind: Kind) {
        let archived = Archived::new(kind).await;
        let file = archived.file(1);
        for to in [Kind::Sqlite, Kind::Postgres] {
            let target = Database::create(to).await;
            launch("", &["copy", "--from", &archived.app.db.owner, "--to", &target.owner], "").await.ok();
            let args = ["audit", "verify", "--archive", file.to_str().unwrap()];
            assert_eq!(launch(&target.owner, &args, "").await.ok(), "");
            let rest = archived.folder.path().join(format!("{to:?}.gz"));
            let args = ["audit", "archive", "--before", &now().await, "--to", rest.to_str().unwrap()];
            launch(&target.owner, &args, "").await.ok();
            let both = ["audit", "verify", "--archive", file.to_str().unwrap(), rest.to_str().unwrap()];
            assert_eq!(launch(&target.owner, &both, "").await.ok(), "");
            launch(&target.owner, &["check"], "").await.ok();
        }
    }
}
