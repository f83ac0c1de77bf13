//! What every request tells: its route, its ID, and where it comes from.

use std::net::IpAddr;

use actix_web::{HttpMessage, HttpRequest};

/// The path above every endpoint of the JOC API.
pub const BASE: &str = "/joc/api";

/// The ID of a request, in its extensions.
#[derive(Clone)]
pub struct RequestId(pub String);

/// The route of a request, as its endpoint declares it. A client can write one path in many ways,
/// such as `/orders/%63ancel`, so the path itself names no endpoint.
pub fn route(request: &HttpRequest) -> Option<String> {
    request.resource_map().match_pattern(request.match_info().as_str())
}

/// The name of a request in JOC's audit log: its route below [`BASE`].
pub fn call_name(request: &HttpRequest) -> String {
    let route = route(request).unwrap_or_default();
    format!(".{}", route.strip_prefix(BASE).unwrap_or(&route))
}

pub fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

/// The client's address. A socket that listens on `[::]` sees IPv4 clients as IPv6 ones.
pub fn client_ip(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip().to_canonical())
}

pub fn client_address(request: &HttpRequest) -> Option<String> {
    client_ip(request).map(|address| address.to_string())
}
