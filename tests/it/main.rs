//! Tests over real HTTP, each on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[macro_use]
mod harness;
mod cancel;
mod oracle;
