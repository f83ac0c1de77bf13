//! Responses that are sent while they are made: a list of any length in bounded memory.

use std::io::{self, Write};
use std::mem;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use async_stream::try_stream;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde::Serialize;
use tracing::Instrument;

use crate::http::error::ApiError;
use crate::http::transport::ahead::{self, ReadAheadLimits};
use crate::store;

/// The minimum size of a piece of the response, in bytes.
const CHUNK: usize = 64 * 1024;

/// A response of a head, items with commas between them, and a tail.
///
/// A failure before the first item becomes an error response. A later one aborts the response, so
/// that no client takes a partial list for a complete one.
pub async fn respond<T: Serialize + 'static>(
    head: String,
    items: BoxStream<'static, store::Result<T>>,
    tail: &'static str,
) -> Result<HttpResponse, ApiError> {
    let mut items = items.fuse();
    let first = items.next().await.transpose()?;
    let items = stream::iter(first.map(Ok)).chain(items);
    let (sender, body) = ahead::queue();
    let reading = async move {
        // Kept to the end: until the client has read the items, they count as being read.
        let mut items = items;
        let pieces = pieces(head, &mut items, tail);
        ahead::forward(pieces, sender, ReadAheadLimits::default()).await;
    };
    actix_web::rt::spawn(reading.in_current_span());
    Ok(HttpResponse::Ok().content_type(ContentType::json()).streaming(body))
}

/// A piece of the response. serde_json writes most of an item in single bytes, for which a `Vec<u8>`
/// calls `memcpy`.
struct Piece(Vec<u8>);

impl Write for Piece {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes {
            [byte] => self.0.push(*byte),
            bytes => self.0.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    #[inline(always)]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pieces<T: Serialize>(
    head: String,
    items: impl Stream<Item = store::Result<T>> + Unpin,
    tail: &str,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    try_stream! {
        let (mut piece, mut is_first) = (Piece(head.into_bytes()), true);
        for await item in items {
            if !mem::take(&mut is_first) {
                piece.0.push(b',');
            }
            serde_json::to_writer(&mut piece, &item?)
                .map_err(|error| ApiError::Internal(error.into()))?;
            if piece.0.len() >= CHUNK {
                yield mem::replace(&mut piece.0, Vec::with_capacity(CHUNK)).into();
            }
        }
        piece.0.extend_from_slice(tail.as_bytes());
        yield piece.0.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(items: Vec<store::Result<String>>) -> Vec<Result<Bytes, ApiError>> {
        let items = stream::iter(items);
        pieces("[".into(), items, "]").collect().await
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
    async fn a_failure_before_the_first_item_is_a_response_and_a_later_one_aborts() {
        let failure = || Err(store::Error::Conflict("gone".into()));
        let items = stream::iter(vec![failure(), Ok("a".to_owned())]).boxed();
        assert!(respond("[".into(), items, "]").await.is_err());
        let long = "x".repeat(CHUNK);
        let sent = sent(vec![Ok(long.clone()), Ok("a".into()), failure(), Ok(long)]).await;
        assert_eq!(sent.len(), 2);
        assert!(sent[0].is_ok() && sent[1].is_err());
    }
}
