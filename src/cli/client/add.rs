//! `joc-orders orders add`: one order from flags, or several from a file.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Deserializer, Map, Value, json};

use super::body::Body;
use super::change::{change, done, with_numbers};
use super::connection::ConnectionArgs;
use super::selectors::{ControllerArgs, ReasonArgs, some_text, start};
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::cli::output::{self, OutputArgs};
use crate::cli::table::Column;
use crate::cli::terminal::tell;
use crate::model::json::Json;

/// Add orders
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders orders add --workflow /sos/billing/eod --scheduled-for 'now + 01:30'
  joc-orders orders add --workflow eod --argument day=2026-11-23 --argument retries=3
  jq -c '.[]' orders.json | joc-orders orders add --from-file -"))]
pub(super) struct AddArgs {
    #[command(flatten)]
    order: OrderFlags,
    /// Add the orders of a JSON file: objects as in /orders/add, as a list or in sequence;
    /// `-` is standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "workflow",
        conflicts_with = "OrderFlags"
    )]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    why: ReasonArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The fields of one order.
#[derive(Debug, Args)]
struct OrderFlags {
    /// Workflow of the order: path or name
    #[arg(long, value_name = "PATH", value_parser = some_text())]
    workflow: Option<String>,
    /// Name, which ends the order's id
    #[arg(long, value_name = "NAME")]
    order_name: Option<String>,
    /// Start: 'now', 'now + 01:30', 'never' or '2026-11-23 08:00:00' [default: now]
    #[arg(long, value_name = "DATE", value_parser = start)]
    scheduled_for: Option<String>,
    /// Time zone of that date, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    time_zone: Option<String>,
    /// Argument; VALUE is a JSON boolean, number or quoted string, otherwise plain text.
    /// Repeatable
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = argument)]
    arguments: Vec<(String, Value)>,
    /// Priority; higher runs sooner
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
}

fn argument(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), scalar(value))),
        _ => Err("is not NAME=VALUE".into()),
    }
}

/// A JSON boolean, number or string; anything else is plain text.
fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Json(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_)))) => value,
        _ => text.into(),
    }
}

impl OrderFlags {
    fn order(self) -> anyhow::Result<Value> {
        let mut arguments = Map::new();
        for (name, value) in self.arguments {
            if arguments.contains_key(&name) {
                return Err(CliError::Usage(format!("--argument: {name} is given twice")).into());
            }
            arguments.insert(name, value);
        }
        let mut order = Body::default();
        order.put("workflowPath", self.workflow);
        order.put("orderName", self.order_name);
        order.put("scheduledFor", self.scheduled_for);
        order.put("timeZone", self.time_zone);
        order.put("arguments", arguments);
        order.put("priority", self.priority);
        Ok(order.into())
    }
}

/// Runs the command.
pub(super) async fn run(args: AddArgs) -> anyhow::Result<()> {
    let orders = match &args.from_file {
        Some(file) => orders_of(file)?,
        None => vec![args.order.order()?],
    };
    let mut body = args.controller.body(&args.connection)?;
    body.put("orders", orders);
    args.why.put_into(&mut body);
    let (body, format) = (Value::from(body), args.output.format);
    args.connection
        .session(async |session| {
            let response = change(session, "/orders/add", &body, "added").await?;
            if format.is_whole() {
                return output::whole(format, &with_numbers(&response));
            }
            tell(&done("added", &response));
            let ids = response.body["orderIds"].as_array().into_iter().flatten();
            let ids: Value = ids.map(|id| json!({ "orderId": id })).collect();
            output::items(format, &[Column::text("order_id", "/orderId")], &ids)
        })
        .await
}

/// The orders of a file: objects or lists of objects in sequence.
fn orders_of(file: &Path) -> anyhow::Result<Vec<Value>> {
    let (name, text) = if file == Path::new("-") {
        (String::from("standard input"), io::read_to_string(io::stdin().lock()))
    } else {
        (file.display().to_string(), std::fs::read_to_string(file))
    };
    let refuse = |problem: String| CliError::Usage(format!("{name}: {problem}"));
    let text = text.map_err(|error| refuse(error.to_string()))?;
    let mut orders = Vec::new();
    for value in Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter() {
        let Json(value) = value.map_err(|error| refuse(error.to_string()))?;
        match value {
            Value::Array(list) => orders.extend(list),
            order => orders.push(order),
        }
    }
    match orders.iter().position(|order| !order.is_object()) {
        Some(i) => Err(refuse(format!("order {} is not a JSON object", i + 1)).into()),
        None if orders.is_empty() => Err(refuse("has no orders".into()).into()),
        None => Ok(orders),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_arguments() {
        let number = |text: &str| Value::Number(text.parse().unwrap());
        for (text, value) in [
            ("n=1", json!(1)),
            ("n=-1.50", number("-1.50")),
            ("n=1e-3", number("1e-3")),
            ("n=1e-400", number("1e-400")),
            ("n=true", json!(true)),
            ("n=True", json!("True")),
            ("n=007", json!("007")),
            ("n=\"007\"", json!("007")),
            ("n=\"1\"", json!("1")),
            ("n=null", json!("null")),
            ("n=[1]", json!("[1]")),
            ("n={}", json!("{}")),
            ("n=", json!("")),
            ("n= 1", json!(1)),
            ("n=a=b", json!("a=b")),
            ("n=NaN", json!("NaN")),
            ("n=123456789012345678901234567890", number("123456789012345678901234567890")),
            (
                "n={\"$serde_json::private::Number\":\"1\"}",
                json!("{\"$serde_json::private::Number\":\"1\"}"),
            ),
        ] {
            assert_eq!(argument(text), Ok(("n".into(), value)), "{text}");
        }
        assert!(argument("n").is_err() && argument("=1").is_err());
    }
}
