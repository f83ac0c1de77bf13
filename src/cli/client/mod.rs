//! `joc-orders orders`, `workflows`, `controllers` and `audit`: the API for people and their scripts.
//! They speak HTTP to a service and know nothing of its database.

pub mod audit;
pub mod orders;
pub mod workflows;

mod add;
mod body;
mod change;
mod connection;
mod history;
mod listing;
mod selectors;
mod show;
mod wait;
