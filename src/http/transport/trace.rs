//! Traces: a request that says which trace it belongs to becomes a part of it.

use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header fields, as the propagator reads them.
struct Fields<'a>(&'a HeaderMap);

impl Extractor for Fields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Makes a request's span part of the trace that its `traceparent` names, if there is one, and
/// says which route it took.
pub fn join(span: &Span, headers: &HeaderMap, route: Option<&str>) {
    if headers.contains_key("traceparent") {
        // Fails if no traces are sent.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Fields(headers)));
    }
    if let Some(route) = route {
        span.set_attribute("http.route", route.to_owned());
    }
}
