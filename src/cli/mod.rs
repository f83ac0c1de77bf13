//! The command line: one subcommand, one file.

pub mod account;
pub mod audit;
pub mod check;
pub mod client;
pub mod completions;
pub mod copy;
pub mod demo;
mod findings;
mod full_access;
pub mod health;
pub mod import;
pub mod logging;
pub mod man;
pub mod migrate;
pub mod role;
mod sealer;
pub mod serve;
mod stop;
