//! Liveness, readiness, metrics. They need no session, and tell nothing of orders or accounts.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::{self, Data};
use actix_web::{Error, HttpResponse};
use metrics::gauge;
use schemars::Schema;
use serde_json::json;

use crate::http::context::service::Service;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::http::transport::prometheus::{
    self, CONNECTIONS, IN_FLIGHT, LAST_SEAL, MAX_CONNECTIONS, REPLICA_LAG, UNSEALED, UNSEALED_FOR,
};
use crate::store::{OTHERS, PoolUse};

pub fn endpoints(_: &mut Schemas) -> Vec<Endpoint> {
    let anything = Schema::from(true);
    let endpoints = vec![
        Endpoint::document("/health", web::get().to(health), "Check that the service is alive")
            .returns_schema(&anything),
        Endpoint::document("/ready", web::get().to(ready), "Check that requests can be served")
            .returns_schema(&anything)
            .fails("503", "Unavailable"),
        Endpoint::document("/metrics", web::get().to(metrics), "Metrics for Prometheus")
            .returns_text(),
    ];
    with_examples(endpoints, include_str!("status.json"))
}

/// Tells the readiness of responses that report a database that takes no changes.
pub async fn watch<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let service = request.app_data::<Data<Service>>().cloned();
    let response = next.call(request).await?;
    let error = response.response().error().and_then(Error::as_error);
    if let (Some(error), Some(service)) = (error, service) {
        service.readiness.hear(error);
    }
    Ok(response)
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "alive": true }))
}

/// 200 if requests can be served: the service is not stopping, the database responds and accepts
/// changes, and its schema is this program's. Overdue seals are only reported: otherwise, stopping
/// the sealer would take every replica out of service.
async fn ready(service: Data<Service>) -> Result<HttpResponse, ApiError> {
    if service.drain.is_stopping() {
        return Err(ApiError::Stopping);
    }
    service.readiness.check(&*service.store).await.map_err(ApiError::NotReady)?;
    let sealing = match service.sealing.progress(Instant::now()).overdue {
        true => "overdue",
        false => "ok",
    };
    Ok(HttpResponse::Ok().json(json!({ "ready": true, "sealing": sealing })))
}

/// `GET /metrics`
async fn metrics(service: Data<Service>) -> HttpResponse {
    gauge!(IN_FLIGHT).set(service.drain.in_flight() as f64);
    let mut pools = service.store.pools();
    if let Some(replica) = &service.replica {
        gauge!(REPLICA_LAG).set(replica.lag().as_secs_f64());
        let others = replica.store().map(|store| store.pools()).unwrap_or_default();
        let others = others.into_iter().filter(|pool| pool.name == OTHERS);
        pools.extend(others.map(|pool| PoolUse { name: "replica", ..pool }));
    }
    for pool in pools {
        gauge!(CONNECTIONS, "pool" => pool.name, "state" => "used").set(pool.used);
        gauge!(CONNECTIONS, "pool" => pool.name, "state" => "idle").set(pool.idle);
        gauge!(MAX_CONNECTIONS, "pool" => pool.name).set(pool.max);
    }
    let sealing = service.sealing.progress(Instant::now());
    gauge!(UNSEALED).set(sealing.entries as f64);
    gauge!(UNSEALED_FOR).set(sealing.waiting.as_secs_f64());
    if let Some(last_seal) = sealing.last_seal {
        gauge!(LAST_SEAL).set(last_seal as f64);
    }
    match prometheus::render() {
        Some(page) => {
            HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page)
        }
        None => HttpResponse::NotFound().finish(),
    }
}
