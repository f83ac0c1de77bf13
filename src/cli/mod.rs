//! The command line: one subcommand, one file.

pub mod account;
pub mod demo;
pub mod import;
pub mod migrate;
pub mod role;
pub mod serve;
