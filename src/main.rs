//! The command line of joc-orders.

use std::io::IsTerminal;

use clap::{Parser, Subcommand};
use joc_orders::cli::{account, demo, import, migrate, role, serve};
use joc_orders::config::{LogFormat, Logging};
use tracing_subscriber::EnvFilter;

/// An order service that speaks the JOC API over one SQL database
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    logging: Logging,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Migrate(migrate::MigrateArgs),
    Import(import::ImportArgs),
    Account(account::AccountArgs),
    Role(role::RoleArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // An absent .env is fine; one that cannot be read is not.
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => anyhow::bail!(".env: {error}"),
        _ => {}
    }
    let cli = Cli::parse();
    let filter = EnvFilter::try_new(&cli.logging.log)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match cli.logging.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Account(args) => account::run(args).await,
        Command::Role(args) => role::run(args).await,
    }
}
