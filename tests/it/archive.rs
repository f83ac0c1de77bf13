//! `audit archive`: what is archived can be verified with what is left, and neither a change of the
//! file, nor of the cut, nor of what is left goes unnoticed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{App, CONTROLLER, Kind, Order, Ran, launch, program};
use crate::seals::unlock;

mod trouble;

/// An app whose trail was archived.
struct Archived {
    app: App,
    folder: TempDir,
    /// The seals before.
    kept: PathBuf,
}

async fn cancel(app: &App, ids: &[&str]) {
    app.cancel(json!({"orderIds": ids, "auditLog": {"comment": "why"}})).await.ok();
}

async fn seal(app: &App) -> u64 {
    app.store.seal(Utc::now()).await.unwrap()
}

/// An instant after all that was done, and before what follows.
async fn now() -> String {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    tokio::time::sleep(Duration::from_millis(5)).await;
    now
}

async fn archive(app: &App, before: &str, to: &Path) -> Ran {
    let to = to.to_str().unwrap();
    launch(&app.db.owner, &["audit", "archive", "--before", before, "--to", to], "").await
}

async fn verify(app: &App, args: &[&str]) -> Ran {
    launch(&app.db.owner, &[&["audit", "verify"], args].concat(), "").await
}

/// What `audit verify` finds with the first archive, without the name of the folder.
async fn findings(archived: &Archived, args: &[&str]) -> Vec<String> {
    let ran = verify(&archived.app, args).await;
    let folder = format!("{}/", archived.folder.path().display());
    assert_eq!(ran.code == Some(8), !ran.stdout.is_empty(), "{ran:?}");
    ran.stdout.lines().map(|line| line.replace(&folder, "")).collect()
}

impl Archived {
    /// Two seals of a controller and one of a rejected login are archived, one more is left.
    async fn new(kind: Kind) -> Self {
        let (this, before) = Self::sealed(kind).await;
        let ran = archive(&this.app, &before, &this.file(1)).await;
        let expected = format!(
            "archived: 3 entries, 3 details, 3 seals of 2 chains to {}\nSHA-256: ",
            this.file(1).display()
        );
        assert!(ran.ok().starts_with(&expected), "{ran:?}");
        this
    }

    /// The same before it is archived, and until when.
    async fn sealed(kind: Kind) -> (Self, String) {
        let app = App::today(kind, &[]).await;
        app.db.insert(&["a1", "a2", "b", "c", "d"].map(Order::new)).await;
        cancel(&app, &["a1", "a2"]).await;
        assert_eq!(seal(&app).await, 1);
        cancel(&app, &["b"]).await;
        assert_eq!(app.try_login("nobody", "wrong").await.status, 401);
        assert_eq!(seal(&app).await, 2);
        let before = now().await;
        cancel(&app, &["c"]).await;
        assert_eq!(seal(&app).await, 1);
        let folder = TempDir::new().unwrap();
        let kept = folder.path().join("kept.jsonl");
        let seals = launch(&app.db.url, &["audit", "seals"], "").await;
        std::fs::write(&kept, seals.ok()).unwrap();
        (Self { app, folder, kept }, before)
    }

