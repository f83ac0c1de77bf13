//! `joc-orders audit`: who did what and why.

use clap::Args;
use serde_json::Value;

use super::body::Body;
use super::connection::ConnectionArgs;
use super::listing::Listing;
use super::selectors::{DateArgs, FolderArgs, some_text};
use crate::cli::output::OutputArgs;
use crate::cli::table::Column;

pub(super) const ENTRIES: Listing = Listing {
    path: "/audit_log",
    field: "auditLog",
    columns: &[
        Column::new("id", "/id"),
        Column::new("created", "/created"),
        Column::wide("controller_id", "/controllerId"),
        Column::text("account", "/account"),
        Column::new("request", "/request"),
        Column::wide("category", "/category"),
        Column::new("outcome", "/outcome"),
        Column::new("affected", "/affected"),
        Column::text("comment", "/comment"),
        Column::text("ticket_link", "/ticketLink"),
        Column::wide("time_spent", "/timeSpent"),
        Column::wide("client_address", "/clientAddress"),
        Column::wide("request_id", "/requestId"),
        Column::wide("parameters", "/parameters"),
    ],
    noun: "entry",
    word: "/outcome",
    limit: None,
};

const DETAILS: Listing = Listing {
    path: "/audit_log/details",
    field: "auditLogDetails",
    columns: &[
        Column::text("order_id", "/orderId"),
        Column::text("workflow", "/workflowId/path"),
        Column::version("version", "/workflowId/versionId"),
        Column::state("previous_state", "/previousState"),
        Column::state("new_state", "/newState"),
        Column::state("mark", "/mark"),
        Column::new("kill", "/kill"),
        Column::wide("via_parent", "/viaParent"),
        Column::wide("before", "/before"),
    ],
    noun: "order",
    word: "/newState",
    limit: None,
};

/// Show the audit log: who did what and why, over HTTP
#[derive(Debug, Args)]
pub struct EntriesArgs {
    /// Show the orders that this entry's request changed
    #[arg(
        long,
        value_name = "ID",
        value_parser = clap::value_parser!(i64).range(0..),
        conflicts_with_all = [
            "account", "recursive", "only", "object_name", "categories", "comment",
            "ticket_link", "date_from", "date_to", "time_zone", "limit",
        ]
    )]
    details: Option<i64>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    output: OutputArgs,
    /// Show entries of this controller
    #[arg(long, env = "JOC_ORDERS_CONTROLLER_ID", value_name = "ID", help_heading = "Connection")]
    controller_id: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Which entries.
#[derive(Debug, Args)]
struct Filter {
    /// Show entries of this account
    #[arg(long, value_parser = some_text())]
    account: Option<String>,
    #[command(flatten)]
    folders: FolderArgs,
    /// Show entries about this order or workflow
    #[arg(long, value_name = "NAME", value_parser = some_text())]
    object_name: Option<String>,
    /// Show entries of this category: CONTROLLER, IDENTITY, IMPORT, OTHERS. Repeatable
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<String>,
    /// Show entries with this comment
    #[arg(long, value_name = "TEXT", value_parser = some_text())]
    comment: Option<String>,
    /// Show entries with this ticket
    #[arg(long, value_name = "URL", value_parser = some_text())]
    ticket_link: Option<String>,
    #[command(flatten)]
    dates: DateArgs,
    /// Maximum number of entries, -1 for all
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<i64>,
}

impl Filter {
    fn put_into(&self, body: &mut Body) {
        body.put("account", self.account.as_deref());
        self.folders.put_into(body);
        body.put("objectName", self.object_name.as_deref());
        let categories = self.categories.iter().map(|category| category.to_uppercase());
        body.put("categories", categories.collect::<Value>());
        body.put("comment", self.comment.as_deref());
        body.put("ticketLink", self.ticket_link.as_deref());
        self.dates.put_into(body);
        body.put("limit", self.limit);
    }
}

/// Runs the command.
///
/// # Errors
///
/// A [`CliError`](crate::cli::error::CliError) if scripts may need to distinguish it.
pub async fn run(args: EntriesArgs) -> anyhow::Result<()> {
    let mut body = Body::default();
    body.put("controllerId", args.controller_id.as_deref().filter(|id| !id.is_empty()));
    let listing = match args.details {
        Some(id) => {
            body.put("auditLogId", id);
            DETAILS
        }
        None => {
            args.filter.put_into(&mut body);
            ENTRIES
        }
    };
    listing.show(args.connection, args.output.format, body.into()).await
}
