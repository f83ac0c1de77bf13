//! Tests over real HTTP, each on both databases.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[macro_use]
mod harness;
mod add;
mod attacks;
mod audit_log;
mod body;
mod calls;
mod cancel;
mod check;
mod client;
mod cockpit;
mod commands;
mod copy;
mod corpus;
mod docs;
mod every_call;
mod family;
mod faults;
mod first_minutes;
mod history;
mod import;
mod joc_clients;
mod list;
mod migrate;
mod numbers;
mod observed;
mod openapi;
mod oracle;
mod people;
mod plans;
mod readers;
mod replicas;
mod schema;
mod seals;
mod secured;
mod selection;
mod served;
mod sessions;
mod spoken;
mod stop;
mod stream;
mod transaction;
mod workflows;
mod zones;
