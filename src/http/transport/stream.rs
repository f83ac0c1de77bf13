//! Answers that are sent while they are made: a list of any length in bounded memory.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Serialize;
use tracing::{Instrument, Span};

use crate::http::error::ApiError;
use crate::http::transport::ahead::{self, Patience};
use crate::store;

/// From how many bytes on a piece of the answer is sent.
const CHUNK: usize = 64 * 1024;

/// An answer of a beginning, items with commas between them, and an end.
///
/// A failure before the first item is an answer of its own. One that comes later breaks the
/// connection off, so that no client takes a part for the whole.
pub async fn answer<T: Serialize + 'static>(
    head: String,
    items: BoxStream<'static, store::Result<T>>,
    tail: &'static str,
) -> Result<HttpResponse, ApiError> {
    let mut items = items.fuse();
    let first = items.next().await.transpose()?;
    let items = stream::iter(first.map(Ok)).chain(items);
    let (sender, body) = ahead::queue();
    let reading = async move {
        // Up to the end: until the client has read them they count as a result that is read.
        let mut items = items;
        let pieces = chunks(head, &mut items, tail, Span::current());
        ahead::forward(pieces, sender, Patience::default()).await;
    };
    actix_web::rt::spawn(reading.in_current_span());
    Ok(HttpResponse::Ok().content_type(ContentType::json()).streaming(body))
}

fn chunks<T: Serialize + 'static>(
    head: String,
    items: impl Stream<Item = store::Result<T>> + Unpin,
    tail: &'static str,
    span: Span,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    let state = Some((head.into_bytes(), items, true));
    stream::try_unfold(state, move |state| {
        let span = span.clone();
        async move {
            let Some((mut buffer, mut items, mut first)) = state else {
                return Ok(None);
            };
            while buffer.len() < CHUNK {
                match items.next().await {
                    Some(item) => {
                        if !std::mem::take(&mut first) {
                            buffer.push(b',');
                        }
                        let written =
                            item.map_err(ApiError::from).and_then(|item| write(&mut buffer, &item));
                        if let Err(error) = written {
                            span.in_scope(|| tracing::error!(?error, "response aborted"));
                            return Err(error);
                        }
                    }
                    None => {
                        buffer.extend_from_slice(tail.as_bytes());
                        return Ok(Some((buffer.into(), None)));
                    }
                }
            }
            Ok(Some((buffer.into(), Some((Vec::with_capacity(CHUNK), items, first)))))
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
}
