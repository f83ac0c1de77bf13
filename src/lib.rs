//! An order service that speaks the JOC API of JS7 JobScheduler over one SQL database.
//!
//! `http` receives requests, `model` has the rules, `store` runs them on the database; see
//! ARCHITECTURE.md.

#[cfg(target_os = "linux")]
pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod model;
pub mod store;
