//! An order service that speaks the JOC API of JS7 JobScheduler over one SQL database.
//!
//! `http` takes requests in, `model` says what they mean, `store` does them; see
//! ARCHITECTURE.md.

pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod model;
pub mod store;
