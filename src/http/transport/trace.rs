//! Traces: a request with a `traceparent` joins that trace.

use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header fields, as the propagator reads them.
struct HeaderFields<'a>(&'a HeaderMap);

impl Extractor for HeaderFields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Adds a request's span to the trace that its `traceparent` names, if there is one, and notes its
/// route.
pub fn join(span: &Span, headers: &HeaderMap, route: Option<&str>) {
    if headers.contains_key("traceparent") {
        // Fails if traces are off.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&HeaderFields(headers)));
    }
    if let Some(route) = route {
        span.set_attribute("http.route", route.to_owned());
    }
}
