//! Everything from one database into another. Rows travel as JSON arrays, in forms that both
//! databases write and read; their statements are made from the list of tables here.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc::{Receiver, Sender};

use super::{Error, Result};

/// At how many rows, and at how many bytes of them, a batch is handed over.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Flag,
    Instant,
    /// JSON that the database understands.
    Json,
    /// JSON that it keeps character by character.
    JsonText,
    Bytes,
}

/// A table and its columns, but for those that the database computes.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    columns: &'static [(&'static str, Kind)],
}

use Kind::{Bytes, Flag, Instant, Integer, Json, JsonText, Text};

/// Every table but that of the sessions, each after those that it refers to.
pub const TABLES: &[Table] = &[
    Table {
        name: "controllers",
        columns: &[("controller_id", Text), ("created", Instant), ("last_order_number", Integer)],
    },
    Table {
        name: "workflows",
        columns: &[
            ("controller_id", Text),
            ("path", Text),
            ("version_id", Text),
            ("created", Instant),
        ],
    },
    Table {
        name: "orders",
        columns: &[
            ("controller_id", Text),
            ("order_id", Text),
            ("workflow_path", Text),
            ("workflow_version_id", Text),
            ("state", Text),
            ("suspended", Flag),
            ("mark", Text),
            ("scheduled_for", Instant),
            ("kill_requested", Instant),
            ("sigkill_at", Instant),
            ("created", Instant),
            ("modified", Instant),
            ("priority", Integer),
            ("arguments", Json),
            ("position", Json),
            ("reason", Text),
            ("started", Instant),
            ("state_since", Instant),
            ("remove_when_terminated", Flag),
        ],
    },
    Table {
        name: "audit_logs",
        columns: &[
            ("id", Integer),
            ("controller_id", Text),
            ("account", Text),
            ("request", Text),
            ("parameters", JsonText),
            ("category", Text),
            ("comment", Text),
            ("time_spent", Integer),
            ("ticket_link", Text),
            ("outcome", Text),
            ("affected", Integer),
            ("request_id", Text),
            ("client_address", Text),
            ("created", Instant),
        ],
    },
    Table {
        name: "audit_log_details",
        columns: &[
            ("controller_id", Text),
            ("audit_log_id", Integer),
            ("order_id", Text),
            ("workflow_path", Text),
            ("workflow_version_id", Text),
            ("folder", Text),
            ("previous_state", Text),
            ("new_state", Text),
            ("mark", Text),
            ("kill", Flag),
            ("via_parent", Text),
            ("created", Instant),
        ],
    },
    Table {
        name: "audit_seals",
        columns: &[
            ("controller_id", Text),
            ("number", Integer),
            ("first_id", Integer),
            ("last_id", Integer),
            ("entries", Integer),
            ("details", Integer),
            ("previous_hash", Text),
            ("hash", Text),
            ("created", Instant),
            ("digests", Bytes),
        ],
    },
    Table {
        name: "accounts",
        columns: &[
            ("account", Text),
            ("password_hash", Text),
            ("disabled", Flag),
            ("created", Instant),
        ],
    },
    Table { name: "roles", columns: &[("role", Text), ("created", Instant)] },
    Table {
        name: "role_permissions",
        columns: &[("role", Text), ("permission", Text), ("controller_id", Text)],
    },
    Table {
        name: "role_folders",
        columns: &[("role", Text), ("folder", Text), ("recursive", Flag)],
    },
    Table { name: "account_roles", columns: &[("account", Text), ("role", Text)] },
];

/// The columns of instants that a table has.
pub(super) fn instants(table: &str) -> Vec<&'static str> {
    if table == SESSIONS {
        return vec!["created", "expires"];
    }
    let columns = TABLES.iter().filter(|t| t.name == table).flat_map(|t| t.columns);
    columns.filter(|(_, kind)| *kind == Instant).map(|(name, _)| *name).collect()
}

/// The table that is not copied.
const SESSIONS: &str = "sessions";

/// Whether a copy takes the rows of a table.
pub(super) fn is_copied(table: &str) -> bool {
    table != SESSIONS
}

/// The tables of the audit trail, which is evidence: it is copied as it is. The rules that its
/// new rows are held to do not hold for it; `check` names what breaks them.
pub(super) const TRAIL: [&str; 3] = ["audit_logs", "audit_log_details", "audit_seals"];

/// Whether a database has more than the migrations bring: one role with one permission.
pub(super) const HAS_DATA: &str = "SELECT EXISTS (SELECT 1 FROM controllers)
     OR EXISTS (SELECT 1 FROM audit_logs) OR EXISTS (SELECT 1 FROM audit_seals)
     OR EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM role_folders)
     OR (SELECT count(*) FROM roles) <> 1 OR (SELECT count(*) FROM role_permissions) <> 1";

/// Rows of a table on their way; [`Batch::End`] says that none is missing.
#[derive(Debug)]
pub enum Batch {
    /// Some rows, as JSON arrays.
    Rows(&'static Table, Vec<String>),
    /// That was all.
    End,
}

/// Who is told how many rows of which table have been taken in.
pub type Progress<'a> = &'a (dyn Fn(&'static Table, usize) + Sync);

/// Handing over everything, and taking it in.
#[async_trait]
pub trait Copies {
    /// How many rows [`Copies::dump`] will hand over.
    async fn size(&self) -> Result<u64>;
    /// Hands over every row, as they are at one instant; ends early if nobody takes them.
    async fn dump(&self, to: Sender<Batch>) -> Result<()>;
    /// Takes rows into an empty database, all or nothing; `false`, and nothing is taken, if
    /// there was no end. [`Error::Conflict`] if the database is not empty.
    async fn load(&self, from: Receiver<Batch>, progress: Progress<'_>) -> Result<bool>;
}

impl Table {
    /// Its columns, separated by commas, each as `form` writes it, given its position too.
    pub(super) fn list(&self, form: impl Fn(usize, &str, Kind) -> String) -> String {
        let columns = self.columns.iter().enumerate().map(|(i, (name, kind))| form(i, name, *kind));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// The names of its columns.
    pub(super) fn names(&self) -> String {
        self.list(|_, name, _| name.to_owned())
    }
}

/// The query of how many rows there are.
pub(super) fn count() -> String {
    let counts = TABLES.iter().map(|table| format!("(SELECT count(*) FROM {})", table.name));
    format!("SELECT {}", counts.collect::<Vec<_>>().join(" + "))
}

/// What a load that finds data is refused with.
pub(super) fn expect_no_data(has_data: bool) -> Result<()> {
    if has_data {
        return Err(Error::Conflict("the database to copy to is not empty".into()));
    }
    Ok(())
}

/// Rows as one JSON text.
pub(super) fn json(rows: &[String]) -> String {
    format!("[{}]", rows.join(","))
}

/// Hands over the rows of a table; `false` if nobody takes them any more.
pub(super) async fn send(
    table: &'static Table,
    mut rows: BoxStream<'_, sqlx::Result<String>>,
    to: &Sender<Batch>,
) -> Result<bool> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += row.len();
        batch.push(row);
        if batch.len() == ROWS || bytes >= BYTES {
            bytes = 0;
            if to.send(Batch::Rows(table, std::mem::take(&mut batch))).await.is_err() {
                return Ok(false);
            }
        }
    }
    Ok(batch.is_empty() || to.send(Batch::Rows(table, batch)).await.is_ok())
}
