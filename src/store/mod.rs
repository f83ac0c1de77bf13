//! What a store can do. A method is one unit of work, which is one transaction: it happens as
//! a whole or not at all. Only this module and those below it know SQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use crate::model::action::{Action, Effect};
use crate::model::audit::{AuditEntry, AuditFilter, Outcome};
use crate::model::folders::Folder;
use crate::model::order::{Mark, State};
use crate::model::permission::{Extent, Grant, Limits, Principal};
use crate::model::selection::Selection;
use migrating::Goal;

pub mod add;
pub mod check;
pub mod copy;
mod error;
mod health;
mod import;
mod instant;
pub mod list;
mod migrating;
mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod schema;
pub mod seals;
pub mod shares;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;
mod workflows;

pub use error::{Error, Result};
pub use health::{Health, PoolUse, RETRIES};
pub use instant::StoredInstant;
pub use migrating::Patience;
pub use migrations::{Access, Loss, Migration};
pub use schema::{Differences, Part};
pub use workflows::{OrderCounts, Workflow, WorkflowFilter, Workflows};

/// How many connections read at the same time unless told otherwise.
pub const DEFAULT_CONNECTIONS: u32 = 16;

/// How long the database may take for what a service does. Only a database across a network needs
/// limits: one that is lost there may never say so.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For a change of orders.
    pub change: Duration,
    /// For the next rows of a long result.
    pub silence: Duration,
}

/// A call that changes orders.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which orders.
    pub selection: Selection,
    /// What happens to them.
    pub action: Action,
    /// The call is refused if it would affect more orders than this.
    pub max_orders: Option<u64>,
    /// After how long a kill request turns from `SIGTERM` to `SIGKILL`.
    pub sigkill_after: Duration,
    /// What the audit trail keeps of the call.
    pub audit: AuditEntry,
}

/// How a [`Change`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Orders and audit are written.
    Done {
        /// `audit_logs.id` of the call.
        audit_log_id: i64,
        /// How many orders were affected; at least one.
        affected: u64,
    },
    /// There was no order to affect; only that is in the audit trail.
    NoOrders,
    /// Nothing is written.
    TooMany {
        /// How many orders would have been affected.
        affected: u64,
    },
}

/// What a [`Change`] would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// How many orders, by effective state and effect.
    pub counts: Vec<(String, Effect, u64)>,
    /// The first orders by id.
    pub orders: Vec<PreviewedOrder>,
}

/// One order of a [`Preview`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedOrder {
    /// The order's id.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state.
    pub state: String,
    /// What would happen to it.
    pub effect: Effect,
}

/// Orders, and what is done to them.
#[async_trait]
pub trait Orders {
    /// Whether there is such a controller.
    async fn knows_controller(&self, controller_id: &str) -> Result<bool>;
    /// Changes the orders and writes the audit, both or neither.
    async fn change_orders(&self, change: &Change) -> Result<Changed>;
    /// What [`Orders::change_orders`] would do to at most `limit` orders, and the counts of all.
    async fn preview(&self, selection: &Selection, action: &Action, limit: u32) -> Result<Preview>;
    /// How the database would find what [`Orders::preview`] shows: its plan, line by line.
    async fn plan(&self, selection: &Selection, action: &Action) -> Result<Vec<String>>;
}

/// The audit trail.
#[async_trait]
pub trait Audit {
    /// Writes an entry about no orders.
    async fn record(&self, entry: &AuditEntry, outcome: Outcome) -> Result<()>;
    /// What has been done to an order, the newest first.
    async fn trail(&self, controller_id: &str, order_id: &str) -> Result<Vec<Touch>>;
    /// The entries that a filter means, the newest first, at most `limit` of them.
    fn entries(
        &self,
        filter: &AuditFilter,
        limit: Option<u64>,
    ) -> BoxStream<'static, Result<Entry>>;
    /// What the entry with this id did to the orders within reach, by order id.
    fn details(&self, audit_log_id: i64, extent: &Extent) -> BoxStream<'static, Result<Detail>>;
}

/// A row of `audit_logs`, as far as an account may see it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The controller, or [`crate::model::checks::NO_CONTROLLER`].
    pub controller_id: String,
    /// Who called.
    pub account: String,
    /// What was called: `./orders/cancel`.
    pub request: String,
    /// The request's body; `None` if it may name what the account cannot see.
    pub parameters: Option<String>,
    /// What kind of call it was.
    pub category: String,
    /// Why.
    pub comment: Option<String>,
    /// Minutes.
    pub time_spent: Option<i64>,
    /// The ticket that asked for it.
    pub ticket_link: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// How many orders it affected that the account can see.
    pub affected: i64,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// The address that the call came from.
    pub client_address: Option<String>,
    /// When it was.
    pub created: StoredInstant,
}

