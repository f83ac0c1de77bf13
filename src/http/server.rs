//! Every call of the service: its path, what answers it, and what it takes and answers.

use std::net::TcpListener;

use actix_service::IntoServiceFactory;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::web::{self, Data, ServiceConfig, post, scope};
use actix_web::{App, HttpRequest, HttpResponse};
use serde_json::json;

use crate::http::context::response::{Dated, Delivered, Done};
use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::openapi::{self, CONTROLLER, Endpoint, Schemas};
use crate::http::resources::orders::item::OrderItem;
use crate::http::resources::orders::{add, history, list, modify};
use crate::http::resources::{
    audit_log, authentication, cockpit, permissions, status, tree, workflows,
};
use crate::http::transport::connections::Http;
use crate::http::transport::drain::{self, Running};
use crate::http::transport::request::{BASE, route};
use crate::http::transport::{frame, limits, prometheus};
use crate::model::invalid::displayable;
use crate::model::permission::{
    CREATE_ORDERS, VIEW_AUDIT_LOG, VIEW_CONTROLLER, VIEW_ORDERS, VIEW_WORKFLOWS,
};

const SESSION: &str = "Session";
const ORDERS: &str = "Orders";
const WORKFLOWS: &str = "Workflows";
const AUDIT_LOG: &str = "Audit log";
const CONTROLLERS: &str = "Controllers";

/// The tags in the order in which to read them.
pub const TAGS: [&str; 5] = [SESSION, ORDERS, WORKFLOWS, AUDIT_LOG, CONTROLLERS];

/// Adds the routes to an app, which has a [`Service`](crate::http::Service) as its data.
pub fn routes(config: &mut ServiceConfig) {
    let mut calls = scope(BASE);
    for call in all(&mut Schemas::new()) {
        match call.path.strip_prefix(BASE) {
            Some(path) => calls = calls.route(path, call.route),
            None => drop(config.route(&call.path, call.route)),
        }
    }
    config.service(calls.wrap(from_fn(limits::in_time)).wrap(from_fn(drain::admit)));
    openapi::page::routes(config);
}

/// Every call.
pub fn all(schemas: &mut Schemas) -> Vec<Endpoint> {
    let mut calls = session(schemas);
    calls.extend(orders(schemas));
    calls.extend(modify::endpoints(ORDERS, schemas));
    calls.extend(others(schemas));
    calls.extend(status::endpoints());
    calls.push(openapi::document_endpoint());
    calls
}

fn session(schemas: &mut Schemas) -> Vec<Endpoint> {
    let login = "/authentication/login";
    let logout = "/authentication/logout";
    let permissions = "/authentication/joc_cockpit_permissions";
    vec![
        Endpoint::login(login, post().to(authentication::login), "Open a session")
            .describe("Account and password are UTF-8, or else ISO 8859-1")
            .ignores_its_body()
            .answers_with(
                schemas.answer::<authentication::Login>(),
                &["X-Access-Token", "X-JOC-Timeout"],
            ),
        Endpoint::call(SESSION, logout, post().to(authentication::logout), "End the session")
            .ignores_its_body()
            .answers(schemas.answer::<authentication::Session>()),
        Endpoint::call(SESSION, "/touch", post().to(cockpit::touch), "Let the session go on")
            .describe("As every call does")
            .ignores_its_body()
            .answers(schemas.answer::<Dated<Done>>()),
        Endpoint::call(
            SESSION,
            permissions,
            post().to(permissions::permissions),
            "What the account may do",
        )
        .ignores_its_body()
        .answers(schemas.answer::<permissions::Permissions>()),
    ]
}

