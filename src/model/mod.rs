//! The rules of the API: states, effects, selections, windows, permissions. No clock, no SQL, no
//! I/O except reading the time zone database, and no imports from the rest of the crate.

pub mod action;
pub mod administrator;
pub mod archive;
pub mod arguments;
pub mod audit;
pub mod changing;
pub mod checks;
pub mod counted;
pub mod cycle;
pub mod effect;
pub mod finding;
pub mod folders;
pub mod identities;
pub mod invalid;
pub mod json;
pub mod once;
pub mod order;
pub mod order_name;
pub mod permission;
pub mod seal;
pub mod secrets;
pub mod selection;
pub mod suggest;
pub mod texts;
pub mod undo;
pub mod window;
pub mod workflow_id;
