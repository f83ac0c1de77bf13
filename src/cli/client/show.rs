//! `joc-orders orders show`: one order, its child orders, and what was done to it.

use clap::Args;
use serde_json::{Value, json};
use strum::VariantArray;

use super::audit::ENTRIES;
use super::connection::{ApiSession, ConnectionArgs};
use super::listing::ORDERS;
use super::selectors::{ControllerArgs, some_text};
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::cli::output::{self, OutputArgs, OutputFormat};
use crate::cli::table::{Column, Screen, table};
use crate::cli::terminal::{tell, write};
use crate::model::order::EffectiveState;

const CHANGES: &[Column] = &[
    Column::new("id", "/id"),
    Column::new("created", "/created"),
    Column::text("account", "/account"),
    Column::new("request", "/request"),
    Column::new("outcome", "/outcome"),
    Column::text("comment", "/comment"),
    Column::text("ticket_link", "/ticketLink"),
];

/// Show an order, its child orders and its audit log
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders show '#2026-11-23#P1-eod'
  joc-orders orders show '#2026-11-23#P1-eod' -o json | jq .order.arguments"))]
pub(super) struct ShowArgs {
    /// Id of the order
    #[arg(value_name = "ID", value_parser = some_text())]
    order_id: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(super) async fn run(args: ShowArgs) -> anyhow::Result<()> {
    let format = args.output.format;
    args.connection
        .session(async |session| {
            let mut body = args.controller.body(&args.connection)?;
            body.put("orderId", args.order_id.as_str());
            let mut order = session.call("/order", &body.into()).await?.body;
            // When the response was made is no part of the order.
            if let Some(fields) = order.as_object_mut() {
                fields.retain(|name, _| !matches!(name.as_str(), "deliveryDate" | "surveyDate"));
            }
            if matches!(format, OutputFormat::Csv | OutputFormat::Name) {
                return output::items(format, ORDERS.columns, &json!([order]));
            }
            let children = children(session, &args, &order).await?;
            let changes = changes(session, &args).await?;
            if format.is_whole() {
                let shown = json!({ "order": order, "children": children, "auditLog": changes });
                return output::whole(format, &shown);
            }
            write(text(&order, &children, &changes).as_bytes())
        })
        .await
}

/// The child orders, also those that have ended.
async fn children(session: &ApiSession, args: &ShowArgs, order: &Value) -> anyhow::Result<Value> {
    let mut body = args.controller.body(&args.connection)?;
    body.put("workflowIds", json!([{ "path": order["workflowId"]["path"] }]));
    let prefix = format!("{}|", args.order_id);
    // `%` is any text in JOC's expressions.
    body.put("regex", format!("/{}", regex::escape(&prefix).replace('%', ".")));
    let states = EffectiveState::VARIANTS.iter().map(|state| state.as_str());
    body.put("states", states.collect::<Value>());
    body.put("limit", -1);
    let orders = session.call("/orders", &body.into()).await?.body["orders"].take();
    let orders = orders.as_array().into_iter().flatten();
    let is_child = |order: &&Value| {
        order["orderId"].as_str().is_some_and(|order_id| order_id.starts_with(&prefix))
    };
    Ok(orders.filter(is_child).cloned().collect())
}

/// The audit log of the order; nothing without the permission to read it.
async fn changes(session: &ApiSession, args: &ShowArgs) -> anyhow::Result<Value> {
    let mut body = args.controller.body(&args.connection)?;
    body.put("objectName", args.order_id.as_str());
    match session.call(ENTRIES.path, &body.into()).await {
        Ok(mut response) => Ok(response.body[ENTRIES.field].take()),
        Err(CliError::NotPermitted(problem)) => {
            tell(&format!("no audit log: {problem}\n"));
            Ok(json!([]))
        }
        Err(error) => Err(error.into()),
    }
}

fn text(order: &Value, children: &Value, changes: &Value) -> String {
    let screen = Screen::stdout();
    let columns = ORDERS.columns.iter().map(|column| (column.name, column.of(order)));
    let fields = columns.filter(|(_, value)| !value.is_empty());
    let fields: Value =
        fields.map(|(name, value)| json!({ "field": name, "value": value })).collect();
    let mut text =
        table(&[Column::new("field", "/field"), Column::text("value", "/value")], &fields, &screen);
    for (title, columns, items) in
        [("Child orders", ORDERS.columns, children), ("Audit log", CHANGES, changes)]
    {
        if items.as_array().is_some_and(|items| !items.is_empty()) {
            text += &format!("\n{title}:\n{}", table(columns, items, &screen));
        }
    }
    text
}
