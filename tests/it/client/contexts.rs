//! Logging in and out, and the file of contexts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::sessions;
use crate::harness::{App, CONTROLLER, Order, ROOT, Ran, launch_command, program, words};

/// A person's home, whose contexts are in a folder that does not exist yet.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config/joc-orders/contexts.json")
    }

    fn contexts(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    fn command(&self, args: &str) -> Command {
        let mut command = program("sqlite:/not/used");
        command.env_remove("JOC_ORDERS_CONTEXTS_FILE");
        command.env("XDG_CONFIG_HOME", self.0.path().join("config")).args(words(args));
        command
    }

    async fn run(&self, args: &str) -> Ran {
        launch_command(self.command(args), "").await
    }

    async fn log_in(&self, app: &App, context: &str) {
        let args = format!(
            "login --context {context} --url {} --user {} --controller-id {CONTROLLER} --password-stdin",
            app.url, ROOT.0
        );
        let ran = launch_command(self.command(&args), format!("{}\n", ROOT.1)).await;
        let expected = format!("logged in as {} at {}, context {context}\n", ROOT.0, app.url);
        assert_eq!(ran.ok(), expected);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

on_both! {
    async fn a_login_lasts_until_the_logout(kind: Kind) {
        let app = App::with(kind, &[Order::new("a")]).await;
        let before = sessions(&app).await;
        let home = Home::new();
        let ran = home.run("orders list").await;
        assert!(ran.exits(2).contains("--controller-id"), "{ran:?}");
        let ran = home.run("orders list --controller-id x").await;
        assert!(ran.exits(2).contains("log in with `joc-orders login`"), "{ran:?}");

        home.log_in(&app, "default").await;
        assert_eq!(sessions(&app).await, before + 1);
        assert_eq!((mode(&home.file()), mode(home.file().parent().unwrap())), (0o600, 0o700));
        assert!(!fs::read_to_string(home.file()).unwrap().contains(ROOT.1));
        for _ in 0..2 {
            assert_eq!(home.run("orders list -o name").await.ok(), "a\n");
        }
        home.run("orders cancel -y --order-id a").await.ok();
        home.run("audit").await.ok();
        assert_eq!(sessions(&app).await, before + 1);
        // A second login takes the place of the first one.
        let mut again = home.command("login");
        again.env("JOC_ORDERS_PASSWORD", ROOT.1);
        launch_command(again, "").await.ok();
        assert_eq!(sessions(&app).await, before + 1);
        assert_eq!(home.contexts()["contexts"]["default"]["controllerId"], CONTROLLER);

        let kept = fs::read(home.file()).unwrap();
        assert_eq!(home.run("logout").await.ok(), "logged out of context default\n");
        assert_eq!(sessions(&app).await, before);
        assert_eq!(home.contexts()["contexts"]["default"].get("token"), None);
        let ran = home.run("orders list").await;
        assert_eq!(ran.exits(5), "Error: not logged in to context default: log in again with `joc-orders login --context default`\n");
        assert_eq!(home.run("logout").await.ok(), "context default had no session\n");
        // The token of a session that has ended.
        fs::write(home.file(), kept).unwrap();
        let ran = home.run("orders list").await;
        assert_eq!(ran.exits(5), "Error: the session of context default has ended: log in again with `joc-orders login --context default`\n");
        assert_eq!(home.run("logout").await.ok(), "context default had no session\n");
        assert_eq!(home.run("contexts remove default").await.ok(), "removed context default\n");
    }

    async fn contexts_are_listed_and_switched(kind: Kind) {
        let (one, other) = (App::with(kind, &[Order::new("one")]).await, App::with(kind, &[Order::new("other")]).await);
        let home = Home::new();
        let before = (sessions(&one).await, sessions(&other).await);
        tokio::join!(home.log_in(&one, "one"), home.log_in(&other, "other"));
        home.run("contexts use one").await.ok();
        assert_eq!(home.run("orders list -o name").await.ok(), "one\n");
        assert_eq!(home.run("orders list -o name --context other").await.ok(), "other\n");
        let mut named = home.command("orders list -o name");
        named.env("JOC_ORDERS_CONTEXT", "other");
        assert_eq!(launch_command(named, "").await.ok(), "other\n");
        let list = home.run("contexts list -o json").await;
        let list: Value = serde_json::from_str(list.ok()).unwrap();
        assert_eq!((&list[0]["name"], &list[0]["current"], &list[1]["current"]), (&"one".into(), &true.into(), &false.into()));
        let token = home.contexts()["contexts"]["one"]["token"].as_str().unwrap().to_owned();
        for format in ["table", "csv", "json", "name"] {
            let ran = home.run(&format!("contexts list -o {format}")).await;
            assert!(ran.ok().contains("other") && !ran.stdout.contains(&token), "{ran:?}");
        }
        for args in ["contexts use gone", "orders list --context gone", "contexts remove gone", "logout --context gone", "contexts remove one"] {
            let ran = home.run(args).await;
            assert!(ran.exits(2).contains("joc-orders log"), "{args} {ran:?}");
        }

        // Flags override the context, whose token no other service gets.
        let elsewhere = home.run(&format!("orders list --controller-id x --url {}", other.url)).await;
        assert!(elsewhere.exits(2).contains("only for its own URL"), "{elsewhere:?}");
        let mut elsewhere = home.command(&format!("orders list -o name --url {} --user {} --controller-id {CONTROLLER}", other.url, ROOT.0));
        elsewhere.env("JOC_ORDERS_PASSWORD", ROOT.1);
        assert_eq!(launch_command(elsewhere, "").await.ok(), "other\n");
        let ran = home.run("orders list --controller-id nowhere").await;
        assert!(ran.exits(4).contains("nowhere"), "{ran:?}");
        let ran = home.run("orders list --token nonsense").await;
        assert!(!ran.exits(5).contains("log in again"), "{ran:?}");

        assert_eq!(home.run("logout --all").await.ok(), "logged out of context one\nlogged out of context other\n");
        assert_eq!((sessions(&one).await, sessions(&other).await), before);
    }

    async fn an_unsafe_or_broken_file_is_refused(kind: Kind) {
        let app = App::with(kind, &[]).await;
        let home = Home::new();
        home.log_in(&app, "default").await;
        let before = sessions(&app).await;
        for unsafe_mode in [0o644, 0o660, 0o602] {
            fs::set_permissions(home.file(), fs::Permissions::from_mode(unsafe_mode)).unwrap();
            for args in ["orders list", "login --user root", "logout", "contexts list", "contexts use default"] {
                let ran = home.run(args).await;
                assert!(ran.exits(2).contains("run `chmod 600 "), "{args} {ran:?}");
            }
        }
        fs::set_permissions(home.file(), fs::Permissions::from_mode(0o600)).unwrap();
        for wrong in ["wrong\n", "\n"] {
            let kept = fs::read(home.file()).unwrap();
            let ran = launch_command(home.command("login --password-stdin"), wrong).await;
            assert_eq!(ran.exits(5).lines().count(), 1, "{ran:?}");
            assert_eq!(fs::read(home.file()).unwrap(), kept);
        }
        let ran = home.run("login").await;
        assert!(ran.exits(2).contains("JOC_ORDERS_PASSWORD"), "{ran:?}");
        let ran = home.run("login --ca-file /dev/null --password-stdin").await;
        assert!(ran.exits(2).contains("--ca-file"), "{ran:?}");
        assert_eq!(sessions(&app).await, before);
        for broken in ["", "[]", "{\"contexts\": {\"a\": 1}}", "{\"contexts\": {\"a\": {\"url\": \"ftp://x\", \"account\": \"b\"}}}"] {
            fs::write(home.file(), broken).unwrap();
            let ran = home.run("contexts list").await;
            assert!(ran.exits(2).contains("not a file of contexts"), "{broken} {ran:?}");
        }
        // A service that is gone: the token is removed all the same.
        let gone = r#"{"contexts": {"a": {"url": "http://127.0.0.1:1/joc/api", "account": "b", "token": "t"}}}"#;
        fs::write(home.file(), gone).unwrap();
        let ran = home.run("logout --context a").await;
        assert!(ran.exits(7).contains("removed the token of context a"), "{ran:?}");
        assert_eq!(home.contexts()["contexts"]["a"].get("token"), None);
    }
}
