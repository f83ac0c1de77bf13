//! Exports: everything that an import takes, from one snapshot.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use super::import::{Item, Life, NewOrder};
use super::tables::{TABLES, Table};
use super::{Error, Result};

/// Items per batch.
const BATCH: usize = 500;

/// Exports workflows and orders.
#[async_trait]
pub trait Exports {
    /// Sends every version of every workflow and then every order, of one controller or of all, in
    /// the order of their keys; workflows and orders of one snapshot. Stops if the receiver is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if a row has what the database should have refused.
    async fn export(&self, controller_id: Option<&str>, to: Sender<Vec<Item>>) -> Result<()>;
}

/// The tables to export, with the columns that order their rows.
pub(super) fn tables() -> impl Iterator<Item = (&'static Table, &'static str)> {
    let keys = [
        ("workflows", "controller_id, path, created, version_id"),
        ("orders", "controller_id, order_id"),
    ];
    keys.into_iter()
        .filter_map(|(name, key)| Some((TABLES.iter().find(|table| table.name == name)?, key)))
}

/// Sends the rows of a table, which are JSON arrays; `false` if the receiver is gone.
pub(super) async fn send(
    table: &Table,
    mut rows: BoxStream<'_, sqlx::Result<String>>,
    to: &Sender<Vec<Item>>,
) -> Result<bool> {
    let mut batch = Vec::new();
    while let Some(row) = rows.try_next().await? {
        batch.push(item(table, &row)?);
        if batch.len() == BATCH && to.send(std::mem::take(&mut batch)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(batch.is_empty() || to.send(batch).await.is_ok())
}

/// The item of a row, which is a JSON array.
pub(super) fn item(table: &Table, row: &str) -> Result<Item> {
    Row::of(table, row).and_then(|row| row.item()).map_err(|problem| {
        let found = format!("{} has a row that cannot be exported: {problem}", table.name);
        Error::Data(format!("{found}; `joc-orders check` finds them all"))
    })
}

/// A row and its table.
struct Row<'a>(&'a Table, Vec<Value>);

impl<'a> Row<'a> {
    fn of(table: &'a Table, row: &str) -> std::result::Result<Self, String> {
        Ok(Self(table, serde_json::from_str(row).map_err(|error| error.to_string())?))
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let at = self.0.written().position(|column| column.name == name)?;
        self.1.get(at).filter(|value| !value.is_null())
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    fn text(&self, name: &str) -> std::result::Result<&str, String> {
        self.optional(name).ok_or_else(|| format!("{name} is no text"))
    }

    fn word<T: std::str::FromStr>(&self, name: &str) -> std::result::Result<Option<T>, String> {
        let word = |text: &str| text.parse().map_err(|_| format!("{name} is '{text}'"));
        self.optional(name).map(word).transpose()
    }

    fn instant(&self, name: &str) -> std::result::Result<Option<DateTime<Utc>>, String> {
        let instant = |text: &str| match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Ok(instant.to_utc()),
            Err(_) => Err(format!("{name} is '{text}'")),
        };
        self.optional(name).map(instant).transpose()
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.as_i64() == Some(1))
    }

    fn item(&self) -> std::result::Result<Item, String> {
        let controller_id = self.text("controller_id")?.to_owned();
        if self.0.name == "workflows" {
            return Ok(Item {
                controller_id,
                workflow_path: self.text("path")?.into(),
                workflow_version_id: self.text("version_id")?.into(),
                version_date: self.instant("created")?,
                order: None,
            });
        }
        let order_id = self.text("order_id")?;
        let order = self.order(order_id).map_err(|problem| format!("'{order_id}': {problem}"))?;
        Ok(Item {
            controller_id,
            workflow_path: self.text("workflow_path")?.into(),
            workflow_version_id: self.text("workflow_version_id")?.into(),
            version_date: None,
            order: Some(order),
        })
    }

    fn order(&self, order_id: &str) -> std::result::Result<NewOrder, String> {
        let priority = self.value("priority").and_then(Value::as_i64);
        Ok(NewOrder {
            order_id: order_id.to_owned(),
            state: self.word("state")?.ok_or("state is missing")?,
            suspended: self.flag("suspended"),
            mark: self.word("mark")?,
            reason: self.optional("reason").map(Into::into),
            scheduled_for: self.instant("scheduled_for")?,
            priority: priority.and_then(|n| n.try_into().ok()).ok_or("priority is no number")?,
            arguments: self.text("arguments")?.into(),
            position: self.optional("position").map(Into::into),
            life: Life {
                created: self.instant("created")?,
                started: self.instant("started")?,
                state_since: self.instant("state_since")?,
                kill_requested: self.instant("kill_requested")?,
                sigkill_at: self.instant("sigkill_at")?,
                remove_when_terminated: Some(self.flag("remove_when_terminated")),
            },
        })
    }
}
