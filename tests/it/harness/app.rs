//! The app under test, in this process.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta};
use clap::Parser;
use joc_orders::clock::Clock;
use joc_orders::config::Settings;
use joc_orders::http::{self, Service, password};
use joc_orders::store::{self, Store};
use serde_json::Value;

use super::{Database, Kind, Order, ROOT, Response, start_time, with_controller};

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

#[derive(Parser)]
struct SettingsOnly {
    #[command(flatten)]
    settings: Settings,
}

impl App {
    /// Starts the app with settings given as flags.
    pub async fn start(kind: Kind, flags: &[&str]) -> Self {
        Self::over(Database::create(kind).await, flags).await
    }

    /// Starts the app with these orders and default settings.
    pub async fn with(kind: Kind, orders: &[Order]) -> Self {
        let app = Self::start(kind, &[]).await;
        app.db.insert(orders).await;
        app
    }

    /// Starts the app on this database.
    pub async fn over(db: Database, flags: &[&str]) -> Self {
        let time = Arc::new(AtomicI64::new(start_time().timestamp_millis()));
        let clock = Clock::new({
            let time = time.clone();
            move || DateTime::from_timestamp_millis(time.load(Ordering::Relaxed)).unwrap()
        });
        Self::at(db, flags, clock, time).await
    }

    /// Starts the app with the system clock, which the database uses.
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

    /// Starts another app on the same database: a replica, or this one after a restart.
    pub async fn replica(&self, flags: &[&str]) -> Self {
        Self::over(self.db.share(), flags).await
    }

    /// The address that it listens on.
    pub fn address(&self) -> &str {
        self.url.split('/').nth(2).unwrap()
    }

    /// Advances the app's clock.
    pub fn pass(&self, time: TimeDelta) {
        self.time.fetch_add(time.num_milliseconds(), Ordering::Relaxed);
    }

    /// Logs in and returns the access token.
    pub async fn login(&self, account: &str, password: &str) -> String {
        let response = self.try_login(account, password).await;
        assert_eq!(response.status, 200, "{}", response.text);
        response.json()["accessToken"].as_str().unwrap().into()
    }

    pub async fn try_login(&self, account: &str, password: &str) -> Response {
        let request = self.client.post(format!("{}/authentication/login", self.url));
        Response::of(request.basic_auth(account, Some(password))).await
    }

    /// Adds an account with a role of its own, and logs it in.
    pub async fn account(&self, name: &str, permission: &str, folders: &[(&str, bool)]) -> String {
        self.store.add_role(name).await.unwrap();
        self.store.grant(name, permission, "*").await.unwrap();
        let folders: Vec<_> = folders
            .iter()
            .map(|(folder, recursive)| joc_orders::model::folders::Folder {
                folder: (*folder).into(),
                recursive: *recursive,
            })
            .collect();
        self.store.limit(name, &folders).await.unwrap();
        let hash = password::hash("a-password").unwrap();
        self.store.add_account(name, &hash, &[name.into()]).await.unwrap();
        self.login(name, "a-password").await
    }

    /// Posts any body with this access token.
    pub async fn post_as(
        &self,
        token: &str,
        call: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let request = self.client.post(format!("{}{call}", self.url));
        Response::of(request.header("X-Access-Token", token).body(body)).await
    }

    /// Posts a JSON body as root.
    pub async fn post(&self, call: &str, body: &Value) -> Response {
        self.post_as(&self.token, call, body.to_string()).await
    }

    /// Sends `/orders/cancel` with these fields and the controller's id.
    pub async fn cancel(&self, fields: Value) -> Response {
        self.post("/orders/cancel", &with_controller(fields)).await
    }

    /// Sends `/orders/cancel/preview`, which must succeed.
    pub async fn preview(&self, fields: Value) -> Value {
        self.post("/orders/cancel/preview", &with_controller(fields)).await.ok()
    }
}
