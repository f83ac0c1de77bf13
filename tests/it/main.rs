//! Tests over real HTTP, each on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[macro_use]
mod harness;
mod body;
mod cancel;
mod commands;
mod docs;
mod import;
mod oracle;
mod schema;
mod selection;
mod sessions;
mod transaction;
