//! What both databases do the same way. This directory is a module of `postgres` and of `sqlite`:
//! the source exists once, is compiled for each, and its statements are checked on both. The
//! modules used here are those of the database.

use super::{
    audit, backend, built, capture as triggers, checked, copy, import, partitions,
    runs as executing, schema, sealing,
};

mod accounts;
mod additions;
mod administration;
pub(in crate::store) mod archive;
pub(super) mod capture;
mod copies;
pub(in crate::store) mod ended;
mod exports;
mod imports;
mod list;
pub(super) mod once;
mod overview;
pub(super) mod preview;
mod runs;
mod seals;
pub(super) mod sessions;
mod trail;
pub(super) mod undo;
mod workflows;
