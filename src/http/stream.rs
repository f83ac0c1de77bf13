//! Answers that are sent while they are made: a list of any length in bounded memory.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Serialize;
use serde_json::json;
use tracing::Span;

use crate::http::error::ApiError;
use crate::http::{Call, Service};
use crate::model::window::iso;
use crate::store;

/// From how many bytes on a piece of the answer is sent.
const CHUNK: usize = 64 * 1024;
/// How fast a client must read, in bytes a second: a connection to the database waits for it.
const RATE: u32 = 32 * 1024;
/// How far a client may fall behind that.
const SLACK: Duration = Duration::from_secs(30);

/// The pace at which a client reads. It is a rate and not a deadline, since an answer may be of
/// any length; and only the time that the client takes counts.
struct Pace {
    /// For how long the client may still keep the answer waiting.
    left: Duration,
    sent: Option<(Instant, usize)>,
}

impl Pace {
    fn new() -> Self {
        Self { left: SLACK, sent: None }
    }

    /// Notes that bytes are sent from now on.
    fn sends(&mut self, bytes: usize, now: Instant) {
        self.sent = Some((now, bytes));
    }

    /// Whether the client, which now comes for more, has taken the last bytes in time.
    fn is_kept(&mut self, now: Instant) -> bool {
        let Some((at, bytes)) = self.sent.take() else { return true };
        let Some(left) = self.left.checked_sub(now - at) else { return false };
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(RATE));
        self.left = SLACK.min(left + earned);
        true
    }
}

/// The answer to a call that reads a list: its dates and, as the field `name`, the items.
pub(super) async fn list<T: Serialize + 'static>(
    service: &Service,
    call: &Call,
    name: &str,
    items: BoxStream<'static, store::Result<T>>,
) -> Result<HttpResponse, ApiError> {
    let (delivered, surveyed) = (iso(&service.clock.now()), iso(&call.now));
    let (delivered, surveyed, name) = (json!(delivered), json!(surveyed), json!(name));
    let head = format!(r#"{{"deliveryDate":{delivered},"surveyDate":{surveyed},{name}:["#);
    answer(head, items, "]}").await
}

/// An answer of a beginning, items with commas between them, and an end.
///
/// A failure before the first item is an answer of its own. One that comes later breaks the
/// connection off, so that no client takes a part for the whole.
pub(super) async fn answer<T: Serialize + 'static>(
    head: String,
    items: BoxStream<'static, store::Result<T>>,
    tail: &'static str,
) -> Result<HttpResponse, ApiError> {
    let mut items = items.fuse();
    let first = items.next().await.transpose()?;
    let items = stream::iter(first.map(Ok)).chain(items);
    let body = chunks(head, items, tail, Span::current());
    Ok(HttpResponse::Ok().content_type(ContentType::json()).streaming(body))
}

fn chunks<T: Serialize + 'static>(
    head: String,
    items: impl Stream<Item = store::Result<T>> + Unpin + 'static,
    tail: &'static str,
    span: Span,
) -> impl Stream<Item = Result<Bytes, ApiError>> + 'static {
    let state = Some((head.into_bytes(), items, true, Pace::new()));
    stream::try_unfold(state, move |state| {
        let span = span.clone();
        async move {
            let Some((mut buffer, mut items, mut first, mut pace)) = state else {
                return Ok(None);
            };
            if !pace.is_kept(Instant::now()) {
                span.in_scope(|| tracing::warn!("the answer breaks off: its client is too slow"));
                return Err(ApiError::Internal(anyhow::anyhow!("the client is too slow")));
            }
            while buffer.len() < CHUNK {
                match items.next().await {
                    Some(item) => {
                        if !std::mem::take(&mut first) {
                            buffer.push(b',');
                        }
                        let written =
                            item.map_err(ApiError::from).and_then(|item| write(&mut buffer, &item));
                        if let Err(error) = written {
                            span.in_scope(|| tracing::error!(?error, "the answer breaks off"));
                            return Err(error);
                        }
                    }
                    None => {
                        buffer.extend_from_slice(tail.as_bytes());
                        return Ok(Some((buffer.into(), None)));
                    }
                }
            }
            pace.sends(buffer.len(), Instant::now());
            Ok(Some((buffer.into(), Some((Vec::with_capacity(CHUNK), items, first, pace)))))
        }
    })
}

fn write<T: Serialize>(buffer: &mut Vec<u8>, item: &T) -> Result<(), ApiError> {
    serde_json::to_writer(buffer, item).map_err(|error| ApiError::Internal(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(items: Vec<store::Result<String>>) -> Vec<Result<Bytes, ApiError>> {
        let items = stream::iter(items);
        chunks("[".into(), items, "]", Span::none()).collect().await
    }

    #[actix_web::test]
    async fn items_are_joined_and_sent_in_pieces() {
        let text = |pieces: Vec<Result<Bytes, ApiError>>| {
            let pieces: Vec<Bytes> = pieces.into_iter().map(Result::unwrap).collect();
            assert!(pieces.iter().all(|piece| piece.len() < 2 * CHUNK));
            (pieces.len(), String::from_utf8(pieces.concat()).unwrap())
        };
        assert_eq!(text(sent(vec![]).await), (1, "[]".into()));
        let few = vec![Ok("a".into()), Ok("\"b\"".into())];
        assert_eq!(text(sent(few).await), (1, r#"["a","\"b\""]"#.into()));
        let (pieces, json) = text(sent((0..300_000).map(|i| Ok(i.to_string())).collect()).await);
        assert!(pieces > 30, "{pieces}");
        let items: Vec<String> = serde_json::from_str(&json).unwrap();
        assert!(items.iter().enumerate().all(|(i, item)| *item == i.to_string()));
        assert_eq!(items.len(), 300_000);
    }

    #[actix_web::test]
    async fn a_failure_first_is_an_answer_and_one_later_is_no_end() {
        let failure = || Err(store::Error::Conflict("gone".into()));
        let items = stream::iter(vec![failure(), Ok("a".to_owned())]).boxed();
        assert!(answer("[".into(), items, "]").await.is_err());
        let long = "x".repeat(CHUNK);
        let sent = sent(vec![Ok(long.clone()), Ok("a".into()), failure(), Ok(long)]).await;
        assert_eq!(sent.len(), 2);
        assert!(sent[0].is_ok() && sent[1].is_err());
    }

    /// Whether a client that takes a chunk in this time each is sent this many of them.
    fn gets(chunks: u32, each: Duration) -> bool {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        (0..chunks).all(|_| {
            pace.sends(CHUNK, now);
            now += each;
            pace.is_kept(now)
        })
    }

    #[test]
    fn a_client_that_is_slower_than_the_rate_is_cut_off_and_no_other() {
        assert!(gets(10_000, Duration::ZERO));
        assert!(gets(10_000, Duration::from_secs(2)));
        assert!(gets(10, Duration::from_secs(4)) && !gets(16, Duration::from_secs(4)));
        assert!(!gets(1, Duration::from_secs(31)));
        // What was fast saves up no more than the slack.
        let (mut pace, now) = (Pace::new(), Instant::now());
        for _ in 0..1000 {
            pace.sends(CHUNK, now);
            assert!(pace.is_kept(now));
        }
        pace.sends(CHUNK, now);
        assert!(!pace.is_kept(now + SLACK + Duration::from_millis(1)));
    }
}
