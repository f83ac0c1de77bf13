//! Starts the real app on a free port with a database of its own: a temporary SQLite file, or
//! a database in a PostgreSQL cluster that lives as long as this process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use joc_orders::clock::Clock;
use joc_orders::config::Settings;
use joc_orders::http::{self, Service, password};
use joc_orders::model::window::iso;
use joc_orders::store::{self, Store};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{AssertSqlSafe, Column, Row};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The controller of the tests.
pub const CONTROLLER: &str = "prod";
/// Longer than anything that a test waits for may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The account that may do everything.
pub const ROOT: (&str, &str) = ("root", "root-password");

/// Makes two tests of one: a module with a test for each database.
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
                run($crate::harness::Kind::Postgres).await;
            }
        }
    )*};
}

/// Waits for a condition, which must come in time.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A database of its own, which is gone with this.
pub struct Database {
    pub url: String,
    pool: Pool,
    _folder: Option<TempDir>,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// One connection, for statements that belong together.
pub enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Connection {
    pub async fn execute(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => drop(sql.execute(&mut **connection).await.unwrap()),
            Self::Postgres(connection) => drop(sql.execute(&mut **connection).await.unwrap()),
        }
    }
}

/// A running app.
pub struct App {
    pub url: String,
    pub db: Database,
    pub store: Arc<dyn Store>,
    pub client: reqwest::Client,
    /// The access token of [`ROOT`].
    pub token: String,
    time: Arc<AtomicI64>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// An order to insert, by plain SQL.
#[derive(Debug, Clone)]
pub struct Order {
    pub order_id: String,
    pub workflow: (String, String),
    pub state: &'static str,
    pub suspended: bool,
    pub mark: Option<&'static str>,
    pub killed: bool,
    pub scheduled_for: Option<DateTime<Utc>>,
    pub reason: Option<&'static str>,
    pub remove_when_terminated: bool,
    /// When it was made; `None`: the database says.
    pub created: Option<DateTime<Utc>>,
}

#[derive(Parser)]
struct SettingsOnly {
    #[command(flatten)]
    settings: Settings,
}

/// The hash of some password.
pub const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
    7xQ0c2b9yKZ1k5m3n8p4r6s0t2v4w6y8z0A2B4C6D8E";

/// The numbers of the migrations.
pub fn versions() -> Vec<i64> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite"));
    let names = files.unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let ups = names.filter(|name| name.ends_with(".up.sql"));
    let mut versions: Vec<i64> =
        ups.map(|name| name.split_once('_').unwrap().0.parse().unwrap()).collect();
    versions.sort_unstable();
    versions
}

/// The number of the last migration.
pub fn latest() -> i64 {
    *versions().last().unwrap()
}

/// The time at which the apps of the tests start.
pub fn start_time() -> DateTime<Utc> {
    "2026-11-23T12:34:56.789Z".parse().unwrap()
}

/// A PostgreSQL cluster that ends with this.
pub struct Cluster {
    pub url: String,
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With more options for the server.
    pub fn start_with(options: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let mut command = Command::new(script);
        command.env("PG_OPTIONS", options);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/postgres");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut cluster = Self { url: String::new(), process, output };
        cluster.url = cluster.line();
        cluster
    }

    /// Ends the server by the signal of this name, or starts it again: `start`.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.process.stdin.as_mut().expect("piped"), "{command}").unwrap();
        assert_eq!(self.line(), command);
    }

    /// Starts a hot standby, which ends with the server, and gives its URL.
    pub fn standby(&mut self) -> String {
        writeln!(self.process.stdin.as_mut().expect("piped"), "standby").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("scripts/postgres");
        assert!(!line.is_empty(), "scripts/postgres has ended");
        line.trim().into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The URL of the cluster that the tests share, which ends with this process.
fn cluster() -> &'static str {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    &CLUSTER.get_or_init(Cluster::start).url
}

