//! Changing orders: preview the change, ask for confirmation, and change no more than the preview
//! showed.

use std::io::{self, IsTerminal};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::body::Body;
use super::connection::{ApiResponse, ApiSession, ConnectionArgs};
use super::selectors::{ControllerArgs, ReasonArgs, SelectorArgs, expect_any};
use crate::cli::error::CliError;
use crate::cli::escape::visible;
use crate::cli::output::{self, OutputArgs, OutputFormat};
use crate::cli::table::{Column, Screen, table};
use crate::cli::terminal::{ask, tell, write};
use crate::model::changing::ChangeKind;
use crate::model::counted::counted;
use crate::model::selection::MAX_PREVIEWED;

const PREVIEWED: &[Column] = &[
    Column::text("order_id", "/orderId"),
    Column::text("workflow", "/workflowId/path"),
    Column::version("version", "/workflowId/versionId"),
    Column::state("state", "/state"),
    Column::state("effect", "/effect"),
];

/// How many orders that are left alone are named.
const NAMED: usize = 10;

/// Options of every change.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Refuse to change more orders than this
    #[arg(long, value_name = "N", help_heading = "Safety")]
    max_orders: Option<u64>,
    /// Do not ask
    #[arg(short, long, help_heading = "Safety")]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes", help_heading = "Safety")]
    dry_run: bool,
    /// Number of orders to show before the change
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_PREVIEWED)),
        help_heading = "Safety"
    )]
    show: u32,
    #[command(flatten)]
    why: ReasonArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    controller: ControllerArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A command that changes orders.
pub(super) struct ChangeRun {
    kind: &'static ChangeKind,
    /// Whether any selector is given.
    selects: bool,
    args: ChangeArgs,
    /// The request without `maxOrders`.
    pub(super) body: Body,
}

impl ChangeRun {
    pub(super) fn new(
        kind: &'static ChangeKind,
        selectors: &SelectorArgs,
        args: ChangeArgs,
    ) -> anyhow::Result<Self> {
        let mut run = Self::of(kind, args)?;
        selectors.put_into(&mut run.body);
        run.selects = selectors.select_any();
        Ok(run)
    }

    /// A change that needs no selectors.
    pub(super) fn of(kind: &'static ChangeKind, args: ChangeArgs) -> anyhow::Result<Self> {
        let mut body = args.controller.body(&args.connection)?;
        args.why.put_into(&mut body);
        Ok(Self { kind, selects: true, args, body })
    }

