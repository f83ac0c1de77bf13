//! Imports: their items, and what they make of them on either database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Result;
use crate::model::order::{Mark, State};

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

/// A version of a workflow that items name.
pub(super) struct Version<'a> {
    pub(super) controller_id: &'a str,
    pub(super) path: &'a str,
    pub(super) version_id: &'a str,
    /// The last date that an item gives it.
    pub(super) date: Option<DateTime<Utc>>,
}

/// The versions that items name, in the order in which they first do: where no date says
/// otherwise, what comes later is newer.
pub(super) fn versions(items: &[Item]) -> Vec<Version<'_>> {
    let mut versions: Vec<Version<'_>> = Vec::new();
    let mut places = HashMap::new();
    for Item { controller_id, workflow_path: path, workflow_version_id, version_date, .. } in items
    {
        match places.entry((controller_id, path, workflow_version_id)) {
            Entry::Vacant(entry) => {
                entry.insert(versions.len());
                let (version_id, date) = (workflow_version_id, *version_date);
                versions.push(Version { controller_id, path, version_id, date });
            }
            Entry::Occupied(entry) => {
                let version = &mut versions[*entry.get()];
                version.date = version_date.or(version.date);
            }
        }
    }
    versions
}
