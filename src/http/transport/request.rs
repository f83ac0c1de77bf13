//! What every request says of itself: its route, its id, and where it comes from.

use std::net::IpAddr;

use actix_web::{HttpMessage, HttpRequest};

/// The path that every call is below.
pub const BASE: &str = "/joc/api";

/// The ID of a request, in its extensions.
#[derive(Clone)]
pub struct RequestId(pub String);

/// The route that a request takes, as it is written in the table of calls: of one path, a client
/// can write many forms, such as `/orders/%63ancel`, and none of them names the call.
pub fn route(request: &HttpRequest) -> Option<String> {
    request.resource_map().match_pattern(request.match_info().as_str())
}

/// The name that JOC gives a call in its audit log: its route below the base.
pub fn call_name(request: &HttpRequest) -> String {
    let route = route(request).unwrap_or_default();
    format!(".{}", route.strip_prefix(BASE).unwrap_or(&route))
}

pub fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

/// Where a request comes from. A socket that listens on `[::]` sees IPv4 clients as IPv6 ones.
pub fn client_ip(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip().to_canonical())
}

pub fn client_address(request: &HttpRequest) -> Option<String> {
    client_ip(request).map(|address| address.to_string())
}
