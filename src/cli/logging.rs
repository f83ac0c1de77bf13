//! The log on standard error, as text or JSON, and traces for a collector.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::http_client::is_loopback;
use crate::config::{LogFormat, Logging};

/// The service name in traces.
const SERVICE: &str = "joc-orders";

/// Timeout for sending traces: OpenTelemetry's default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends traces until it is dropped, which sends the last ones.
#[must_use]
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(%error, "could not send the last traces");
        }
    }
}

/// Starts logging, and tracing if a collector is configured.
///
/// # Errors
///
/// If the filter or the collector's URL is invalid.
pub fn start(settings: &Logging) -> anyhow::Result<Traces> {
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let log = match settings.log_format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let filter: Targets =
        settings.log.parse().map_err(|error| anyhow::anyhow!("JOC_ORDERS_LOG: {error}"))?;
    let provider = settings.otlp_endpoint.as_deref().map(provider).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        // Requests at any log level, but not the requests of the exporter itself.
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SERVICE))
            .with_filter(Targets::new().with_target("joc_orders", LevelFilter::INFO))
    });
    tracing_subscriber::registry().with(traces).with(log.with_filter(filter)).init();
    // The hook runs in the span of the request, so the line has its ID.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message = panic.payload_as_str(), "panicked");
    }));
    Ok(Traces(provider))
}

/// A client for a collector on this machine, which ignores proxies in the environment.
fn without_proxy() -> anyhow::Result<reqwest::blocking::Client> {
    let build = || reqwest::blocking::Client::builder().no_proxy().timeout(EXPORT_TIMEOUT).build();
    // It has its own runtime, which must not be created within another.
    let built = std::thread::spawn(build).join();
    Ok(built.map_err(|_| anyhow::anyhow!("cannot create the HTTP client for the collector"))??)
}

fn provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let setting = "JOC_ORDERS_OTLP_ENDPOINT";
    let url = reqwest::Url::parse(endpoint).context(setting)?;
    anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "{setting}: expected http or https");
    // TLS to a collector needs a default provider; one that is already installed will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint);
    let exporter = if is_loopback(&url) {
        exporter.with_http_client(without_proxy().context(setting)?)
    } else {
        exporter
    };
    let exporter = exporter.build().context(setting)?;
    Ok(SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(SERVICE).build())
        .with_batch_exporter(exporter)
        .build())
}
