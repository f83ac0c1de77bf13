//! `joc-orders orders`, `workflows`, `controllers` and `audit`: the API for people and their scripts.
//! They speak HTTP to a service and know nothing of its database.

pub mod audit;
pub mod completing;
pub mod contexts;
pub mod login;
pub mod orders;
pub mod workflows;

mod add;
mod api_url;
mod body;
mod change;
mod connection;
mod context_file;
mod history;
mod listing;
mod once;
mod selectors;
mod show;
mod wait;
mod watch;