fn orders(schemas: &mut Schemas) -> Vec<Endpoint> {
    let filter = json!({
        "controllerId": CONTROLLER, "folders": [{ "folder": "/sos" }], "states": ["SCHEDULED"],
        "limit": 100,
    });
    let one = json!({ "controllerId": CONTROLLER, "orderId": "#2026-11-23#P1-eod" });
    let past = json!({
        "controllerId": CONTROLLER, "historyStates": ["FAILED"], "completedDateFrom": "7d",
    });
    let added = json!({
        "controllerId": CONTROLLER,
        "orders": [{
            "workflowPath": "/sos/billing/eod", "orderName": "nightly",
            "scheduledFor": "now + 01:30", "arguments": { "run": "full" },
        }],
        "auditLog": { "comment": "once more", "timeSpent": 5, "ticketLink": "OPS-4711" },
    });
    vec![
        Endpoint::call(ORDERS, "/orders", post().to(list::orders), "List orders")
            .describe(
                "By id. The answer is sent while it is read: if the database fails in the \
                 middle, the connection is broken off",
            )
            .needs(&[VIEW_ORDERS])
            .takes(schemas.body::<list::FilterOrders>(), &filter)
            .answers(schemas.list::<OrderItem>("orders")),
        Endpoint::call(ORDERS, "/order", post().to(list::order), "Show an order")
            .needs(&[VIEW_ORDERS])
            .takes(schemas.body::<list::OneOrder>(), &one)
            .answers(schemas.answer::<Dated<OrderItem>>()),
        Endpoint::call(
            ORDERS,
            "/orders/overview/snapshot",
            post().to(list::snapshot),
            "Count orders by effective state",
        )
        .needs(&[VIEW_ORDERS])
        .takes(
            schemas.body::<list::CountOrders>(),
            &json!({ "controllerId": CONTROLLER, "folders": [{ "folder": "/sos" }] }),
        )
        .answers(schemas.answer::<Dated<list::Snapshot>>()),
        Endpoint::call(
            ORDERS,
            "/orders/history",
            post().to(history::orders),
            "List orders that are finished or cancelled",
        )
        .describe("The latest first, also those that are removed, without child orders")
        .needs(&[VIEW_ORDERS])
        .takes(schemas.body::<history::FilterHistory>(), &past)
        .answers(schemas.list::<history::HistoryItem>("history")),
        Endpoint::call(
            ORDERS,
            "/order/history",
            post().to(history::order),
            "What became of an order that is finished or cancelled",
        )
        .needs(&[VIEW_ORDERS])
        .takes(schemas.body::<history::PastOrderId>(), &one)
        .answers(schemas.answer::<Dated<history::OrderHistory>>()),
        Endpoint::call(ORDERS, "/orders/add", post().to(add::add), "Add orders")
            .needs(&[CREATE_ORDERS])
            .takes(schemas.closed_body::<add::AddOrders>(), &added)
            .answers_with(
                schemas.answer::<Delivered<add::Added>>(),
                &["X-Audit-Log-Id", "X-Orders-Affected"],
            ),
        Endpoint::call(
            ORDERS,
            "/orders/add/preview",
            post().to(add::preview),
            "What /orders/add would add",
        )
        .needs(&[CREATE_ORDERS])
        .takes(schemas.closed_body::<add::AddOrders>(), &added)
        .answers(schemas.answer::<Dated<add::WouldAdd>>()),
    ]
}

