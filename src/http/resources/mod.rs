//! The resources of the API, a file for each.

pub mod audit_log;
pub mod authentication;
pub mod buckets;
pub mod cockpit;
pub mod joc;
pub mod orders;
pub mod permissions;
pub mod status;
pub mod summary;
pub mod tree;
pub mod workflows;