    fn file(&self, number: u32) -> PathBuf {
        self.folder.path().join(format!("{number}.gz"))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(self.file(1)).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    fn write(&self, text: &str) {
        let mut file = GzEncoder::new(Vec::new(), flate2::Compression::default());
        file.write_all(text.as_bytes()).unwrap();
        std::fs::write(self.file(1), file.finish().unwrap()).unwrap();
    }

    async fn rows(&self) -> [i64; 3] {
        let db = &self.app.db;
        let of = async |table| db.count(&format!("SELECT count(*) FROM {table}")).await;
        [of("audit_logs").await, of("audit_log_details").await, of("audit_cuts").await]
    }
}

on_both! {
    async fn what_is_archived_and_what_is_left_can_be_verified(kind: Kind) {
        let archived = Archived::new(kind).await;
        let (file, kept) = (archived.file(1), archived.kept.clone());
        let (file, kept) = (file.to_str().unwrap(), kept.to_str().unwrap());
        // One cancel is left, and the entry of the archiving.
        assert_eq!(archived.rows().await, [2, 1, 2]);
        for args in [
            &[][..],
            &["--archive", file],
            &["--archive", file, "--seals", kept],
            &["--unsealed", "60", "--archive", file],
        ] {
            let ran = verify(&archived.app, args).await;
            assert_eq!((ran.ok(), args.contains(&"--archive")),
                ("", ran.stderr.contains("3 archived entries, 3 archived details, 3 archived seals")));
        }
        // Without the file, a kept seal proves nothing.
        assert_eq!(findings(&archived, &["--seals", kept]).await, [format!(
            "{CONTROLLER}, seal 1: the seal that was kept is archived, in no file that --archive names")]);
        launch(&archived.app.db.owner, &["check", "--strict"], "").await.ok();

        let text = archived.text();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["archive"]["format"], 1);
        assert_eq!(lines.last().unwrap(), &json!({"end": {"seals": 3, "entries": 3, "details": 3}}));
        let kinds: Vec<_> = lines.iter().map(|line| &**line.as_object().unwrap().keys().next().unwrap()).collect();
        assert_eq!(kinds, ["archive", "seal", "entry", "seal", "entry", "detail", "detail", "seal",
            "entry", "detail", "end"]);
        let recorded = archived.app.db.rows("SELECT category, request, CAST(parameters AS TEXT) FROM audit_logs
            WHERE controller_id = '-'").await.unwrap();
        assert_eq!(recorded[0][0].as_deref(), Some("OTHERS"));
        assert_eq!(recorded[0][1].as_deref(), Some("joc-orders audit archive"));
        let parameters: Value = serde_json::from_str(recorded[0][2].as_deref().unwrap()).unwrap();
        assert_eq!((&parameters["entries"], &parameters["details"], &parameters["file"]),
            (&json!(3), &json!(3), &json!(file)));
        assert_eq!(parameters["controllers"][1]["controllerId"], CONTROLLER);
    }

    async fn archives_follow_each_other(kind: Kind) {
        let archived = Archived::new(kind).await;
        let app = &archived.app;
        assert_eq!(seal(app).await, 1);
        let before = now().await;
        cancel(app, &["d"]).await;
        archive(app, &before, &archived.file(2)).await.ok();
        assert_eq!(archived.rows().await, [2, 1, 4]);
        // Nothing is sealed since.
        let ran = archive(app, &now().await, &archived.file(3)).await;
        assert_eq!((ran.code, archived.file(3).exists()), (Some(3), false));
        assert!(ran.failed().contains("nothing was archived"), "{ran:?}");
        seal(app).await;
        archive(app, &now().await, &archived.file(3)).await.ok();
        assert_eq!(archived.rows().await, [1, 0, 6]);

        let files: Vec<_> = [3, 1, 2].map(|n| archived.file(n).to_str().unwrap().to_owned()).into();
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let kept = archived.kept.to_str().unwrap();
        let all = [&["--archive"], &files[..], &["--seals", kept]].concat();
        assert_eq!(findings(&archived, &all).await, [""; 0]);
        let found = findings(&archived, &["--archive", files[1], files[0]]).await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|line| line.contains("the archive of the cut was not given: 2.gz, SHA-256")), "{found:?}");
        let strict = launch(&app.db.owner, &["check", "--strict"], "").await;
        strict.ok();
        // Sealing goes on behind the cut.
        assert_eq!(seal(app).await, 1);
        assert_eq!(verify(app, &["--unsealed", "0"]).await.ok(), "");
    }

    async fn a_change_of_the_file_is_found(kind: Kind) {
        let archived = Archived::new(kind).await;
        let original = std::fs::read(archived.file(1)).unwrap();
        let text = archived.text();
        let file = archived.file(1);
        let args = ["--archive", file.to_str().unwrap()];
        for (old, new) in [("\"why\"", "\"because\""), ("\"orderId\":\"a1\"", "\"orderId\":\"a9\""),
            ("RUNNING", "FINISHED"), ("\"entries\":1", "\"entries\":2"), ("nobody", "somebody")] {
            if text.contains(old) {
                archived.write(&text.replacen(old, new, 1));
                assert!(!findings(&archived, &args).await.is_empty(), "{old}");
            }
        }
        let without_line = |n: usize| -> String {
            text.lines().enumerate().filter(|(i, _)| *i != n).map(|(_, line)| format!("{line}\n")).collect()
        };
        for n in 0..text.lines().count() {
            archived.write(&without_line(n));
            assert!(!findings(&archived, &args).await.is_empty(), "without line {n}");
        }
        // The same rows in other bytes.
        archived.write(&format!("{} ", text.trim_end()));
        assert_eq!(findings(&archived, &args).await, [
            "-, seal 1: 1.gz: it was changed: its SHA-256 is not that of the cut",
            "prod, seal 2: 1.gz: it was changed: its SHA-256 is not that of the cut"]);
        for bytes in [&original[..original.len() / 2], b"", b"{}", &[&original[..], b"x"].concat()] {
            std::fs::write(&file, bytes).unwrap();
            let found = findings(&archived, &args).await;
            assert!(found[0].starts_with("1.gz: it was changed: "), "{found:?}");
        }
        std::fs::write(&file, &original).unwrap();
        assert_eq!(findings(&archived, &args).await, [""; 0]);
        for missing in ["/no/such/file", "/tmp"] {
            let ran = verify(&archived.app, &["--archive", missing]).await;
            assert_eq!(ran.code, Some(2), "{ran:?}");
        }
    }

    async fn a_change_of_the_cut_is_found(kind: Kind) {
        let other = Archived::new(kind).await;
        let insert = "INSERT INTO audit_cuts (controller_id, number, last_seal, last_id, seal_hash, seals,
            entries, details, last_created, file, file_sha256, previous_hash, hash, audit_log_id, created)
            SELECT controller_id, 2, 3, 4, (SELECT hash FROM audit_seals s WHERE s.controller_id = c.controller_id
                AND s.number = 3), 1, 1, 1, last_created, file, file_sha256, hash, hash, audit_log_id, created
            FROM audit_cuts c WHERE controller_id = 'prod'";
        let cases = [
            ("UPDATE audit_cuts SET file_sha256 = previous_hash WHERE controller_id = 'prod'", "the cut was changed"),
            ("UPDATE audit_cuts SET last_id = 99 WHERE controller_id = 'prod'", "the cut was changed"),
            ("UPDATE audit_cuts SET hash = seal_hash", "the cut was changed"),
            ("DELETE FROM audit_cuts WHERE controller_id = '-'", "one was added, changed or removed"),
            ("DELETE FROM audit_cuts", "prod, seal 1: the seal was removed"),
            ("DELETE FROM audit_logs WHERE controller_id = '-'", "entries were removed without `audit archive`"),
            ("DELETE FROM audit_seals WHERE number = 2", "prod, seal 2: the seal of the cut was removed"),
            ("UPDATE audit_seals SET hash = previous_hash WHERE number = 2", "the seal of the cut was changed"),
            ("UPDATE audit_seals SET number = 1 WHERE number = 2", "1 seal from before the cut is there"),
            (insert, "the cut was changed"),
        ];
        drop(other);
        for (sql, expected) in cases {
            let archived = Archived::new(kind).await;
            archived.app.db.execute(&format!("{}{sql}", unlock(kind))).await.unwrap();
            let found = findings(&archived, &[]).await;
            assert!(found.iter().any(|line| line.contains(expected)), "{sql}: {found:?}");
        }
        // An archived entry comes back.
        let archived = Archived::new(kind).await;
        let overriding = if kind == Kind::Sqlite { "" } else { "OVERRIDING SYSTEM VALUE" };
        archived.app.db.execute(&format!("{}INSERT INTO audit_logs (id, controller_id, account, request, parameters,
            outcome, request_id) {overriding} VALUES (1, 'prod', 'x', './x', '{{}}', 'NO_ORDERS', 'r')", unlock(kind)))
            .await.unwrap();
        assert_eq!(findings(&archived, &[]).await,
            ["prod, seal 2: 1 entry from before the cut is there, which is archived"]);
        // What is left.
        let archived = Archived::new(kind).await;
        archived.app.db.execute(&format!("{}UPDATE audit_logs SET comment = 'x' WHERE controller_id = 'prod'",
            unlock(kind))).await.unwrap();
        let found = findings(&archived, &[]).await;
        assert!(found[0].ends_with("the entry was changed"), "{found:?}");
    }

    async fn a_cut_cannot_be_changed(kind: Kind) {
        let archived = Archived::new(kind).await;
        let db = &archived.app.db;
        for sql in ["UPDATE audit_cuts SET number = 7", "DELETE FROM audit_cuts", "DELETE FROM audit_logs",
            "DELETE FROM audit_log_details", "DELETE FROM audit_seals"] {
            let error = db.execute(sql).await.unwrap_err().to_string();
            assert!(error.contains("is append-only"), "{error}");
        }
        launch(&db.owner, &["check"], "").await.ok();
    }

    async fn a_trail_that_was_tampered_with_is_not_archived(kind: Kind) {
        let (archived, before) = Archived::sealed(kind).await;
        archived.app.db.execute(&format!("{}UPDATE audit_logs SET comment = 'x' WHERE id = 2", unlock(kind))).await.unwrap();
        let ran = archive(&archived.app, &before, &archived.file(1)).await;
        assert!(ran.failed().contains("prod, seal 2: the audit trail is not as it was sealed"), "{ran:?}");
        assert_eq!(std::fs::read_dir(archived.folder.path()).unwrap().count(), 1);
        assert_eq!(archived.rows().await, [4, 4, 0]);
    }

    async fn bad_files_and_dates_change_nothing(kind: Kind) {
        let (archived, before) = Archived::sealed(kind).await;
        let folder = archived.folder.path();
        std::os::unix::fs::symlink(folder.join("nothing"), folder.join("link")).unwrap();
        std::fs::write(folder.join("old"), "old").unwrap();
        for to in ["old", "link", "", "no/file", ".", "..", "old/x", "a\n/x"] {
            let ran = archive(&archived.app, &before, &folder.join(to)).await;
            assert_eq!(ran.code, Some(2), "{to}: {ran:?}");
            assert!(ran.failed().contains("--to"), "{ran:?}");
        }
        assert_eq!(std::fs::read_to_string(folder.join("old")).unwrap(), "old");
        for before in ["2026-11-23T08:00:00", "yesterday", "", "2026-13-01", "9999-01-01", "0000-01-01", "-1d"] {
            let ran = archive(&archived.app, before, &archived.file(1)).await;
            assert_eq!(ran.code, Some(2), "{before}: {ran:?}");
            assert!(ran.failed().contains("--before"), "{ran:?}");
        }
        for before in ["2001-01-01", "2001-01-01T00:00:00+01:00"] {
            let ran = archive(&archived.app, before, &archived.file(1)).await;
            assert_eq!(ran.code, Some(3), "{ran:?}");
        }
        // The seals, the link and the old file.
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 3);
        assert_eq!(archived.rows().await, [4, 4, 0]);
        // A name of its own kind is a name.
        archive(&archived.app, &before, &folder.join("x'\" \u{e4}\n.gz")).await.ok();
        assert_eq!(verify(&archived.app, &[]).await.ok(), "");
    }

    // Whenever it is killed, each entry is in the database or in the file.
    async fn a_kill_loses_nothing(kind: Kind) {
        let app = App::today(kind, &[]).await;
        let ids: Vec<String> = (0..30).map(|i| format!("o{i}")).collect();
        app.db.insert(&ids.iter().map(|id| Order::new(id)).collect::<Vec<_>>()).await;
        for id in &ids {
            cancel(&app, &[id]).await;
            seal(&app).await;
        }
        let folder = TempDir::new().unwrap();
        let before = now().await;
        let total = app.db.count("SELECT count(*) FROM audit_logs WHERE controller_id = 'prod'").await;
        for round in 0..12 {
            let file = folder.path().join(format!("{round}.gz"));
            let mut command = program(&app.db.owner);
            command.args(["audit", "archive", "--before", &before, "--to"]).arg(&file);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(40 + 12 * round)).await;
            child.kill().unwrap();
            child.wait().unwrap();
            // PostgreSQL may still commit what the client no longer waits for.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let left = app.db.count("SELECT count(*) FROM audit_logs WHERE controller_id = 'prod'").await;
            if left == total {
                assert_eq!(verify(&app, &[]).await.ok(), "");
                continue;
            }
            assert_eq!(left, 0);
            assert_eq!(verify(&app, &["--archive", file.to_str().unwrap()]).await.ok(), "");
            return;
        }
        archive(&app, &before, &folder.path().join("at last")).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_archives() {
    let (archived, before) = Archived::sealed(Kind::Postgres).await;
    let to = archived.file(1);
    let args = ["audit", "archive", "--before", &before, "--to", to.to_str().unwrap()];
    let ran = launch(&archived.app.db.url, &args, "").await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.failed().contains("does not own the tables, which archiving needs"), "{ran:?}");
    assert!(!to.exists());
}
