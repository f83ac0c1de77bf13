//! Imports: their items, and what they make of them on either database.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Error, Result};
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
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// New orders.
    pub inserted: u64,
    /// Existing orders that were replaced.
    pub updated: u64,
    /// Existing orders that were left unchanged: all without `--replace`, terminal ones with it.
    pub skipped: u64,
}

/// An import in progress: one transaction, without effect unless [`Import::commit`] is called.
#[async_trait]
pub trait Import: Send {
    /// Adds items, among which no order occurs twice.
    async fn add(&mut self, items: &[Item]) -> Result<Imported>;
    /// Commits everything.
    async fn commit(self: Box<Self>) -> Result<()>;
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

/// An order that comes in: the columns of `tables::Use::Given`.
#[derive(Serialize)]
pub(super) struct IncomingOrder<'a> {
    pub(super) controller_id: &'a str,
    pub(super) order_id: &'a str,
    pub(super) workflow_path: &'a str,
    pub(super) workflow_version_id: &'a str,
    pub(super) state: &'static str,
    pub(super) suspended: bool,
    pub(super) mark: Option<&'static str>,
    pub(super) scheduled_for: Option<String>,
    pub(super) reason: Option<&'a str>,
    pub(super) priority: i32,
    /// JSON as text, like every field below.
    pub(super) arguments: Cow<'a, str>,
    pub(super) position: Option<Cow<'a, str>>,
}

impl IncomingOrder<'_> {
    /// The orders as JSON for the statements.
    pub(super) fn json<'a>(orders: impl Iterator<Item = IncomingOrder<'a>>) -> Result<String> {
        let json = serde_json::to_string(&orders.collect::<Vec<_>>());
        json.map_err(|error| Error::Data(error.to_string()))
    }
}

/// The orders among items.
pub(super) fn incoming(items: &[Item]) -> impl Iterator<Item = IncomingOrder<'_>> {
    items.iter().filter_map(|item| {
        let order = item.order.as_ref()?;
        Some(IncomingOrder {
            controller_id: &item.controller_id,
            order_id: &order.order_id,
            workflow_path: &item.workflow_path,
            workflow_version_id: &item.workflow_version_id,
            state: order.state.as_str(),
            suspended: order.suspended,
            mark: order.mark.map(Mark::as_str),
            scheduled_for: order.scheduled_for.as_ref().map(iso),
            reason: order.reason.as_deref(),
            priority: order.priority,
            arguments: Cow::from(&order.arguments),
            position: order.position.as_deref().map(Cow::from),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::State;
    use crate::store::NewOrder;
    use crate::store::tables::{Use, of_orders};

    #[test]
    fn an_incoming_order_has_a_field_for_each_column() {
        let order = NewOrder {
            order_id: "a".into(),
            state: State::Fresh,
            suspended: false,
            mark: None,
            reason: None,
            scheduled_for: None,
            priority: 0,
            arguments: "{}".into(),
            position: None,
        };
        let item = Item {
            controller_id: "prod".into(),
            workflow_path: "/sos/eod".into(),
            workflow_version_id: "1".into(),
            version_date: None,
            order: Some(order),
        };
        let json: serde_json::Value =
            serde_json::from_str(&IncomingOrder::json(incoming(&[item])).unwrap()).unwrap();
        let mut fields: Vec<_> = json[0].as_object().unwrap().keys().cloned().collect();
        let mut columns: Vec<_> = of_orders(Use::Given).map(|column| column.name).collect();
        fields.sort_unstable();
        columns.sort_unstable();
        assert_eq!(fields, columns);
    }
}
