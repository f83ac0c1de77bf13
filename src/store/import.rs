//! Imports: their items, and what they make of them on either database.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Result;
use crate::model::order::{Mark, State};
use crate::model::window::iso;

/// A workflow or an order to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The controller; created if unknown.
    pub controller_id: String,
    /// The workflow's path.
    pub workflow_path: String,
    /// The workflow's version; the workflow is created if unknown.
    pub workflow_version_id: String,
    /// The date of the version; `None`: newer than the versions before it.
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
    /// What is known of its life.
    pub life: Life,
}

/// What an order has been through. Without [`Life::created`], a replaced order keeps what is
/// `None`; with it, the whole life is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Life {
    /// When it was created; `None`: as early as the other instants, or at the import.
    pub created: Option<DateTime<Utc>>,
    /// When it was first taken.
    pub started: Option<DateTime<Utc>>,
    /// Since when it has its state.
    pub state_since: Option<DateTime<Utc>>,
    /// When `SIGTERM` was requested; `sigkill_at` is there too, or neither.
    pub kill_requested: Option<DateTime<Utc>>,
    /// When `SIGKILL` is to follow.
    pub sigkill_at: Option<DateTime<Utc>>,
    /// Whether it is hidden as soon as it is terminal.
    pub remove_when_terminated: Option<bool>,
}

impl Life {
    /// When the order was created at the latest; `None`: it is new.
    pub(super) fn earliest(&self) -> Option<DateTime<Utc>> {
        self.created.or_else(|| self.started.into_iter().chain(self.state_since).min())
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// New orders.
    pub inserted: u64,
    /// Existing orders that were replaced.
    pub updated: u64,
    /// With `--replace`, existing orders that are as the input says already.
    pub unchanged: u64,
    /// Existing orders that were left alone: all without `--replace`, terminal ones with it.
    pub skipped: u64,
}

/// An import in progress: one transaction, without effect unless [`Import::commit`] is called.
#[async_trait]
pub trait Import: Send {
    /// Adds items, among which no order occurs twice.
    async fn add(&mut self, items: &[Item]) -> Result<Imported>;
    /// Commits everything, with an audit entry for the administrator of this process. `parameters`
    /// is an object that says what was imported; the entry belongs to the controller, if it was
    /// only one.
    async fn commit(self: Box<Self>, controller_id: Option<&str>, parameters: Value) -> Result<()>;
}

/// A version of a workflow that items name.
pub(super) struct NamedVersion<'a> {
    pub(super) controller_id: &'a str,
    pub(super) path: &'a str,
    pub(super) version_id: &'a str,
    /// The last date that an item gives it.
    pub(super) date: Option<DateTime<Utc>>,
}

/// The versions named by items, in order of first appearance: without dates, later ones are newer.
pub(super) fn versions(items: &[Item]) -> Vec<NamedVersion<'_>> {
    let mut versions: Vec<NamedVersion<'_>> = Vec::new();
    let mut places = HashMap::new();
    for Item { controller_id, workflow_path: path, workflow_version_id, version_date, .. } in items
    {
        match places.entry((controller_id, path, workflow_version_id)) {
            Entry::Vacant(entry) => {
                entry.insert(versions.len());
                let (version_id, date) = (workflow_version_id, *version_date);
                versions.push(NamedVersion { controller_id, path, version_id, date });
            }
            Entry::Occupied(entry) => {
                let version = &mut versions[*entry.get()];
                version.date = version_date.or(version.date);
            }
        }
    }
    versions
}

/// An order that comes in.
pub(super) struct IncomingOrder<'a> {
    pub(super) controller_id: &'a str,
    pub(super) order_id: &'a str,
    pub(super) workflow_path: &'a str,
    pub(super) workflow_version_id: &'a str,
    pub(super) state: State,
    pub(super) suspended: bool,
    pub(super) mark: Option<Mark>,
    pub(super) scheduled_for: Option<DateTime<Utc>>,
    pub(super) priority: i32,
    /// JSON as text, like `position`.
    pub(super) arguments: Cow<'a, str>,
    pub(super) position: Option<Cow<'a, str>>,
    pub(super) reason: Option<&'a str>,
    /// Not for the insert of an addition.
    pub(super) life: Life,
}

