//! `joc-orders orders` and `joc-orders audit`: the API for people and their scripts. They speak
//! HTTP to a service and know nothing of its database.

pub mod audit;
pub mod orders;

mod add;
mod body;
mod change;
mod connection;
mod selectors;
