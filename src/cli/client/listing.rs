//! A list of the API, shown in one of the output formats.

use serde_json::Value;

use super::connection::ConnectionArgs;
use crate::cli::output::{self, OutputFormat};
use crate::cli::table::Column;
use crate::cli::terminal::tell;

/// The default `limit` of `/orders` and `/orders/history`.
pub(super) const LIMIT: usize = 10_000;

/// A list: where it comes from, and what is shown of it.
pub(super) struct Listing {
    pub(super) path: &'static str,
    /// The field of the response that has the items.
    pub(super) field: &'static str,
    pub(super) columns: &'static [Column],
    pub(super) noun: &'static str,
    /// Where an item has the word by which the total counts it; empty: nowhere.
    pub(super) word: &'static str,
    /// How many items the service sends if the request has no `limit`; `None`: all.
    pub(super) limit: Option<usize>,
}

/// Orders, as `/orders` lists them.
pub(super) const ORDERS: Listing = Listing {
    path: "/orders",
    field: "orders",
    columns: &[
        Column::text("order_id", "/orderId"),
        Column::text("workflow", "/workflowId/path"),
        Column::version("version", "/workflowId/versionId"),
        Column::state("state", "/state/_text"),
        Column::wide("reason", "/state/_reason"),
        Column::state("marked", "/marked/_text"),
        Column::new("scheduled_for", "/scheduledFor"),
        Column::wide("priority", "/priority"),
        Column::wide("position", "/position"),
        Column::wide("arguments", "/arguments"),
    ],
    noun: "order",
    word: "/state/_text",
    limit: Some(LIMIT),
};

impl Listing {
    /// Sends a request and shows its response: JSON as it comes, otherwise the items.
    pub(super) async fn show(
        &self,
        connection: ConnectionArgs,
        format: OutputFormat,
        body: Value,
    ) -> anyhow::Result<()> {
        connection
            .session(async |session| {
                if format == OutputFormat::Json {
                    return session.copy(self.path, &body).await;
                }
                let response = session.call(self.path, &body).await?.body;
                if format.is_whole() {
                    return output::whole(format, &response);
                }
                let items = &response[self.field];
                let limit = self.limit.filter(|_| body.get("limit").is_none());
                if let Some(limit) = limit
                    && items.as_array().is_some_and(|list| list.len() == limit)
                {
                    tell(&format!("the first {limit} {}s; --limit -1 lists all\n", self.noun));
                }
                output::items(format, self.columns, items)?;
                output::footer(format, &output::totals(items, self.noun, self.word));
                Ok(())
            })
            .await
    }
}
