//! The command line as a whole: parses it and starts the subcommand. It is in the library, since the
//! compiler would generate much of the code again for a binary that awaits the subcommands.

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(target_os = "linux")]
use crate::cli::agent;
use crate::cli::client::{completing, contexts, login, orders, workflows};
use crate::cli::error::CliError;
use crate::cli::{
    account, administrator, audit, capture, check, completions, copy, demo, exit, health, import,
    logging, man, migrate, role, serve,
};
use crate::config::{self, IdentityArgs, Logging};
use crate::model::window::time_zone_database;

/// The output of `--version`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{}\ntime zones: {}", env!("CARGO_PKG_VERSION"), time_zone_database())
});

/// An order service that speaks the JOC API over one SQL database
#[derive(Debug, Parser)]
#[command(version, long_version = VERSION.as_str())]
struct Cli {
    #[command(flatten)]
    logging: Logging,
    #[command(flatten)]
    identities: IdentityArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    #[cfg(target_os = "linux")]
    Agent(agent::AgentArgs),
    Migrate(migrate::MigrateArgs),
    Import(import::ImportArgs),
    Account(account::AccountArgs),
    Role(role::RoleArgs),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Contexts(contexts::ContextsArgs),
    Orders(orders::OrdersArgs),
    Workflows(workflows::WorkflowsArgs),
    Controllers(workflows::ControllersArgs),
    Audit(audit::AuditArgs),
    Check(check::CheckArgs),
    Capture(capture::CaptureArgs),
    Copy(copy::CopyArgs),
    Health(health::HealthArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the program. To be called before there are threads.
pub fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = crate::agent::guard::main() {
        return code;
    }
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

fn start() -> anyhow::Result<()> {
    // Before there are other threads.
    let loaded = config::load();
    // A word is completed as well as it can be.
    completions::complete(|| completing::with_completers(Cli::command()));
    loaded.map_err(CliError::setting)?;
    let mut command = config::without_empty(Cli::command());
    let matches = command.get_matches_mut();
    administrator::record(&matches);
    let mut cli =
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
    if matches!(cli.command, Command::Demo(_))
        && matches.value_source("log") == Some(ValueSource::DefaultValue)
    {
        cli.logging.log = demo::LOG.into();
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(cli))
}

/// Whether a command may write to the audit trail or show pseudonyms. Others need no key, which
/// those who run them may not read.
fn may_record(command: &Command) -> bool {
    match command {
        Command::Orders(args) => args.may_record(),
        Command::Audit(args) => args.may_record(),
        Command::Login(_)
        | Command::Logout(_)
        | Command::Contexts(_)
        | Command::Workflows(_)
        | Command::Controllers(_)
        | Command::Check(_)
        | Command::Capture(_)
        | Command::Health(_)
        | Command::Completions(_)
        | Command::Man(_) => false,
        #[cfg(target_os = "linux")]
        Command::Agent(_) => false,
        _ => true,
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    if may_record(&cli.command) {
        cli.identities.install().map_err(CliError::setting)?;
    }
    let _traces = logging::start(&cli.logging).map_err(CliError::setting)?;
    match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        #[cfg(target_os = "linux")]
        Command::Agent(args) => agent::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Account(args) => account::run(args).await,
        Command::Role(args) => role::run(args).await,
        Command::Login(args) => login::login(args).await,
        Command::Logout(args) => login::logout(args).await,
        Command::Contexts(args) => contexts::run(args),
        Command::Orders(args) => orders::run(args).await,
        Command::Workflows(args) => workflows::run(args).await,
        Command::Controllers(args) => workflows::controllers(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Capture(args) => capture::run(args).await,
        Command::Copy(args) => copy::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, Cli::command()),
    }
}
