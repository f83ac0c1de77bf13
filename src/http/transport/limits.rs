//! Limits on what one client can use: header fields, bodies, connections, time.

use std::cell::Cell;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};

use crate::config::Settings;
use crate::http::error::ApiError;
use crate::http::transport::exchange;
use crate::store::shares;

/// How long a connection may take to close, and how long the rest of a refused body is discarded.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest body of a request that ignores it, in bytes: JOC's clients send none or `{}`.
pub const IGNORED_BODY: usize = 4096;

/// An endpoint's own limit on bodies, in bytes; an extension of its requests.
#[derive(Clone, Copy)]
struct BodyLimit(usize);

/// The number of threads that serve.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, NonZeroUsize::get)
}

/// The most connections of each thread.
pub fn connections(settings: &Settings, workers: usize) -> usize {
    usize::try_from(settings.clients).unwrap_or(usize::MAX).div_ceil(workers)
}

/// Rejects too large a header, and a `Content-Length` over the limit.
pub fn check_head(request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(settings) = request.app_data::<Data<Settings>>() else { return Ok(()) };
    let limit = settings.header_limit;
    let fields = request.headers().iter();
    let size = request.uri().path().len()
        + request.query_string().len()
        + fields.map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if size > limit {
        return Err(ApiError::HeadersTooLarge(limit));
    }
    let limit = settings.body_limit;
    if announces_too_much(request.head(), limit) { Err(ApiError::TooLarge(limit)) } else { Ok(()) }
}

/// The largest body that a request may have, in bytes.
pub fn of_body(request: &HttpRequest, settings: &Settings) -> usize {
    let own = request.extensions().get::<BodyLimit>().map(|BodyLimit(limit)| *limit);
    own.unwrap_or(settings.body_limit)
}

/// Limits the body of a request that ignores it, even if the settings allow more.
pub async fn ignored_body<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let settings = request.app_data::<Data<Settings>>();
    let limit = settings.map_or(IGNORED_BODY, |settings| settings.body_limit.min(IGNORED_BODY));
    if announces_too_much(request.head(), limit) {
        return Err(ApiError::TooLarge(limit).into());
    }
    request.extensions_mut().insert(BodyLimit(limit));
    next.call(request).await
}

/// Whether a request's `Content-Length` is over the limit.
pub fn announces_too_much(head: &RequestHead, limit: usize) -> bool {
    let length = head.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.trim().parse::<u64>().ok());
    length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
}

/// The progress of a request, which decides whether it may be aborted.
#[derive(Clone, Default)]
pub struct RequestProgress(Rc<Cell<Stage>>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// It may still be refused.
    #[default]
    Begun,
    /// It is permitted and has changed nothing.
    Allowed,
    /// It may have changed something.
    Changing,
}

impl RequestProgress {
    /// The progress of a request.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// From here on a client that hangs up aborts the request. Not before: a denied attempt must
    /// reach the audit trail.
    pub fn allowed(&self) {
        self.0.set(Stage::Allowed);
    }

    /// From here on the request is never aborted: its client would be told that nothing has
    /// changed. The store limits its time.
    pub fn no_way_back(&self) {
        self.0.set(Stage::Changing);
    }
}

/// Aborts a request that takes too long to start its response or whose client hangs up, unless it
/// has started to change data.
pub async fn in_time<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let Some(settings) = request.app_data::<Data<Settings>>() else {
        return next.call(request).await;
    };
    let limit = settings.request_timeout();
    let progress = RequestProgress::default();
    request.extensions_mut().insert(progress.clone());
    let is_left = exchange::is_left(&request);
    // Reading from the connection wakes this very task.
    let hung_up = poll_fn(|_| {
        let ends = progress.0.get() == Stage::Allowed && is_left();
        if ends { Poll::Ready(()) } else { Poll::Pending }
    });
    let mut response = std::pin::pin!(shares::of_a_call(next.call(request)));
    let error = tokio::select! {
        biased;
        response = &mut response => return response,
        () = hung_up => ApiError::HungUp,
        () = tokio::time::sleep(limit) => ApiError::TimedOut(limit),
    };
    if progress.0.get() == Stage::Changing { response.await } else { Err(error.into()) }
}
