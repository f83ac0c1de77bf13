//! Cancels, undoes and other requests at random, with an executor in between, compared with a model.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use joc_orders::model::window::iso;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};

use super::{expect_sound, left, undo};
use crate::harness::{App, CONTROLLER, Order, quote, start_time};

/// How many changes are made.
const STEPS: u32 = 150;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Model {
    state: &'static str,
    suspended: bool,
    mark: Option<&'static str>,
    killed: bool,
    due: DateTime<Utc>,
    modified: u32,
}

/// What a cancel did to an order: what it was before, and whether it asked for a kill.
type Done = BTreeMap<String, (Model, bool)>;

impl Model {
    fn is_terminal(&self) -> bool {
        matches!(self.state, "FINISHED" | "CANCELLED")
    }

    fn works(&self) -> bool {
        !self.suspended && matches!(self.state, "RUNNING" | "INPROGRESS")
    }

    fn cancelled(self) -> Self {
        Self { state: "CANCELLED", suspended: false, mark: None, killed: false, ..self }
    }

    /// What a cancel makes of it, and whether by a kill.
    fn cancel(self, kill: bool) -> Option<(Self, bool)> {
        let marked = Self { mark: Some("CANCELLING"), ..self };
        match self {
            _ if self.is_terminal() => None,
            _ if kill && self.state == "RUNNING" && !self.killed => {
                Some((Self { killed: true, ..marked }, true))
            }
            _ if self.mark == Some("CANCELLING") => None,
            _ if self.works() => Some((marked, false)),
            _ => Some((self.cancelled(), false)),
        }
    }

    fn suspend(self) -> Option<Self> {
        match self {
            _ if self.is_terminal() || self.mark.is_some() || self.suspended => None,
            _ if self.works() => Some(Self { mark: Some("SUSPENDING"), ..self }),
            _ if self.state == "FAILED" => None,
            _ => Some(Self { suspended: true, ..self }),
        }
    }

    fn resume(self) -> Option<Self> {
        let settled = Self { mark: None, killed: false, ..self };
        match self {
            _ if self.is_terminal() || self.mark == Some("CANCELLING") => None,
            _ if self.suspended => Some(Self { suspended: false, ..settled }),
            _ if self.state == "FAILED" => Some(Self { state: "INPROGRESS", ..settled }),
            _ if self.mark == Some("SUSPENDING") && !self.killed => Some(settled),
            _ => None,
        }
    }

    /// What an executor makes of it, which reports this state.
    fn report(self, reported: &'static str, now: DateTime<Utc>) -> Option<Self> {
        let settled = Self { mark: None, killed: false, ..self };
        match self {
            _ if self.is_terminal() => None,
            _ if self.state == "FRESH" => {
                let is_due = !self.suspended && self.mark.is_none() && self.due <= now;
                is_due.then_some(Self { state: "RUNNING", ..self })
            }
            _ if self.mark == Some("CANCELLING") => Some(self.cancelled()),
            _ if !self.works() => None,
            _ => {
                let suspended = self.mark == Some("SUSPENDING") && reported != "FINISHED";
                Some(Self { state: reported, suspended, ..settled })
            }
        }
    }

    /// What an undo makes of it, or why it does nothing.
    fn undo(
        self,
        (before, kill): (Self, bool),
        at: u32,
        run: bool,
        now: DateTime<Utc>,
    ) -> Result<Self, &'static str> {
        match self {
            _ if kill => Err("KILLED"),
            _ if !before.works() && before.state != "FRESH" => Err("STARTED"),
            _ if self.modified != at => Err("CHANGED"),
            _ if before.works() => Ok(Self { mark: before.mark, ..self }),
            _ => {
                let is_held = before.due <= now && !run && !before.suspended;
                Ok(Self { suspended: before.suspended || is_held, ..before })
            }
        }
    }

    fn text(&self) -> String {
        let mark = self.mark.map(|mark| format!("+{mark}")).unwrap_or_default();
        let signs = [(self.killed, "!"), (self.suspended, "~")];
        let signs = signs.map(|(is, sign)| if is { sign } else { "" });
        format!("{}{mark}{}", self.state, signs.concat())
    }
}

/// Writes an order as an executor does.
async fn write(app: &App, id: &str, to: &Model, now: DateTime<Utc>) {
    let now = quote(&iso(&now));
    let started =
        if to.state == "FRESH" { "NULL".into() } else { format!("coalesce(started, {now})") };
    let sql = format!(
        "UPDATE orders SET state = '{}', suspended = {}, mark = NULL, kill_requested = NULL,
             sigkill_at = NULL, reason = NULL, started = {started}, state_since = {now}, modified = {now}
         WHERE controller_id = '{CONTROLLER}' AND order_id = '{id}'",
        to.state, to.suspended
    );
    app.db.execute(&sql).await.unwrap();
}

