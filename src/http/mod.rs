//! The JOC API over HTTP: how requests are carried, what handlers are given, and the resources.
//! [`server`] collects them all.

mod context;
mod date;
mod error;
mod openapi;
mod page;
mod resources;
mod server;
mod transport;

pub use self::context::service::Service;
pub use self::context::{password, sealing};
pub use self::server::{routes, serve};
pub use self::transport::request::BASE;
pub use self::transport::{drain, tls};