impl Database {
    /// An empty database with the current schema.
    pub async fn create(kind: Kind) -> Self {
        cryptography();
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("orders.db").display());
                store::migrate(&url, None).await.unwrap();
                let pool = Pool::Sqlite(SqlitePool::connect(&url).await.unwrap());
                Self { url, pool, _folder: Some(folder) }
            }
            Kind::Postgres => {
                // Databases are copied from template1, which is migrated once.
                static MIGRATED: OnceCell<()> = OnceCell::const_new();
                static NUMBER: AtomicU32 = AtomicU32::new(0);
                static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
                let cluster = tokio::task::spawn_blocking(cluster).await.unwrap();
                let (server, _) = cluster.rsplit_once('/').unwrap();
                let template = format!("{server}/template1");
                MIGRATED
                    .get_or_init(|| async {
                        store::migrate(&template, None).await.unwrap();
                    })
                    .await;
                let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
                {
                    let _guard = ONE_AT_A_TIME.lock().await;
                    let admin = PgPool::connect(cluster).await.unwrap();
                    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
                    sqlx::raw_sql(create).execute(&admin).await.unwrap();
                    admin.close().await;
                }
                let url = format!("{server}/{name}");
                let pool = Pool::Postgres(PgPool::connect(&url).await.unwrap());
                Self { url, pool, _folder: None }
            }
        }
    }

    /// The one database of a cluster, which must be empty.
    pub async fn of(cluster: &Cluster) -> Self {
        cryptography();
        store::migrate(&cluster.url, None).await.unwrap();
        let pool = Pool::Postgres(PgPool::connect(&cluster.url).await.unwrap());
        Self { url: cluster.url.clone(), pool, _folder: None }
    }

    /// The same database once more; it is gone with the first.
    pub fn share(&self) -> Self {
        let pool = match &self.pool {
            Pool::Sqlite(pool) => Pool::Sqlite(pool.clone()),
            Pool::Postgres(pool) => Pool::Postgres(pool.clone()),
        };
        Self { url: self.url.clone(), pool, _folder: None }
    }

    /// Which database it is.
    pub fn kind(&self) -> Kind {
        match self.pool {
            Pool::Sqlite(_) => Kind::Sqlite,
            Pool::Postgres(_) => Kind::Postgres,
        }
    }

    /// The present instant, as SQL.
    pub fn now(&self) -> &'static str {
        match self.kind() {
            Kind::Sqlite => "(SELECT now FROM clock)",
            Kind::Postgres => "now()",
        }
    }

    /// Runs statements that give no rows.
    pub async fn execute(&self, sql: &str) -> sqlx::Result<u64> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match &self.pool {
            Pool::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await?.rows_affected(),
            Pool::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await?.rows_affected(),
        })
    }

    /// A connection on which this has been said.
    pub async fn lock(&self, begin: &str) -> Connection {
        let mut connection = match &self.pool {
            Pool::Sqlite(pool) => Connection::Sqlite(pool.acquire().await.unwrap()),
            Pool::Postgres(pool) => Connection::Postgres(pool.acquire().await.unwrap()),
        };
        connection.execute(begin).await;
        connection
    }

    /// The rows of a query, every value as the database writes it.
    pub async fn rows(&self, sql: &str) -> sqlx::Result<Vec<Vec<Option<String>>>> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match &self.pool {
            Pool::Sqlite(pool) => {
                let rows = sqlx::raw_sql(sql).fetch_all(pool).await?;
                let value = |row: &sqlx::sqlite::SqliteRow, i| row.get_unchecked(i);
                rows.iter().map(|row| (0..row.len()).map(|i| value(row, i)).collect()).collect()
            }
            Pool::Postgres(pool) => {
                let rows = sqlx::raw_sql(sql).fetch_all(pool).await?;
                let value = |row: &sqlx::postgres::PgRow, i| {
                    let value = row.try_get_raw(i).unwrap();
                    value.as_str().ok().map(Into::into)
                };
                rows.iter().map(|row| (0..row.len()).map(|i| value(row, i)).collect()).collect()
            }
        })
    }

    /// The names of a query's columns; it must give a row.
    pub async fn columns(&self, sql: &str) -> sqlx::Result<Vec<String>> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match &self.pool {
            Pool::Sqlite(pool) => {
                let row = sqlx::raw_sql(sql).fetch_one(pool).await?;
                row.columns().iter().map(|column| column.name().into()).collect()
            }
            Pool::Postgres(pool) => {
                let row = sqlx::raw_sql(sql).fetch_one(pool).await?;
                row.columns().iter().map(|column| column.name().into()).collect()
            }
        })
    }

    /// The one value of a query that gives a number.
    pub async fn count(&self, sql: &str) -> i64 {
        let rows = self.rows(sql).await.unwrap();
        rows[0][0].as_deref().unwrap().parse().unwrap()
    }

    /// Inserts orders of [`CONTROLLER`].
    pub async fn insert(&self, orders: &[Order]) {
        self.insert_into(CONTROLLER, orders).await;
    }

    /// Inserts orders, with their workflows and the controller.
    pub async fn insert_into(&self, controller: &str, orders: &[Order]) {
        let controller = quote(controller);
        let now = self.now();
        let mut sql = format!(
            "INSERT INTO controllers (controller_id) VALUES ({controller}) ON CONFLICT DO NOTHING;"
        );
        for chunk in orders.chunks(500) {
            let values: Vec<String> = chunk
                .iter()
                .map(|o| {
                    format!("({controller}, {}, {})", quote(&o.workflow.0), quote(&o.workflow.1))
                })
                .collect();
            sql += "INSERT INTO workflows (controller_id, path, version_id) VALUES ";
            sql += &(values.join(", ") + " ON CONFLICT DO NOTHING;");
            let values: Vec<String> = chunk.iter().map(|o| o.values(&controller, now)).collect();
            sql += "INSERT INTO orders (controller_id, order_id, workflow_path, \
                    workflow_version_id, state, suspended, mark, kill_requested, sigkill_at, \
                    scheduled_for, reason, remove_when_terminated, created, modified) VALUES ";
            sql += &(values.join(", ") + ";");
        }
        self.execute(&sql).await.unwrap();
    }

    /// `state`, or `state+MARK`, with `!` after it if a kill is requested and `~` if suspended.
    pub async fn state(&self, order_id: &str) -> String {
        let sql = format!(
            "SELECT state || coalesce('+' || mark, '') || CASE WHEN kill_requested IS NULL \
             THEN '' ELSE '!' END || CASE WHEN suspended THEN '~' ELSE '' END FROM orders \
             WHERE controller_id = '{CONTROLLER}' AND order_id = {}",
            quote(order_id)
        );
        let rows = self.rows(&sql).await.unwrap();
        rows.first().unwrap_or_else(|| panic!("no order {order_id}"))[0].clone().unwrap()
    }

    /// The ids of the orders in a state, in their order.
    pub async fn ids_in(&self, state: &str) -> Vec<String> {
        let sql = format!("SELECT order_id FROM orders WHERE state = '{state}' ORDER BY order_id");
        let rows = self.rows(&sql).await.unwrap();
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }
}

