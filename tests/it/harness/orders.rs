//! Orders, inserted by plain SQL.

use chrono::{DateTime, TimeDelta, Utc};
use joc_orders::model::window::iso;

use super::{CONTROLLER, Database, quote, start_time};

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
    /// When it was created; `None` leaves that to the database.
    pub created: Option<DateTime<Utc>>,
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

    /// `WAITING` for this reason.
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

    /// Its row for the insert; `controller` and `now` are SQL.
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

impl Database {
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

    /// The ids of the orders in a state, sorted.
    pub async fn ids_in(&self, state: &str) -> Vec<String> {
        let sql = format!("SELECT order_id FROM orders WHERE state = '{state}' ORDER BY order_id");
        let rows = self.rows(&sql).await.unwrap();
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }
}
