//! What tests use: the real app on a free port, each with a database of its own, and the program.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

pub use app::App;
pub use client::{client, on_terminal, on_terminal_of, start, words};
pub use cluster::Cluster;
pub use database::{Connection, Database, Kind, WAIT_FOR_ROWS, latest, quote, versions};
pub use orders::Order;
pub use program::{Ran, launch, launch_command, program, signal};
pub use response::Response;
pub use served::Served;
pub use wire::Wire;

mod app;
mod client;
mod cluster;
mod database;
mod orders;
mod program;
mod response;
mod served;
mod wire;

/// The controller of the tests.
pub const CONTROLLER: &str = "prod";
/// How long a test waits for something that must happen, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The account with every permission.
pub const ROOT: (&str, &str) = ("root", "root-password");

/// Turns one test into a module with a test for each database.
macro_rules! on_both {
    ($(async fn $name:ident($kind:ident: Kind) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn run($kind: $crate::harness::Kind) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                run($crate::harness::Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if !$crate::citus::leaves_out(module_path!()).await {
                    run($crate::harness::Kind::Postgres).await;
                }
            }
        }
    )*};
}

/// Waits until the condition holds; panics with `what` after [`PATIENCE`].
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    until_within(PATIENCE, what, condition).await;
}

/// Like [`until`], with another limit.
pub async fn until_within(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(patience, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until: {what}"));
}

/// The hash of some password.
pub const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
    7xQ0c2b9yKZ1k5m3n8p4r6s0t2v4w6y8z0A2B4C6D8E";

/// The initial time of each app's clock.
pub fn start_time() -> DateTime<Utc> {
    "2026-11-23T12:34:56.789Z".parse().unwrap()
}

/// Selects every order, but for the controller's id.
pub fn everything() -> Value {
    json!({"folders": [{"folder": "/"}]})
}

/// Adds the controller's id to the fields.
pub fn with_controller(mut fields: Value) -> Value {
    fields["controllerId"] = json!(CONTROLLER);
    fields
}