/// Lets reqwest make clients, which it does not without this, not even for plain HTTP.
fn cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A text as an SQL literal.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Order {
    /// A fresh order of `/sos/eod`, due in an hour.
    pub fn new(order_id: &str) -> Self {
        Self {
            order_id: order_id.into(),
            workflow: ("/sos/eod".into(), "1".into()),
            state: "FRESH",
            suspended: false,
            mark: None,
            killed: false,
            scheduled_for: Some(start_time() + TimeDelta::hours(1)),
            reason: None,
            remove_when_terminated: false,
            created: Some(start_time()),
        }
    }

    pub fn workflow(mut self, path: &str, version: &str) -> Self {
        self.workflow = (path.into(), version.into());
        self
    }

    pub fn state(mut self, state: &'static str) -> Self {
        self.state = state;
        self
    }

    pub fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    pub fn mark(mut self, mark: &'static str) -> Self {
        self.mark = Some(mark);
        self
    }

    /// With a kill request.
    pub fn killed(mut self) -> Self {
        self.killed = true;
        self
    }

    /// `WAITING` for a reason.
    pub fn waits(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self.state("WAITING")
    }

    pub fn remove_when_terminated(mut self) -> Self {
        self.remove_when_terminated = true;
        self
    }

    pub fn at(mut self, instant: &str) -> Self {
        self.scheduled_for = Some(instant.parse().unwrap());
        self
    }

    pub fn never(mut self) -> Self {
        self.scheduled_for = None;
        self
    }

    /// The row of the insert; `controller` and `now` are SQL.
    fn values(&self, controller: &str, now: &str) -> String {
        let instant = |at: &DateTime<Utc>| quote(&iso(at));
        let null = || String::from("NULL");
        let killed = if self.killed { instant(&start_time()) } else { null() };
        let created = self.created.as_ref().map_or_else(|| now.into(), instant);
        format!(
            "({controller}, {}, {}, {}, '{}', {}, {}, {killed}, {killed}, {}, {}, {}, \
             {created}, {created})",
            quote(&self.order_id),
            quote(&self.workflow.0),
            quote(&self.workflow.1),
            self.state,
            self.suspended,
            self.mark.map_or_else(null, quote),
            self.scheduled_for.as_ref().map_or_else(null, instant),
            self.reason.map_or_else(null, quote),
            self.remove_when_terminated,
        )
    }
}

