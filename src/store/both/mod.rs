//! What the databases do alike. This directory is a module of `postgres` and of `sqlite`: its source
//! stands once, is compiled for each, and its statements are checked on both. The modules used here
//! are those of the database.

use super::{backend, checked, sealing};

mod accounts;
mod seals;
pub(super) mod sessions;
