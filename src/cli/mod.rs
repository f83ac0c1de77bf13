//! The command line: one file per subcommand.

pub mod account;
mod administrator;
#[cfg(target_os = "linux")]
pub mod agent;
pub mod audit;
pub mod capture;
pub mod check;
pub mod client;
pub mod completions;
pub mod copy;
pub mod demo;
pub mod error;
mod escape;
pub mod exit;
pub mod export;
mod findings;
mod full_access;
pub mod health;
mod http_client;
pub mod import;
pub mod logging;
pub mod man;
pub mod migrate;
mod new_file;
mod output;
pub mod program;
pub mod role;
mod sealer;
pub mod serve;
mod stop;
mod table;
mod terminal;
mod yaml;