on_both! {
    async fn any_order_of_requests_and_reports_matches_the_model(kind: Kind) {
        let seed = std::env::var("UNDO_SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
        println!("UNDO_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut orders = BTreeMap::new();
        let mut rows = Vec::new();
        for i in 0..12 {
            let (state, suspended) =
                [("FRESH", false), ("FRESH", true), ("FRESH", false), ("WAITING", false)][i % 4];
            let due = start_time() + TimeDelta::seconds(random.random_range(-100..200));
            let mut row = Order::new(&format!("o{i:02}")).state(state).at(&iso(&due));
            row.suspended = suspended;
            let model = Model { state, suspended, mark: None, killed: false, due, modified: 0 };
            orders.insert(row.order_id.clone(), model);
            rows.push(row);
        }
        let app = App::with(kind, &rows).await;
        let mut cancels: Vec<(i64, u32, Done, bool)> = Vec::new();
        for step in 1..=STEPS {
            app.pass(TimeDelta::seconds(1));
            let now = start_time() + TimeDelta::seconds(step.into());
            let chosen: Vec<String> =
                orders.keys().filter(|_| random.random_bool(0.3)).cloned().collect();
            let what = random.random_range(0..8);
            if what < 3 && !chosen.is_empty() {
                let kill = random.random_bool(0.2);
                let response = app.cancel(json!({"orderIds": chosen, "kill": kill})).await;
                let mut done = Done::new();
                for id in &chosen {
                    let order = orders.get_mut(id).unwrap();
                    if let Some((after, killed)) = order.cancel(kill) {
                        done.insert(id.clone(), (*order, killed));
                        *order = Model { modified: step, ..after };
                    }
                }
                if !done.is_empty() {
                    cancels.push((response.entry(), step, done, false));
                }
            } else if what < 5 && !cancels.is_empty() {
                let n = cancels.len() - 1 - random.random_range(0..cancels.len().min(3));
                expect_undo(&app, &mut orders, &mut cancels[n], step, now, &mut random).await;
            } else if what == 5 && !chosen.is_empty() {
                let suspends = random.random_bool(0.5);
                let call = if suspends { "/orders/suspend" } else { "/orders/resume" };
                app.post(call, &json!({"controllerId": CONTROLLER, "orderIds": chosen})).await;
                for id in &chosen {
                    let order = orders.get_mut(id).unwrap();
                    let after = if suspends { order.suspend() } else { order.resume() };
                    if let Some(after) = after {
                        *order = Model { modified: step, ..after };
                    }
                }
            } else {
                for id in chosen {
                    let reported = ["INPROGRESS", "FAILED", "FINISHED"][random.random_range(0..3)];
                    let order = orders.get_mut(&id).unwrap();
                    if let Some(after) = order.report(reported, now) {
                        *order = Model { modified: step, ..after };
                        write(&app, &id, order, now).await;
                    }
                }
            }
            for (id, order) in &orders {
                assert_eq!(app.db.state(id).await, order.text(), "{id} after step {step}");
            }
        }
        expect_sound(&app).await;
    }
}

/// Undoes a cancel in the service and in the model, which must agree.
async fn expect_undo(
    app: &App,
    orders: &mut BTreeMap<String, Model>,
    (id, at, done, is_undone): &mut (i64, u32, Done, bool),
    step: u32,
    now: DateTime<Utc>,
    random: &mut impl Rng,
) {
    let run = random.random_bool(0.5);
    let overdue = if run { "run" } else { "suspend" };
    let response = undo(app, *id, json!({"overdue": overdue})).await;
    if *is_undone {
        assert!(response.not_found().contains("was undone already"), "step {step}");
        return;
    }
    let mut reasons = Vec::new();
    for (order_id, before) in done {
        let order = orders.get_mut(order_id).unwrap();
        match order.undo(*before, *at, run, now) {
            Ok(after) => {
                *order = Model { modified: step, ..after };
                *is_undone = true;
            }
            Err(reason) => reasons.push(format!("{order_id}: {reason}")),
        }
    }
    if *is_undone {
        let body: Value = response.ok();
        assert_eq!(left(&body), reasons, "step {step}");
    } else {
        assert!(response.nothing_found().starts_with("No orders to restore found."), "step {step}");
    }
}
