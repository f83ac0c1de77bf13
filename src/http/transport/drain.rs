//! Graceful shutdown: requests in flight end, and new ones get 503, until none is in flight or the
//! grace period is over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, ResponseError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::http::error::ApiError;

/// Once the service is stopping: how long connections may take to send the rest of their responses,
/// and how long a client may read nothing.
pub const LINGER: Duration = Duration::from_secs(5);

/// Whether the service is stopping, and which requests are in flight.
#[derive(Debug, Default)]
pub struct Drain {
    stopping: CancellationToken,
    requests: TaskTracker,
}

impl Drain {
    /// Whether new requests are refused.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until new requests are refused.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Counts a request until the token is dropped; `None` if the service is stopping.
    fn admit(&self) -> Option<TaskTrackerToken> {
        // Counted before the check: a shutdown that begins in between waits for it.
        let token = self.requests.token();
        (!self.is_stopping()).then_some(token)
    }

    /// Refuses requests from now on, and waits for those in flight.
    async fn stop(&self) {
        self.stopping.cancel();
        self.requests.close();
        self.requests.wait().await;
    }
}

/// Admits a request unless the service is stopping; then its connection closes after the response.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(drain) = request.app_data::<Data<Drain>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let mut response = match drain.admit() {
        Some(token) => {
            let response = next.call(request).await?;
            response.map_body(|_, body| BoxBody::new(Counted { body: body.boxed(), _token: token }))
        }
        None => request.into_response(ApiError::Stopping.error_response()),
    };
    if drain.is_stopping() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// The body of a response; its request is in flight until the end of it.
struct Counted {
    body: BoxBody,
    _token: TaskTrackerToken,
}

impl MessageBody for Counted {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}

/// A running service.
pub struct Running {
    server: Server,
    drain: Arc<Drain>,
    grace_period: Duration,
}

impl Running {
    pub(crate) fn new(server: Server, drain: Arc<Drain>, grace_period: Duration) -> Self {
        Self { server, drain, grace_period }
    }

    /// Serves until `stop` returns, then waits for the requests in flight. When `stop` returns again
    /// or the grace period is over, it aborts them.
    ///
    /// # Errors
    ///
    /// If the server fails.
    pub async fn until(self, stop: impl AsyncFn()) -> std::io::Result<()> {
        let handle = self.server.handle();
        let mut serving = tokio::spawn(self.server);
        tokio::select! {
            ended = &mut serving => return ended?,
            () = stop() => {}
        }
        tracing::info!(requests = self.drain.in_flight(), "stopping");
        let in_time = tokio::select! {
            () = self.drain.stop() => true,
            () = tokio::time::sleep(self.grace_period) => false,
            () = stop() => false,
        };
        if !in_time {
            tracing::warn!(requests = self.drain.in_flight(), "aborting the requests in flight");
        }
        handle.stop(in_time).await;
        serving.await?
    }
}
