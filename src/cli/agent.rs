//! `joc-orders agent`: runs orders.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nix::sys::prctl;

use super::stop::{self, Signals};
use crate::agent::jobs::Jobs;
use crate::agent::service::Agent;
use crate::cli::error::CliError;
use crate::cli::exit::help_end;
use crate::config::DatabaseArgs;
use crate::store::runs::LeaseHolder;
use crate::store::{self, Access};

/// Run orders: start a command line for each order of the workflows in a file
#[derive(Debug, Args)]
#[command(after_help = help_end("\
  joc-orders agent --controller-id prod --jobs jobs.toml
  joc-orders agent --controller-id prod --jobs jobs.toml --slots 16 --lease 60"))]
pub struct AgentArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Controller whose orders it runs
    #[arg(long, env = "JOC_ORDERS_CONTROLLER_ID", value_name = "ID")]
    controller_id: String,
    /// File that says what runs for which workflow: docs/agent.md
    #[arg(long, env = "JOC_ORDERS_AGENT_JOBS", value_name = "FILE")]
    jobs: PathBuf,
    /// Maximum jobs at the same time
    #[arg(
        long,
        env = "JOC_ORDERS_AGENT_SLOTS",
        default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    slots: u32,
    /// Seconds after which other agents take over the orders of one that is gone
    #[arg(
        long,
        env = "JOC_ORDERS_AGENT_LEASE",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(3..=3600)
    )]
    lease: u32,
    /// Seconds that jobs have to end after SIGTERM or Ctrl-C
    #[arg(long, env = "JOC_ORDERS_AGENT_DRAIN", default_value_t = 60)]
    drain: u32,
}

/// Runs orders until a signal stops it.
///
/// # Errors
///
/// If the file of jobs is wrong, or the database is unavailable or does not know the controller.
pub async fn run(args: AgentArgs) -> anyhow::Result<()> {
    // Jobs run as the same user, who could otherwise read this process's environment.
    prctl::set_dumpable(false)?;
    let jobs = Jobs::read(&args.jobs).map_err(CliError::setting)?;
    let signals = Signals::stop()?;
    let url = &args.database.url;
    let store = store::open(url, args.database.connections, Access::Write).await?;
    if !store.knows_controller(&args.controller_id).await? {
        stop::close(&*store).await;
        let problem = format!("--controller-id: there is no controller {}", args.controller_id);
        return Err(CliError::Usage(problem).into());
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let agent = format!("{}-{}-{}", host.trim(), std::process::id(), &id[..8]);
    tracing::info!(agent, database = store::place(url)?, slots = args.slots, "running orders");
    let holder = LeaseHolder { controller_id: args.controller_id, agent, lease: args.lease };
    let agent = Agent::new(store.clone(), jobs, holder, args.slots as usize);
    agent.run(|| signals.next(), Duration::from_secs(args.drain.into())).await;
    stop::close(&*store).await;
    Ok(())
}