    /// Shows, asks and changes.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        expect_any(self.selects)?;
        if !self.args.yes && !self.args.dry_run && !io::stdin().is_terminal() {
            let problem = "standard input is not a terminal: give --yes or --dry-run";
            return Err(CliError::Usage(problem.into()).into());
        }
        self.args.connection.session(async |session| self.in_session(session).await).await
    }

    async fn in_session(&self, session: &ApiSession) -> anyhow::Result<()> {
        let total = self.preview(session).await?;
        if self.args.dry_run {
            return Ok(());
        }
        let mut body = self.body.clone();
        if self.args.yes {
            body.put("maxOrders", self.args.max_orders);
        } else {
            let question = format!("{} {}?", self.kind.verb, counted(total, "order"));
            confirm(session, &question).await?;
            body.put("maxOrders", total);
        }
        self.report(&change(session, self.kind.path, &body.into(), "changed").await?)
    }

    /// Shows what would change. Returns the number of orders: at least one, at most
    /// `--max-orders`.
    async fn preview(&self, session: &ApiSession) -> anyhow::Result<u64> {
        let mut body = self.body.clone();
        body.put("limit", self.args.show);
        let call = format!("{}/preview", self.kind.path);
        let preview = session.call(&call, &body.into()).await?.body;
        let total = preview["total"].as_u64();
        let total = total.ok_or_else(|| CliError::Other("the preview has no total".into()))?;
        match self.args.output.format {
            // Standard output is for the result.
            _ if !self.args.dry_run => {
                tell(&self.described(&preview, total, &Screen::stderr()));
            }
            OutputFormat::Table => {
                write(self.described(&preview, total, &Screen::stdout()).as_bytes())?;
            }
            format if format.is_whole() => output::whole(format, &preview)?,
            format => {
                output::items(format, PREVIEWED, &preview["orders"])?;
            }
        }
        if self.args.dry_run && total > 0 {
            output::aside(self.args.output.format, &self.effects(&preview));
        }
        if total == 0 {
            return Err(CliError::Nothing(self.kind.nothing_found.into()).into());
        }
        match self.args.max_orders {
            Some(max) if total > max => {
                let orders = counted(total, "order");
                let problem = format!("{orders} would be affected, at most {max} are allowed");
                Err(CliError::Refused(problem).into())
            }
            _ => Ok(total),
        }
    }

    fn described(&self, preview: &Value, total: u64, screen: &Screen) -> String {
        if total == 0 {
            return String::new();
        }
        let mut text = String::new();
        let shown = preview["orders"].as_array().map_or(0, Vec::len);
        if shown > 0 {
            text += &table(PREVIEWED, &preview["orders"], screen);
        }
        let more = total.saturating_sub(u64::try_from(shown).unwrap_or(total));
        if shown > 0 && more > 0 {
            text += &format!("… and {more} more\n");
        }
        let dates = [("from", "dateFrom"), ("before", "dateTo")].map(|(word, field)| {
            let date = preview[field].as_str();
            date.map_or_else(String::new, |date| format!(" {word} {}", visible(date)))
        });
        if dates.iter().any(|date| !date.is_empty()) {
            text += &format!("scheduled{}\n", dates.concat());
        }
        let states = preview["byState"].as_object().into_iter().flatten();
        let states = states.map(|(state, count)| (&**state, count.as_u64().unwrap_or_default()));
        text += &format!("{}\n", output::total(total, "order", states));
        text + &self.effects(preview) + "\n" + &left_alone(preview)
    }

    /// `would cancel 2 orders, kill 1; dry run, nothing changed`
    fn effects(&self, preview: &Value) -> String {
        let counts = self.kind.counts.iter().map(|(name, verb)| (*verb, preview[name].as_u64()));
        let counts = counts.filter_map(|(verb, count)| Some((verb, count.filter(|n| *n > 0)?)));
        let mut effects: Vec<String> = counts.map(|(verb, n)| format!("{verb} {n}")).collect();
        if let Some(first) = effects.first_mut() {
            let is_one = first.ends_with(" 1");
            *first += if is_one { " order" } else { " orders" };
        }
        let effects = effects.join(", ") + &by_cycle(preview);
        if self.args.dry_run {
            format!("would {effects}; dry run, nothing changed")
        } else {
            format!("will {effects}")
        }
    }

    fn report(&self, response: &ApiResponse) -> anyhow::Result<()> {
        let body = with_numbers(response);
        match self.args.output.format {
            format if format.is_whole() => output::whole(format, &body),
            OutputFormat::Table => {
                let text = done(self.kind.done, response) + &left_alone(&body);
                write(text.as_bytes())
            }
            format => {
                let affected = Column::new("affected", "/affected");
                let audit_log_id = Column::new("audit_log_id", "/auditLogId");
                let columns = match format {
                    OutputFormat::Name => &[audit_log_id][..],
                    _ => &[affected, audit_log_id],
                };
                output::items(format, columns, &json!([body]))
            }
        }
    }
}

/// Sends a request that changes orders, once; `done` is the change in an error message.
pub(super) async fn change(
    session: &ApiSession,
    call: &str,
    body: &Value,
    done: &str,
) -> anyhow::Result<ApiResponse> {
    match session.call_once(call, body).await {
        Err(failure @ CliError::Aborted(_)) => Err(failure).with_context(|| {
            format!("orders may have been {done}: `joc-orders audit` shows whether they were")
        }),
        result => Ok(result?),
    }
}

/// The response to a change, with the numbers of its headers.
pub(super) fn with_numbers(response: &ApiResponse) -> Value {
    let mut body = response.body.clone();
    body["affected"] = json!(response.affected());
    body["auditLogId"] = json!(response.audit_log_id());
    body
}

/// The result in one line.
pub(super) fn done(what: &str, response: &ApiResponse) -> String {
    let affected = response.affected().map_or_else(|| "orders".into(), |n| counted(n, "order"));
    let id = response.audit_log_id().map_or_else(String::new, |id| format!(", audit log id {id}"));
    format!("{what}: {affected}{id}\n")
}

/// `3 orders left alone: a STARTED, b CHANGED, …`, after an undo that does not restore all.
fn left_alone(body: &Value) -> String {
    let total = body["notRestoredTotal"].as_u64().unwrap_or_default();
    let orders = body["notRestored"].as_array().map(Vec::as_slice).unwrap_or_default();
    if total == 0 {
        return String::new();
    }
    let field = |order: &Value, name: &str| visible(order[name].as_str().unwrap_or_default());
    let mut named: Vec<String> = orders
        .iter()
        .take(NAMED)
        .map(|order| format!("{} {}", field(order, "orderId"), field(order, "reason")))
        .collect();
    if total > named.len() as u64 {
        named.push("…".into());
    }
    format!("{} left alone: {}\n", counted(total, "order"), named.join(", "))
}

/// Asks on the terminal, where Ctrl-C means no.
async fn confirm(session: &ApiSession, question: &str) -> Result<(), CliError> {
    session.asking.set(true);
    let answer = ask(question).await;
    session.asking.set(false);
    answer
}

/// ` (3 of them not named, but of the cycle of an order that is)`, if there are such orders.
fn by_cycle(preview: &Value) -> String {
    match preview["byCycle"].as_u64() {
        None | Some(0) => String::new(),
        Some(n) => format!(" ({n} of them not named, but of the cycle of an order that is)"),
    }
}
