//! `joc-orders orders` and `joc-orders audit`: the API for people and their scripts. They speak
//! HTTP to a service and know nothing of its database.

pub mod audit;
pub mod failure;
pub mod orders;

mod add;
mod body;
pub(super) mod change;
mod connection;
pub(super) mod output;
mod selectors;

pub use self::connection::transport;
pub(super) use self::connection::{is_loopback, local_transport};
