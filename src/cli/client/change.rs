//! Changing orders: show what a change would do, ask, and then do no more than was shown to
//! whoever was asked.

use std::io::{self, BufRead, IsTerminal};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::body::Body;
use super::connection::{Answer, Connection, Session};
use super::failure::Failure;
use super::output::{self, Column, Format, Output, Screen, counted, visible};
use super::selectors::{Controller, Selectors, Why};
use crate::model::changing::ChangeKind;
use crate::model::selection::MAX_PREVIEWED;

const PREVIEWED: &[Column] = &[
    Column::text("order_id", "/orderId"),
    Column::text("workflow", "/workflowId/path"),
    Column::version("version", "/workflowId/versionId"),
    Column::state("state", "/state"),
    Column::state("effect", "/effect"),
];

/// What every change takes.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Refuse to change more orders than this
    #[arg(long, value_name = "N", help_heading = "Safety")]
    max_orders: Option<u64>,
    /// Do not ask
    #[arg(long, help_heading = "Safety")]
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
    why: Why,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    controller: Controller,
    #[command(flatten)]
    connection: Connection,
}

/// A change that is asked for.
pub(super) struct Change {
    kind: &'static ChangeKind,
    /// Whether any order is asked for.
    selects: bool,
    args: ChangeArgs,
    /// The request, but for `maxOrders`.
    pub(super) body: Body,
}

impl Change {
    pub(super) fn new(kind: &'static ChangeKind, selectors: &Selectors, args: ChangeArgs) -> Self {
        let mut body = args.controller.body();
        selectors.put_into(&mut body);
        args.why.put_into(&mut body);
        Self { kind, selects: selectors.select_any(), args, body }
    }

    /// Shows, asks and changes.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if !self.selects {
            let problem = "select orders: with --order-id, --workflow, --folder, --state, \
                           --date-from or --date-to (--folder / selects all)";
            return Err(Failure::Usage(problem.into()).into());
        }
        if !self.args.yes && !self.args.dry_run && !io::stdin().is_terminal() {
            let problem = "standard input is not a terminal: give --yes or --dry-run";
            return Err(Failure::Usage(problem.into()).into());
        }
        self.args.connection.session(async |session| self.in_session(session).await).await
    }

    async fn in_session(&self, session: &Session) -> anyhow::Result<()> {
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

    /// Shows what would change, and gives how many orders: at least one, and no more than
    /// are allowed.
    async fn preview(&self, session: &Session) -> anyhow::Result<u64> {
        let mut body = self.body.clone();
        body.put("limit", self.args.show);
        let call = format!("{}/preview", self.kind.path);
        let preview = session.call(&call, &body.into()).await?.body;
        let total = preview["total"].as_u64();
        let total = total.ok_or_else(|| Failure::Other("the preview has no total".into()))?;
        match self.args.output.format {
            // Standard output is for what is asked for.
            _ if !self.args.dry_run => {
                output::tell(&self.described(&preview, total, &Screen::stderr()));
            }
            Format::Table => {
                output::write(self.described(&preview, total, &Screen::stdout()).as_bytes())?;
            }
            Format::Json => output::json(&preview)?,
            Format::Csv => output::items(Format::Csv, PREVIEWED, &preview["orders"])?,
        }
        if self.args.dry_run && total > 0 {
            output::aside(self.args.output.format, &self.effects(&preview));
        }
        if total == 0 {
            return Err(Failure::Nothing(self.kind.nothing_found.into()).into());
        }
        match self.args.max_orders {
            Some(max) if total > max => {
                let orders = counted(total, "order");
                let problem = format!("{orders} would be affected, at most {max} are allowed");
                Err(Failure::Refused(problem).into())
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
            text += &output::table(PREVIEWED, &preview["orders"], screen);
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
        text + &self.effects(preview) + "\n"
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
        let effects = effects.join(", ");
        if self.args.dry_run {
            format!("would {effects}; dry run, nothing changed")
        } else {
            format!("will {effects}")
        }
    }

    fn report(&self, answer: &Answer) -> anyhow::Result<()> {
        let body = with_numbers(answer);
        match self.args.output.format {
            Format::Json => output::json(&body),
            Format::Csv => {
                let columns = &[
                    Column::new("affected", "/affected"),
                    Column::new("audit_log_id", "/auditLogId"),
                ];
                output::items(Format::Csv, columns, &json!([body]))
            }
            Format::Table => output::write(done(self.kind.done, answer).as_bytes()),
        }
    }
}

/// Calls the service for a change; `done` says what happens to the orders.
pub(super) async fn change(
    session: &Session,
    call: &str,
    body: &Value,
    done: &str,
) -> anyhow::Result<Answer> {
    match session.call(call, body).await {
        Err(failure @ Failure::BrokenOff(_)) => Err(failure).with_context(|| {
            format!("orders may have been {done}: `joc-orders audit` shows whether they were")
        }),
        result => Ok(result?),
    }
}

/// The answer to a change with what its headers say.
pub(super) fn with_numbers(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["affected"] = json!(answer.affected());
    body["auditLogId"] = json!(answer.audit_log_id());
    body
}

/// A line on what was done.
pub(super) fn done(what: &str, answer: &Answer) -> String {
    let affected = answer.affected().map_or_else(|| "orders".into(), |n| counted(n, "order"));
    let id = answer.audit_log_id().map_or_else(String::new, |id| format!(", audit log id {id}"));
    format!("{what}: {affected}{id}\n")
}

/// Asks on the terminal, in a session that Ctrl-C ends.
async fn confirm(session: &Session, question: &str) -> Result<(), Failure> {
    session.asking.set(true);
    let answer = ask(question).await;
    session.asking.set(false);
    answer
}

/// Asks on the terminal. Anything but a yes is a no.
pub(in crate::cli) async fn ask(question: &str) -> Result<(), Failure> {
    output::tell(&format!("{question} [y/N] "));
    let (sender, answer) = oneshot::channel();
    // A thread of its own, since the program must be able to end while it still reads.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line);
    });
    let answer = tokio::select! {
        answer = answer => answer.unwrap_or_default(),
        _ = tokio::signal::ctrl_c() => {
            output::tell("\n");
            return Err(Failure::NotConfirmed);
        }
    };
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::NotConfirmed),
    }
}