impl App {
    /// Starts the app with settings given as flags.
    pub async fn start(kind: Kind, flags: &[&str]) -> Self {
        Self::over(Database::create(kind).await, flags).await
    }

    /// Starts the app with the orders and no special settings.
    pub async fn with(kind: Kind, orders: &[Order]) -> Self {
        let app = Self::start(kind, &[]).await;
        app.db.insert(orders).await;
        app
    }

    /// Starts the app over a database.
    pub async fn over(db: Database, flags: &[&str]) -> Self {
        let time = Arc::new(AtomicI64::new(start_time().timestamp_millis()));
        let clock = Clock::new({
            let time = time.clone();
            move || DateTime::from_timestamp_millis(time.load(Ordering::Relaxed)).unwrap()
        });
        Self::at(db, flags, clock, time).await
    }

    /// Starts the app with the machine's clock, which is the database's.
    pub async fn today(kind: Kind, flags: &[&str]) -> Self {
        let db = Database::create(kind).await;
        Self::at(db, flags, Clock::system(), Arc::default()).await
    }

    async fn at(db: Database, flags: &[&str], clock: Clock, time: Arc<AtomicI64>) -> Self {
        let store = store::open(&db.url, 8, store::Access::Write).await.unwrap();
        let hash = password::hash(ROOT.1).unwrap();
        let _ = store.add_account(ROOT.0, &hash, &["all".into()]).await;
        db.insert(&[]).await;

        let flags = std::iter::once("test").chain(flags.iter().copied());
        let settings = SettingsOnly::parse_from(flags).settings;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/joc/api", listener.local_addr().unwrap());
        let service = Service::new(store.clone(), settings, clock);
        let server = http::serve([listener], service, None).unwrap();
        tokio::spawn(server.until(std::future::pending));

        let client = reqwest::Client::new();
        let mut app = Self { url, db, store, client, token: String::new(), time };
        app.token = app.login(ROOT.0, ROOT.1).await;
        app
    }

    /// Starts another app over the same database: a replica, or this one after a restart.
    pub async fn replica(&self, flags: &[&str]) -> Self {
        Self::over(self.db.share(), flags).await
    }

    /// The address that it listens on.
    pub fn address(&self) -> &str {
        self.url.split('/').nth(2).unwrap()
    }

    /// Lets time pass for the app.
    pub fn pass(&self, time: TimeDelta) {
        self.time.fetch_add(time.num_milliseconds(), Ordering::Relaxed);
    }

