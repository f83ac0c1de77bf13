//! The reference executor, `joc-orders agent`: runs a command line for each order of the workflows
//! that its file names. docs/agent.md describes it, and docs/executors.md the rules for executors.
//!
//! Each job has a guard, a process between the agent and the job, which ends the job when the agent
//! is gone or its lease is about to expire.

mod context;
mod environment;
pub mod guard;
pub mod jobs;
mod output;
mod process;
mod run;
pub mod service;
