//! Limits of what one client can take from the others: header fields, connections, time.

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
use crate::http::transport::socket;
use crate::store::shares;

/// How long a connection may take to close, and is read from in vain after a body was refused.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a body may be that says nothing: JOC's clients send none or `{}`.
pub const IGNORED_BODY: usize = 4096;

/// How long the body of a request may be, in the extensions of one whose call has a limit of its
/// own.
#[derive(Clone, Copy)]
struct BodyLimit(usize);

/// How many threads serve.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, NonZeroUsize::get)
}

/// How many connections each of the threads may have.
pub fn connections(settings: &Settings, workers: usize) -> usize {
    usize::try_from(settings.clients).unwrap_or(usize::MAX).div_ceil(workers)
}

/// Refuses header fields that are too large together, and bodies that say so of themselves, before
/// any of them is read.
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

/// How long the body of a request may be.
pub fn of_body(request: &HttpRequest, settings: &Settings) -> usize {
    let own = request.extensions().get::<BodyLimit>().map(|BodyLimit(limit)| *limit);
    own.unwrap_or(settings.body_limit)
}

/// Limits the body of a call that ignores it, whatever the settings allow others.
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

/// How far a call has come, which says what may end it early.
#[derive(Clone, Default)]
pub struct Progress(Rc<Cell<Stage>>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Whether it is allowed is not settled.
    #[default]
    Begun,
    /// It is allowed, and has changed nothing.
    Allowed,
    /// It may have changed something.
    Changing,
}

impl Progress {
    /// That of the call of a request.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// From here on the call ends when its client hangs up, but not before: an attempt that is
    /// not allowed leaves its trace.
    pub fn allowed(&self) {
        self.0.set(Stage::Allowed);
    }

    /// From here on nothing here gives the call up, and the store sees to its end: else its client
    /// would be told that nothing has changed.
    pub fn no_way_back(&self) {
        self.0.set(Stage::Changing);
    }
}

/// Gives a call up that takes too long to begin its answer, or whose client hangs up, unless it has
/// come to where it changes something.
pub async fn in_time<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let Some(settings) = request.app_data::<Data<Settings>>() else {
        return next.call(request).await;
    };
    let limit = settings.request_timeout();
    let progress = Progress::default();
    request.extensions_mut().insert(progress.clone());
    let is_left = socket::is_left(&request);
    // The task that reads from the connection is the one that calls: nobody needs to wake it.
    let hung_up = poll_fn(|_| {
        let ends = progress.0.get() == Stage::Allowed && is_left();
        if ends { Poll::Ready(()) } else { Poll::Pending }
    });
    let mut call = std::pin::pin!(shares::of_a_call(next.call(request)));
    let error = tokio::select! {
        biased;
        answer = &mut call => return answer,
        () = hung_up => ApiError::HungUp,
        () = tokio::time::sleep(limit) => ApiError::TimedOut(limit),
    };
    if progress.0.get() == Stage::Changing { call.await } else { Err(error.into()) }
}