    /// Logs in and gives the access token.
    pub async fn login(&self, account: &str, password: &str) -> String {
        let answer = self.try_login(account, password).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["accessToken"].as_str().unwrap().into()
    }

    pub async fn try_login(&self, account: &str, password: &str) -> Answer {
        let request = self.client.post(format!("{}/authentication/login", self.url));
        Answer::of(request.basic_auth(account, Some(password))).await
    }

    /// Adds an account with a role of its own and logs it in.
    pub async fn account(&self, name: &str, permission: &str, folders: &[(&str, bool)]) -> String {
        self.store.add_role(name).await.unwrap();
        self.store.grant(name, permission, "*").await.unwrap();
        let folders: Vec<_> = folders
            .iter()
            .map(|(folder, recursive)| joc_orders::model::selection::Folder {
                folder: (*folder).into(),
                recursive: *recursive,
            })
            .collect();
        self.store.limit(name, &folders).await.unwrap();
        let hash = password::hash("a-password").unwrap();
        self.store.add_account(name, &hash, &[name.into()]).await.unwrap();
        self.login(name, "a-password").await
    }

    /// Posts a body of any kind, as `token`.
    pub async fn post_as(&self, token: &str, call: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(format!("{}{call}", self.url));
        Answer::of(request.header("X-Access-Token", token).body(body)).await
    }

    /// Posts a JSON body as root.
    pub async fn post(&self, call: &str, body: &Value) -> Answer {
        self.post_as(&self.token, call, body.to_string()).await
    }

    /// `/orders/cancel` with these fields beside the controller's id.
    pub async fn cancel(&self, fields: Value) -> Answer {
        self.post("/orders/cancel", &with_controller(fields)).await
    }

    /// `/orders/cancel/preview`, which must succeed.
    pub async fn preview(&self, fields: Value) -> Value {
        self.post("/orders/cancel/preview", &with_controller(fields)).await.ok()
    }
}

/// How a run of the real program ended.
#[derive(Debug)]
pub struct Ran {
    pub success: bool,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The output of a success.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.success, "{self:?}");
        &self.stdout
    }

    /// The complaint of a failure, which nothing else was written beside.
    #[track_caller]
    pub fn failed(&self) -> &str {
        assert!(!self.success && self.stdout.is_empty(), "{self:?}");
        &self.stderr
    }
}

/// The real program, with no settings but the database, in a folder without `.env`.
pub fn program(url: &str) -> Command {
    cryptography();
    let mut command = Command::new(env!("CARGO_BIN_EXE_joc-orders"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JOC_ORDERS_") {
            command.env_remove(name);
        }
    }
    command.env("DATABASE_URL", url).current_dir(std::env::temp_dir());
    command
}

/// Runs the real program.
pub async fn launch(url: &str, args: &[&str], stdin: impl Into<Vec<u8>>) -> Ran {
    let mut command = program(url);
    command.args(args);
    launch_command(command, stdin).await
}

pub async fn launch_command(mut command: Command, stdin: impl Into<Vec<u8>>) -> Ran {
    let stdin = stdin.into();
    let ran = tokio::task::spawn_blocking(move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without having read it.
        let _ = child.stdin.take().unwrap().write_all(&stdin);
        child.wait_with_output().unwrap()
    });
    let output = ran.await.unwrap();
    Ran {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Puts the controller's id beside the fields.
pub fn with_controller(mut fields: Value) -> Value {
    fields["controllerId"] = json!(CONTROLLER);
    fields
}

impl Answer {
    /// Sends a request.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// How many orders a success affected.
    #[track_caller]
    pub fn affected(&self) -> u64 {
        self.ok();
        self.headers["x-orders-affected"].to_str().unwrap().parse().unwrap()
    }

    /// The message of a JOC-400.
    #[track_caller]
    pub fn refused(&self) -> String {
        assert_eq!(self.status, 420, "{}", self.text);
        let body = self.json();
        assert_eq!(body["error"]["code"], "JOC-400", "{body}");
        body["error"]["message"].as_str().unwrap().into()
    }
}