/// A value of a column as text.
type Cell<'a> = Option<Cow<'a, str>>;

impl IncomingOrder<'_> {
    /// The values of the columns of `tables::Use::Given` as text, in their order.
    pub(super) fn values(&self) -> [Cell<'_>; 12] {
        self.columns().map(|(_, value)| value)
    }

    /// The values of the columns of `tables::Use::Lived` as text, in their order.
    pub(super) fn lived(&self) -> [Cell<'_>; 6] {
        self.life_columns().map(|(_, value)| value)
    }

    /// When the order was created at the latest.
    pub(super) fn earliest(&self) -> Cell<'_> {
        instant(self.life.earliest())
    }

    fn columns(&self) -> [(&'static str, Cell<'_>); 12] {
        [
            ("controller_id", Some(self.controller_id.into())),
            ("order_id", Some(self.order_id.into())),
            ("workflow_path", Some(self.workflow_path.into())),
            ("workflow_version_id", Some(self.workflow_version_id.into())),
            ("state", Some(self.state.as_str().into())),
            ("suspended", Some(flag(self.suspended))),
            ("mark", self.mark.map(|mark| mark.as_str().into())),
            ("scheduled_for", instant(self.scheduled_for)),
            ("priority", Some(self.priority.to_string().into())),
            ("arguments", Some((&*self.arguments).into())),
            ("position", self.position.as_deref().map(Into::into)),
            ("reason", self.reason.map(Into::into)),
        ]
    }

    fn life_columns(&self) -> [(&'static str, Cell<'_>); 6] {
        let life = self.life;
        [
            ("kill_requested", instant(life.kill_requested)),
            ("sigkill_at", instant(life.sigkill_at)),
            ("created", instant(life.created)),
            ("started", instant(life.started)),
            ("state_since", instant(life.state_since)),
            ("remove_when_terminated", life.remove_when_terminated.map(flag)),
        ]
    }
}

fn instant<'a>(at: Option<DateTime<Utc>>) -> Cell<'a> {
    at.as_ref().map(|at| iso(at).into())
}

fn flag<'a>(flag: bool) -> Cow<'a, str> {
    if flag { "1" } else { "0" }.into()
}

/// The orders among items.
pub(super) fn incoming(items: &[Item]) -> Vec<IncomingOrder<'_>> {
    let orders = items.iter().filter_map(|item| {
        let order = item.order.as_ref()?;
        Some(IncomingOrder {
            controller_id: &item.controller_id,
            order_id: &order.order_id,
            workflow_path: &item.workflow_path,
            workflow_version_id: &item.workflow_version_id,
            state: order.state,
            suspended: order.suspended,
            mark: order.mark,
            scheduled_for: order.scheduled_for,
            priority: order.priority,
            arguments: Cow::from(&order.arguments),
            position: order.position.as_deref().map(Cow::from),
            reason: order.reason.as_deref(),
            life: order.life,
        })
    });
    orders.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::{Use, of_orders};

    #[test]
    fn an_incoming_order_has_a_value_for_each_column() {
        let order = IncomingOrder {
            controller_id: "prod",
            order_id: "a",
            workflow_path: "/sos/eod",
            workflow_version_id: "1",
            state: State::Fresh,
            suspended: false,
            mark: None,
            scheduled_for: None,
            priority: 0,
            arguments: "{}".into(),
            position: None,
            reason: None,
            life: Life::default(),
        };
        let names = |of| of_orders(of).map(|column| column.name).collect::<Vec<_>>();
        assert_eq!(order.columns().map(|(name, _)| name), *names(Use::Given));
        assert_eq!(order.life_columns().map(|(name, _)| name), *names(Use::Lived));
    }
}
