//! The metrics, for Prometheus.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use strum::VariantArray;

use crate::store::RETRIES;

/// How often samples that no one has scraped are merged.
const UPKEEP: Duration = Duration::from_secs(5);
/// The upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// The label of requests without a route: clients must not be able to create labels.
const NO_ROUTE: &str = "none";

const REQUESTS: &str = "joc_orders_requests_total";
const DURATION: &str = "joc_orders_request_duration_seconds";
pub const IN_FLIGHT: &str = "joc_orders_calls_under_way";
const AFFECTED: &str = "joc_orders_orders_affected_total";
const LOGINS: &str = "joc_orders_logins_total";
pub const CONNECTIONS: &str = "joc_orders_database_connections";
pub const MAX_CONNECTIONS: &str = "joc_orders_database_connections_max";
const PRIMARY: &str = "primary";
const REPLICA: &str = "replica";
const READS: &str = "joc_orders_reads_total";
pub const REPLICA_LAG: &str = "joc_orders_replica_lag_seconds";
pub const UNSEALED: &str = "joc_orders_audit_unsealed_entries";
pub const UNSEALED_FOR: &str = "joc_orders_audit_unsealed_seconds";
pub const LAST_SEAL: &str = "joc_orders_audit_last_seal_timestamp_seconds";

/// The process's one recorder; `None` if there is another.
static RECORDER: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| {
    let bucketed = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.into()), &LATENCIES)
        .and_then(PrometheusBuilder::install_recorder);
    let recorder = bucketed.inspect_err(|error| tracing::error!(%error, "no metrics")).ok()?;
    describe_counter!(REQUESTS, "Responses, by route and status.");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "Time to the beginning of the response, by route."
    );
    describe_gauge!(IN_FLIGHT, "Requests in flight.");
    describe_counter!(AFFECTED, "Orders changed or added, by action.");
    describe_counter!(LOGINS, "Logins, by outcome: accepted, refused, throttled, busy.");
    describe_gauge!(CONNECTIONS, "Connections to the database, by pool and state.");
    describe_gauge!(MAX_CONNECTIONS, "Maximum connections of each pool.");
    describe_counter!(READS, "Requests that read lists, by server: primary, replica.");
    describe_gauge!(REPLICA_LAG, Unit::Seconds, "Age of the read replica's data.");
    describe_gauge!(UNSEALED, "Audit entries that are not sealed yet.");
    describe_gauge!(UNSEALED_FOR, Unit::Seconds, "Age of the oldest unsealed audit entry.");
    describe_gauge!(
        LAST_SEAL,
        Unit::Seconds,
        "When the audit trail was last sealed, in seconds since 1970."
    );
    describe_counter!(RETRIES, "Transactions retried because of a conflict with another.");
    Some(recorder)
});

/// How a login ended.
#[derive(Debug, Clone, Copy, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum LoginOutcome {
    Accepted,
    Refused,
    Throttled,
    Busy,
}

/// Starts recording. The counters of these responses (route and status) and actions start at 0: a
/// rate misses the event that creates a counter.
pub fn start<'a>(
    responses: impl Iterator<Item = (&'a str, &'a str)>,
    actions: impl Iterator<Item = &'a str>,
) {
    let Some(recorder) = &*RECORDER else { return };
    for (route, status) in responses.chain([(NO_ROUTE, "404")]) {
        counter!(REQUESTS, "route" => route.to_owned(), "status" => status.to_owned()).increment(0);
    }
    for action in actions {
        affected(action.to_owned(), 0);
    }
    for outcome in LoginOutcome::VARIANTS {
        counter!(LOGINS, "outcome" => <&str>::from(outcome)).increment(0);
    }
    counter!(RETRIES).increment(0);
    for server in [PRIMARY, REPLICA] {
        counter!(READS, "server" => server).increment(0);
    }
    tokio::spawn(async {
        loop {
            tokio::time::sleep(UPKEEP).await;
            recorder.run_upkeep();
        }
    });
}

/// Counts a response by the pattern of its request's route.
pub fn responded(route: Option<&str>, status: u16, elapsed: Duration) {
    let route = route.unwrap_or(NO_ROUTE).to_owned();
    counter!(REQUESTS, "route" => route.clone(), "status" => status.to_string()).increment(1);
    histogram!(DURATION, "route" => route).record(elapsed);
}

/// Counts the orders that an action has affected.
pub fn affected(action: impl Into<SharedString>, orders: u64) {
    counter!(AFFECTED, "action" => action.into()).increment(orders);
}

/// Counts a request that reads while there is a read replica.
pub fn read(from_replica: bool) {
    let server = if from_replica { REPLICA } else { PRIMARY };
    counter!(READS, "server" => server).increment(1);
}

/// Counts a login.
pub fn login(outcome: LoginOutcome) {
    counter!(LOGINS, "outcome" => <&str>::from(outcome)).increment(1);
}

/// The metrics as Prometheus reads them; `None` if this process has another recorder.
pub fn render() -> Option<String> {
    RECORDER.as_ref().map(PrometheusHandle::render)
}