/// A row of `audit_log_details`: what a call did to one order.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Detail {
    /// The order.
    pub order_id: String,
    /// The path of its workflow.
    pub workflow_path: String,
    /// The version of its workflow.
    pub workflow_version_id: String,
    /// Its effective state before.
    pub previous_state: String,
    /// Its effective state after.
    pub new_state: String,
    /// The mark that it got.
    pub mark: Option<String>,
    /// Whether its job was to be killed.
    pub kill: bool,
    /// The selected ancestor that took it along.
    pub via_parent: Option<String>,
}

/// One call's effect on one order, from the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Touch {
    /// `audit_logs.id` of the call.
    pub audit_log_id: i64,
    /// When it was.
    pub created: StoredInstant,
    /// Who called.
    pub account: String,
    /// What was called: `./orders/cancel`.
    pub request: String,
    /// Why.
    pub comment: Option<String>,
    /// The ticket that asked for it.
    pub ticket_link: Option<String>,
    /// The order's effective state before.
    pub previous_state: String,
    /// The order's effective state after.
    pub new_state: String,
    /// The mark that it got.
    pub mark: Option<String>,
    /// Whether its job was to be killed.
    pub kill: bool,
}

/// An account, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub account: String,
    /// Whether it is locked out.
    pub disabled: bool,
    /// Its roles.
    pub roles: Vec<String>,
}

/// A role, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub role: String,
    /// Its permissions, each with the controller it is for.
    pub permissions: Vec<(String, String)>,
    /// The folders that it is limited to; empty: no limit.
    pub folders: Vec<Folder>,
}

impl Role {
    fn named(role: String) -> Self {
        Self { role, permissions: Vec::new(), folders: Vec::new() }
    }
}

/// Accounts, roles and permissions.
#[async_trait]
pub trait Accounts: Sync {
    /// Whether there is any account yet.
    async fn has_accounts(&self) -> Result<bool>;
    /// The password hash of an account that is not disabled.
    async fn password_hash(&self, account: &str) -> Result<Option<String>>;
    /// Makes an account with roles. [`Error::Conflict`] if it is there or a role is not.
    async fn add_account(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
    ) -> Result<()> {
        self.add_account_if(account, password_hash, roles, &mut || true).await
    }
    /// As [`Accounts::add_account`], but asks before it makes the account last, which nobody
    /// else can have made then; after a no there is no account.
    async fn add_account_if(
        &self,
        account: &str,
        password_hash: &str,
        roles: &[String],
        ask: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<()>;
    /// Replaces a password and ends the account's sessions.
    async fn set_password(&self, account: &str, password_hash: &str) -> Result<()>;
    /// Locks an account out and ends its sessions, or lets it in again.
    async fn set_disabled(&self, account: &str, disabled: bool) -> Result<()>;
    /// Removes an account and ends its sessions. What it did stays in the audit trail.
    async fn remove_account(&self, account: &str) -> Result<()>;
    /// Every account, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;
    /// Makes a role without permissions.
    async fn add_role(&self, role: &str) -> Result<()>;
    /// Removes a role from the database and so from every account.
    async fn remove_role(&self, role: &str) -> Result<()>;
    /// Gives a role a permission for a controller, or for every one (`*`).
    async fn grant(&self, role: &str, permission: &str, controller_id: &str) -> Result<()>;
    /// Takes a permission back, exactly as it was given.
    async fn revoke(&self, role: &str, permission: &str, controller_id: &str) -> Result<()>;
    /// Limits a role to folders, in place of those it was limited to, which it gives; none: no
    /// limit.
    async fn limit(&self, role: &str, folders: &[Folder]) -> Result<Vec<Folder>>;
    /// Changes the folders that a role is limited to, and gives what they were and what they are.
    async fn change_limit(&self, role: &str, limits: &Limits)
    -> Result<(Vec<Folder>, Vec<Folder>)>;
    /// Gives an account a role.
    async fn assign(&self, role: &str, account: &str) -> Result<()>;
    /// Takes a role from an account.
    async fn unassign(&self, role: &str, account: &str) -> Result<()>;
    /// Every role, by name.
    async fn roles(&self) -> Result<Vec<Role>>;
}

/// Sessions. A session is known by the hash of its access token.
#[async_trait]
pub trait Sessions {
    /// Opens a session, and removes those that ended before `now`. No session ends after it:
    /// those that would were opened or prolonged before the clock was set back. False: there is
    /// none, since the account is gone or disabled or its password is no longer the one of this
    /// hash, which was verified before.
    async fn open_session(
        &self,
        token_hash: &str,
        account: &str,
        password_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<bool>;
    /// Prolongs a session that has not ended at `now`; `None` if there is none.
    async fn touch_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<Option<Principal>>;
    /// Ends a session.
    async fn close_session(&self, token_hash: &str) -> Result<()>;
}

/// A workflow or an order to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The controller; made if it is not known.
    pub controller_id: String,
    /// The workflow's path.
    pub workflow_path: String,
    /// The workflow's version; the workflow is made if it is not known.
    pub workflow_version_id: String,
    /// Since when there is this version; `None`: it is newer than those that came before.
    pub version_date: Option<DateTime<Utc>>,
    /// The order, if the item is one.
    pub order: Option<NewOrder>,
}

/// What an imported order has beside its workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The order's id.
    pub order_id: String,
    /// The stored state.
    pub state: State,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Why it waits.
    pub reason: Option<String>,
    /// When it is due; `None`: never.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Its priority.
    pub priority: i32,
    /// Its arguments, a JSON object.
    pub arguments: String,
    /// Where in its workflow it is, a JSON array.
    pub position: Option<String>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Orders that were new.
    pub inserted: u64,
    /// Orders that were there and have been replaced.
    pub updated: u64,
    /// Orders that were there and stayed as they were: all without `--replace`, terminal ones
    /// with it.
    pub skipped: u64,
}

