//! The operations of a store, each one transaction. Only this module and its submodules know SQL.

use std::time::Duration;

use async_trait::async_trait;

mod accounts;
pub mod add;
mod administrator;
pub mod archive;
mod audit;
mod capture;
pub mod check;
#[macro_use]
mod checked;
pub mod copy;
mod error;
pub mod export;
mod health;
mod import;
mod instant;
pub mod list;
mod migrating;
mod migrations;
mod once;
mod open;
mod orders;
pub mod overview;
mod packed;
#[cfg(feature = "postgres")]
mod postgres;
mod recorded;
pub mod replica;
mod rows;
pub mod runs;
mod schema;
pub mod seals;
mod sessions;
pub mod shares;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod tables;
pub mod undo;
mod url;
mod words;
mod workflows;

pub use accounts::{Account, Accounts, Role};
pub use administrator::administered_by;
pub use audit::{Audit, Detail, Entry, Touch};
pub use capture::{Capture, CaptureStatus};
pub use error::{Error, Result};
pub use health::{Health, OTHERS, PoolUse, Position, RETRIES};
pub use import::{Import, Imported, Item, Life, NewOrder};
pub use instant::StoredInstant;
pub use migrating::LockPatience;
pub use migrations::{Access, Loss, Migration};
pub use once::Keys;
pub use open::{
    archive_orders, capture_status, distribute, distribution, losses, migrate, migrate_patiently,
    migrations, open, open_to_serve, place, prune_changes, read_archivable, record_migrations,
    remove_archived, schema, set_capture,
};
use orders::preview;
pub use orders::{Change, Changed, Orders, Preview, PreviewedOrder};
pub use schema::{Differences, SchemaPart};
pub use sessions::Sessions;
pub use workflows::{OrderCounts, Workflow, WorkflowFilter, Workflows};

/// The default maximum of connections that read.
pub const DEFAULT_CONNECTIONS: u32 = 16;

/// How long the database may take in a service. Only a networked database needs limits: its
/// connections can be lost silently.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For a change of orders.
    pub change: Duration,
    /// For the next rows of a long result.
    pub silence: Duration,
}

/// Everything a store can do.
#[async_trait]
pub trait Store:
    Orders
    + add::Additions
    + Keys
    + list::Lists
    + overview::Overviews
    + Audit
    + seals::SealMaker
    + seals::Seals
    + check::Checks
    + copy::Copies
    + export::Exports
    + runs::Runs
    + Accounts
    + Sessions
    + Workflows
    + undo::Undo
    + Health
    + Send
    + Sync
{
    /// Starts an import; with `replace`, existing orders are updated.
    async fn begin_import(&self, replace: bool) -> Result<Box<dyn Import>>;
    /// Closes every connection.
    async fn close(&self);
}
