//! Tests over real HTTP, each on both databases.

#[macro_use]
mod harness;
mod cancel;