/// An import under way: one transaction that ends with [`Import::commit`], or without effect.
#[async_trait]
pub trait Import: Send {
    /// Adds items, of which no two are the same order.
    async fn add(&mut self, items: &[Item]) -> Result<Imported>;
    /// Makes it all last.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Everything a store can do.
#[async_trait]
pub trait Store:
    Orders
    + add::Additions
    + list::Lists
    + Audit
    + seals::Seals
    + check::Checks
    + copy::Copies
    + Accounts
    + Sessions
    + Workflows
    + Health
    + Send
    + Sync
{
    /// Starts an import; with `replace`, orders that are there are updated.
    async fn begin_import(&self, replace: bool) -> Result<Box<dyn Import>>;
    /// Ends every connection.
    async fn close(&self);
}

/// Opens the database that a URL names.
///
/// # Errors
///
/// [`Error::Url`], [`Error::NoFile`], [`Error::Unavailable`], [`Error::Older`], [`Error::Newer`],
/// [`Error::MayNotMigrate`], [`Error::Blocked`], [`Error::Unusable`] or [`Error::Migrate`].
pub async fn open(url: &str, connections: u32, access: Access) -> Result<Arc<dyn Store>> {
    open_within(url, connections, access, None).await
}

/// As [`open`] with [`Access::Create`], for a service.
///
/// # Errors
///
/// As [`open`].
pub async fn open_to_serve(
    url: &str,
    connections: u32,
    deadlines: Deadlines,
) -> Result<Arc<dyn Store>> {
    open_within(url, connections, Access::Create, Some(deadlines)).await
}

async fn open_within(
    url: &str,
    connections: u32,
    access: Access,
    deadlines: Option<Deadlines>,
) -> Result<Arc<dyn Store>> {
    let opened: Result<Arc<dyn Store>> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::SqliteStore::open(url, connections, access)
            .await
            .map(|store| Arc::new(store) as _),
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::PgStore::open(url, connections, access, deadlines)
            .await
            .map(|store| Arc::new(store) as _),
    };
    opened.map_err(|error| error.at(url))
}

/// Where the database of a URL is, without user and password: `sqlite:FILE`, or
/// `postgres://HOST:PORT/DATABASE` of what the URL and PostgreSQL's variables say together.
///
/// # Errors
///
/// [`Error::Url`].
pub fn place(url: &str) -> Result<String> {
    match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::place(url),
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::place(url),
    }
}

/// What [`migrate`] with this target would drop for good; nothing where there is no file yet.
///
/// # Errors
///
/// As [`open`].
pub async fn losses(url: &str, target: i64) -> Result<Vec<Loss>> {
    let losses = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::losses(url, target).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::losses(url, target).await,
    };
    match losses {
        Err(Error::NoFile(_)) => Ok(Vec::new()),
        losses => losses.map_err(|error| error.at(url)),
    }
}

/// Applies migrations up to `target`, or takes back those after it; without one, applies all.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate(url: &str, target: Option<i64>) -> Result<()> {
    migrate_patiently(url, target, Patience::default()).await
}

/// As [`migrate`], and waits for so long for locks that others hold.
///
/// # Errors
///
/// As [`open`].
pub async fn migrate_patiently(url: &str, target: Option<i64>, patience: Patience) -> Result<()> {
    let goal = target.map_or(Goal::Newest, Goal::Exactly);
    let done: Result<()> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::migrate(url, goal, patience).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::migrate(url, goal, patience).await,
    };
    done.map_err(|error| error.at(url))
}

