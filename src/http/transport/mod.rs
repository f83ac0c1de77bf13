//! What carries requests and responses, whatever they are about.

pub mod ahead;
pub mod connections;
pub mod drain;
mod exchange;
pub mod frame;
pub mod limits;
pub mod prometheus;
pub mod request;
pub mod socket;
pub mod stream;
pub mod tls;
pub mod trace;