fn others(schemas: &mut Schemas) -> Vec<Endpoint> {
    let workflow =
        json!({ "controllerId": CONTROLLER, "workflowId": { "path": "/sos/billing/eod" } });
    let workflows = json!({ "controllerId": CONTROLLER, "folders": [{ "folder": "/sos" }] });
    let counted = json!({
        "controllerId": CONTROLLER, "workflowIds": [{ "path": "/sos/billing/eod" }], "dateTo": "0d",
    });
    vec![
        Endpoint::call(WORKFLOWS, "/workflows", post().to(workflows::workflows), "List workflows")
            .describe(
                "The current version of each, and older ones as long as they have orders that \
                 are not terminal",
            )
            .needs(&[VIEW_WORKFLOWS])
            .takes(schemas.body::<workflows::WorkflowsBody>(), &workflows)
            .answers(schemas.answer::<Dated<workflows::Workflows>>()),
        Endpoint::call(WORKFLOWS, "/workflow", post().to(workflows::workflow), "Show a workflow")
            .needs(&[VIEW_WORKFLOWS])
            .takes(schemas.body::<workflows::WorkflowBody>(), &workflow)
            .answers(schemas.answer::<Dated<workflows::OneWorkflow>>()),
        Endpoint::call(
            WORKFLOWS,
            "/workflows/order_count",
            post().to(workflows::order_count),
            "Count the orders of workflows",
        )
        .needs(&[VIEW_WORKFLOWS])
        .takes(schemas.body::<workflows::OrderCountBody>(), &counted)
        .answers(schemas.answer::<Dated<workflows::OrderCount>>()),
        Endpoint::call(WORKFLOWS, "/tree", post().to(tree::tree), "The folders of workflows")
            .needs(&[VIEW_WORKFLOWS])
            .takes(
                schemas.body::<tree::TreeBody>(),
                &json!({ "controllerId": CONTROLLER, "types": ["WORKFLOW"] }),
            )
            .answers(schemas.answer::<Delivered<tree::Folders>>()),
        Endpoint::call(
            AUDIT_LOG,
            "/audit_log",
            post().to(audit_log::entries),
            "Who did what, when",
        )
        .describe("The newest entry first")
        .needs(&[VIEW_AUDIT_LOG])
        .takes(
            schemas.body::<audit_log::EntriesOf>(),
            &json!({ "controllerId": CONTROLLER, "ticketLink": "OPS-4711", "dateFrom": "7d" }),
        )
        .answers(schemas.list::<audit_log::EntryItem>("auditLog")),
        Endpoint::call(
            AUDIT_LOG,
            "/audit_log/details",
            post().to(audit_log::details),
            "What a call did to each order",
        )
        .needs(&[VIEW_AUDIT_LOG])
        .takes(schemas.body::<audit_log::DetailsOf>(), &json!({ "auditLogId": 42 }))
        .answers(schemas.list::<audit_log::DetailItem>("auditLogDetails")),
        Endpoint::call(
            CONTROLLERS,
            "/controllers",
            post().to(cockpit::controllers),
            "The controllers that the account has any permission for",
        )
        .describe("Only one that is named needs the permission")
        .needs(&[VIEW_CONTROLLER])
        .may_take(
            schemas.body::<cockpit::ControllersBody>(),
            &json!({ "controllerId": CONTROLLER }),
        )
        .answers(schemas.answer::<Delivered<cockpit::Controllers>>()),
        Endpoint::call(
            CONTROLLERS,
            "/controller/ids",
            post().to(cockpit::controller_ids),
            "The ids of the controllers that the account has any permission for",
        )
        .ignores_its_body()
        .answers(schemas.answer::<Delivered<cockpit::ControllerIds>>()),
        Endpoint::call(CONTROLLERS, "/joc/versions", post().to(cockpit::versions), "Versions")
            .may_take(
                schemas.body::<cockpit::VersionsBody>(),
                &json!({ "controllerIds": [CONTROLLER] }),
            )
            .answers(schemas.answer::<cockpit::Versions>()),
    ]
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
    let endpoints = all(&mut Schemas::new());
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
                // Scripts put URLs together with slashes too many, which JOC does not mind.
                .wrap(NormalizePath::trim())
                .configure(routes)
                .default_service(web::to(unknown_call))
                .into_factory()
        }
    };
    let server = Http::serve(app, listeners, &settings, &drain, tls)?;
    Ok(Running::new(server, drain, patience))
}

async fn unknown_call(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = displayable(request.path());
    Err(match route(&request) {
        None => ApiError::UnknownEndpoint(path),
        Some(route) if route.starts_with(BASE) => ApiError::WrongMethod(path, "POST"),
        Some(_) => ApiError::WrongMethod(path, "GET, HEAD"),
    })
}
