//! What an import makes of its items, whichever the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};

use super::Item;

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