/// Records the migrations that the schema proves as applied, for a database whose schema `psql` or
/// `sqlite3` made from the files. Gives what keeps the next one from being proved.
///
/// # Errors
///
/// As [`open`].
pub async fn record_migrations(url: &str) -> Result<Vec<String>> {
    let done: Result<Vec<String>> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::record_migrations(url).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::record_migrations(url).await,
    };
    done.map_err(|error| error.at(url))
}

/// The parts of a database's schema.
///
/// # Errors
///
/// As [`open`].
pub async fn schema(url: &str) -> Result<Vec<Part>> {
    match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::schema(url).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::schema(url).await,
    }
}

/// Every migration that this binary knows.
///
/// # Errors
///
/// As [`open`].
pub async fn migrations(url: &str) -> Result<Vec<Migration>> {
    let done: Result<Vec<Migration>> = match Backend::of(url)? {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite => sqlite::migrations(url).await,
        #[cfg(feature = "postgres")]
        Backend::Postgres => postgres::migrations(url).await,
    };
    done.map_err(|error| error.at(url))
}

enum Backend {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Backend {
    fn of(url: &str) -> Result<Self> {
        match url::scheme(url)? {
            #[cfg(feature = "sqlite")]
            "sqlite" => Ok(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self::Postgres),
            _ => Err(url::invalid(url, "this program was built without that database".into())),
        }
    }
}

/// A row of the query for what an account may do: a permission of a role and a folder that the
/// role is limited to.
struct GrantRow {
    role: String,
    permission: Option<String>,
    controller_id: Option<String>,
    folder: Option<String>,
    recursive: Option<bool>,
}

/// Puts the rows together, which come ordered by role, permission and controller.
fn principal(account: String, rows: Vec<GrantRow>) -> Principal {
    let mut principal = Principal { account, roles: Vec::new(), grants: Vec::new() };
    let mut last = None;
    for row in rows {
        if principal.roles.last() != Some(&row.role) {
            principal.roles.push(row.role.clone());
        }
        let (Some(permission), Some(controller_id)) = (row.permission, row.controller_id) else {
            continue;
        };
        let folder = row
            .folder
            .map(|folder| Folder { folder, recursive: row.recursive.unwrap_or_default() });
        let key = (row.role, permission.clone(), controller_id.clone());
        if last.as_ref() != Some(&key) {
            principal.grants.push(Grant { permission, controller_id, folders: Vec::new() });
            last = Some(key);
        }
        if let Some(grant) = principal.grants.last_mut() {
            grant.folders.extend(folder);
        }
    }
    principal
}

/// A row of the list of accounts: an account and one of its roles.
struct AccountRow {
    account: String,
    disabled: bool,
    role: Option<String>,
}

/// Puts the rows together, which come ordered by account.
fn accounts(rows: Vec<AccountRow>) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for AccountRow { account, disabled, role } in rows {
        if accounts.last().is_none_or(|last| last.account != account) {
            accounts.push(Account { account, disabled, roles: Vec::new() });
        }
        if let Some(last) = accounts.last_mut() {
            last.roles.extend(role);
        }
    }
    accounts
}

/// Refuses a change of accounts or roles that met anything but one row.
fn expect_one(rows: u64, otherwise: impl FnOnce() -> String) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Conflict(otherwise())) }
}

/// Puts a preview together from rows of counts, which have no order id, and rows of orders.
fn preview(action: &Action, rows: Vec<PreviewRow>) -> Result<Preview> {
    let effects = action.effects();
    let mut preview = Preview::default();
    for row in rows {
        let effect = effects.iter().find(|effect| effect.name == row.effect).copied();
        let effect = effect.ok_or_else(|| Error::Data(format!("effect {}", row.effect)))?;
        match (row.order_id, row.workflow_path, row.workflow_version_id) {
            (Some(order_id), Some(workflow_path), Some(workflow_version_id)) => {
                let state = row.effective_state;
                preview.orders.push(PreviewedOrder {
                    order_id,
                    workflow_path,
                    workflow_version_id,
                    state,
                    effect,
                });
            }
            _ => preview.counts.push((row.effective_state, effect, row.orders.unsigned_abs())),
        }
    }
    Ok(preview)
}

/// Rows of a word and a number.
fn counts(rows: Vec<(String, i64)>) -> Vec<(String, u64)> {
    rows.into_iter().map(|(word, count)| (word, count.unsigned_abs())).collect()
}

#[derive(sqlx::FromRow)]
struct PreviewRow {
    order_id: Option<String>,
    workflow_path: Option<String>,
    workflow_version_id: Option<String>,
    effective_state: String,
    effect: String,
    orders: i64,
}
