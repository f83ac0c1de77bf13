//! The app: every resource, and the server that serves them.

use std::net::TcpListener;
use std::sync::LazyLock;

use actix_service::IntoServiceFactory;
use actix_web::http::header::ContentType;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::{self, Bytes, Data, ServiceConfig, get, scope};
use actix_web::{App, HttpRequest, HttpResponse};
use schemars::Schema;
use serde_json::json;

use crate::http::context::once;
use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::openapi::{self, Endpoint, Schemas};
use crate::http::page;
use crate::http::resources::orders::{add, history, list, modify, undo};
use crate::http::resources::{
    audit_log, authentication, cockpit, joc, permissions, status, tree, workflows,
};
use crate::http::transport::connections::Http;
use crate::http::transport::drain::{self, Running};
use crate::http::transport::request::{BASE, route};
use crate::http::transport::{frame, limits, prometheus};
use crate::model::invalid::displayable;

/// The endpoints of a resource.
type Resource = fn(&mut Schemas) -> Vec<Endpoint>;

/// The resources of the API, grouped by tag, in the order in which to read them.
const API: [(&str, &[Resource]); 5] = [
    ("Session", &[authentication::endpoints, permissions::endpoints]),
    (
        "Orders",
        &[
            list::endpoints,
            history::endpoints,
            history::overview::endpoints,
            list::overview::endpoints,
            add::endpoints,
            modify::endpoints,
            undo::endpoints,
        ],
    ),
    ("Workflows", &[workflows::endpoints, tree::endpoints]),
    ("Audit log", &[audit_log::endpoints, audit_log::overview::endpoints]),
    ("Controllers", &[cockpit::endpoints, joc::endpoints]),
];
/// What needs no session.
const DOCUMENTS: [(&str, &[Resource]); 2] =
    [("Operation", &[status::endpoints]), ("Description", &[description])];

fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for (tag, resources) in API.iter().chain(&DOCUMENTS) {
        for resource in *resources {
            endpoints.extend(resource(schemas).into_iter().map(|endpoint| endpoint.tag(tag)));
        }
    }
    endpoints
}

fn description(_: &mut Schemas) -> Vec<Endpoint> {
    let endpoint = Endpoint::document("/openapi.json", get().to(document), "This description")
        .returns_schema(&Schema::from(true))
        .example(&json!({ "openapi": "3.1.0", "info": { "title": env!("CARGO_PKG_NAME") } }));
    vec![endpoint]
}

async fn document() -> HttpResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let mut schemas = Schemas::new();
        let endpoints = endpoints(&mut schemas);
        openapi::document(endpoints, schemas, &API.map(|(tag, _)| tag)).to_string().into()
    });
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.clone())
}

/// Adds the routes to an app, which has a [`Service`](crate::http::Service) as its data.
pub fn routes(config: &mut ServiceConfig) {
    let mut api = scope(BASE);
    for endpoint in endpoints(&mut Schemas::new()) {
        match endpoint.path.strip_prefix(BASE) {
            Some(path) => api = api.route(path, endpoint.route),
            None => drop(config.route(&endpoint.path, endpoint.route)),
        }
    }
    let api = api.wrap(from_fn(once::tell)).wrap(from_fn(limits::in_time));
    config.service(api.wrap(from_fn(drain::admit)));
    openapi::page::routes(config);
    page::routes(config);
}

/// Starts to serve on listening sockets, by TLS if there is a configuration for it.
///
/// # Errors
///
/// If a socket cannot be used.
pub fn serve(
    listeners: impl IntoIterator<Item = TcpListener>,
    service: Service,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Running> {
    let endpoints = endpoints(&mut Schemas::new());
    let responses = endpoints.iter().flat_map(|it| it.statuses().map(|status| (&*it.path, status)));
    prometheus::start(responses, endpoints.iter().filter_map(Endpoint::action));
    let patience = service.settings.shutdown_timeout();
    let drain = service.drain.clone();
    let settings = Data::new(service.settings.clone());
    let service = Data::new(service);
    let app = {
        let (settings, drain) = (settings.clone(), Data::from(drain.clone()));
        move || {
            App::new()
                .app_data(service.clone())
                .app_data(settings.clone())
                .app_data(drain.clone())
                .wrap(from_fn(status::watch))
                .wrap(from_fn(frame::frame))
                // Scripts join URLs with too many slashes, which JOC ignores.
                .wrap(NormalizePath::trim())
                .configure(routes)
                .default_service(web::to(not_found))
                .into_factory()
        }
    };
    let server = Http::serve(app, listeners, &settings, &drain, tls)?;
    Ok(Running::new(server, drain, patience))
}

async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = displayable(request.path());
    Err(match route(&request) {
        None => ApiError::UnknownEndpoint(path),
        Some(route) if route.starts_with(BASE) => ApiError::WrongMethod(path, "POST"),
        Some(_) => ApiError::WrongMethod(path, "GET, HEAD"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_stands_for_one_schema() {
        let mut schemas = Schemas::new();
        endpoints(&mut schemas);
        schemas.check_names();
    }
}
