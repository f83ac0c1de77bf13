//! How the service stops: calls that are under way end, and new ones are told to come back
//! later, until nothing is under way or the time for it is over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, ResponseError};
use tokio::sync::{Notify, watch};

use crate::http::error::ApiError;

/// How long connections may take to send the last of their answers, and how long a client may take
/// nothing of one, once the service is stopping.
pub const LINGER: Duration = Duration::from_secs(5);

/// Whether the service is stopping, and how many calls are under way.
#[derive(Debug, Default)]
pub struct Drain {
    stopping: watch::Sender<bool>,
    calls: AtomicUsize,
    ended: Notify,
}

impl Drain {
    /// Whether new calls are refused.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until new calls are refused.
    pub async fn stopped(&self) {
        // What would end this wait with an error, the loss of the sender, is part of `self`.
        let _ = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// How many calls are under way.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call until what this gives is dropped; `None`: the service is stopping.
    fn admit(self: &Arc<Self>) -> Option<UnderWay> {
        // Counted before it looks, so that whoever stops the service cannot miss it.
        self.calls.fetch_add(1, Ordering::SeqCst);
        let call = UnderWay(self.clone());
        (!self.is_stopping()).then_some(call)
    }

    /// Refuses calls from now on, and waits for those under way.
    async fn stop(&self) {
        self.stopping.send_replace(true);
        loop {
            let ended = self.ended.notified();
            if self.calls() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A call that is under way.
struct UnderWay(Arc<Drain>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
        // The one that waits asks for the permit before it looks at the count.
        self.0.ended.notify_one();
    }
}

/// Lets a call in, unless the service is stopping; then no connection outlives its answer.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(drain) = request.app_data::<Data<Drain>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let mut response = match drain.admit() {
        Some(call) => {
            let response = next.call(request).await?;
            response.map_body(|_, body| BoxBody::new(Counted { body: body.boxed(), _call: call }))
        }
        None => request.into_response(ApiError::Stopping.error_response()),
    };
    if drain.is_stopping() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// The body of an answer, with which the call ends.
struct Counted {
    body: BoxBody,
    _call: UnderWay,
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

/// A service that answers.
pub struct Running {
    server: Server,
    drain: Arc<Drain>,
    patience: Duration,
}

impl Running {
    pub(crate) fn new(server: Server, drain: Arc<Drain>, patience: Duration) -> Self {
        Self { server, drain, patience }
    }

    /// Serves until `stop` says so, then lets the calls under way end; when it says so again, or
    /// they take longer than the settings allow, it breaks them off.
    ///
    /// # Errors
    ///
    /// If the server breaks down.
    pub async fn until(self, stop: impl AsyncFn()) -> std::io::Result<()> {
        let handle = self.server.handle();
        let mut serving = tokio::spawn(self.server);
        tokio::select! {
            ended = &mut serving => return ended?,
            () = stop() => {}
        }
        tracing::info!(calls = self.drain.calls(), "stopping");
        let in_time = tokio::select! {
            () = self.drain.stop() => true,
            () = tokio::time::sleep(self.patience) => false,
            () = stop() => false,
        };
        if !in_time {
            tracing::warn!(calls = self.drain.calls(), "calls under way are broken off");
        }
        handle.stop(in_time).await;
        serving.await?
    }
}
