//! Reading a result ahead of its client. What the client does not take in time waits in a file
//! without a name, so that the database is read at its own pace and its snapshot soon ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use anyhow::anyhow;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::http::error::ApiError;

/// How many pieces wait in memory.
const QUEUED: usize = 2;
/// How long the database waits for a client, all in all, before the rest goes to a file. Clients that
/// keep up with it never need one.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How many bytes are read from the file at a time.
const CHUNK: usize = 64 * 1024;

/// A piece; `None` after the last one. A result that ends without it is not complete.
type Message = Result<Option<Bytes>, ApiError>;

/// Where to put pieces, and the pieces as the client takes them.
pub(super) fn queue() -> (Sender<Message>, impl Stream<Item = Result<Bytes, ApiError>> + 'static) {
    let (sender, receiver) = mpsc::channel(QUEUED);
    (sender, stream::unfold(Some(receiver), taken))
}

async fn taken(
    receiver: Option<Receiver<Message>>,
) -> Option<(Result<Bytes, ApiError>, Option<Receiver<Message>>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(Ok(Some(piece))) => Some((Ok(piece), Some(receiver))),
        Some(Ok(None)) => None,
        Some(Err(error)) => Some((Err(error), None)),
        None => Some((Err(ApiError::Internal(anyhow!("the response was not finished"))), None)),
    }
}

/// Hands pieces over until the last one is taken, or the client is gone. Pieces are read without
/// delay once the client has kept them waiting for `grace`.
pub(super) async fn forward(
    pieces: impl Stream<Item = Result<Bytes, ApiError>>,
    sender: Sender<Message>,
    grace: Duration,
) {
    let end = read_ahead(pieces, &sender, grace).await;
    // Nobody is left to hear of a client that has gone.
    let _gone = sender.send(end.map(|()| None)).await;
}

async fn read_ahead(
    pieces: impl Stream<Item = Result<Bytes, ApiError>>,
    sender: &Sender<Message>,
    mut grace: Duration,
) -> Result<(), ApiError> {
    let mut pieces = pin!(pieces);
    let mut spill = Spill::default();
    let mut end = None;
    while end.is_none() || !spill.is_empty() {
        tokio::select! {
            () = sender.closed() => break,
            Ok(room) = sender.reserve(), if !spill.is_empty() => {
                room.send(Ok(Some(spill.take().await.map_err(no_file)?)));
            }
            piece = pieces.next(), if end.is_none() => {
                let piece = match piece {
                    Some(Ok(piece)) => piece,
                    Some(Err(error)) => {
                        end = Some(Err(error));
                        continue;
                    }
                    None => {
                        end = Some(Ok(()));
                        continue;
                    }
                };
                if !spill.is_empty() {
                    spill.put(piece).await.map_err(no_file)?;
                    continue;
                }
                let begun = Instant::now();
                let sent = sender.send_timeout(Ok(Some(piece)), grace).await;
                grace = grace.saturating_sub(begun.elapsed());
                if let Err(SendTimeoutError::Timeout(Ok(Some(piece)))) = sent {
                    spill.put(piece).await.map_err(no_file)?;
                }
            }
        }
    }
    end.unwrap_or(Ok(()))
}

fn no_file(error: io::Error) -> ApiError {
    let error = anyhow::Error::from(error).context("a temporary file");
    tracing::error!(error = format!("{error:#}"), "the answer breaks off");
    ApiError::Internal(error)
}

/// Pieces in a file, the first one first.
#[derive(Default)]
struct Spill {
    file: Option<Arc<File>>,
    taken: u64,
    put: u64,
}

impl Spill {
    fn is_empty(&self) -> bool {
        self.taken == self.put
    }

    async fn put(&mut self, piece: Bytes) -> io::Result<()> {
        let (file, at) = (self.file.take(), self.put);
        self.put += piece.len() as u64;
        let written = blocking(move || {
            let file = file.map_or_else(|| tempfile::tempfile().map(Arc::new), Ok)?;
            file.write_all_at(&piece, at)?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    async fn take(&mut self) -> io::Result<Bytes> {
        let file = self.file.clone().ok_or(io::ErrorKind::NotFound)?;
        let at = self.taken;
        let length = usize::try_from(self.put - at).unwrap_or(CHUNK).min(CHUNK);
        self.taken += length as u64;
        if self.is_empty() {
            // With it goes its room on the disk.
            *self = Self::default();
        }
        let read = blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece)
        });
        Ok(read.await?.into())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Pieces of many sizes, counted as they are read.
    fn pieces(count: usize, read: Arc<AtomicUsize>) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::iter(0..count).map(move |i| {
            read.fetch_add(1, Ordering::Relaxed);
            Ok(piece(i))
        })
    }

    fn piece(i: usize) -> Bytes {
        vec![u8::try_from(i % 251).unwrap(); 1 + i * 997 % (3 * CHUNK)].into()
    }

    #[actix_web::test]
    async fn pieces_are_read_ahead_of_a_client_and_come_in_order() {
        let read = Arc::new(AtomicUsize::new(0));
        let (sender, body) = queue();
        actix_web::rt::spawn(forward(pieces(100, read.clone()), sender, Duration::ZERO));
        let mut body = pin!(body);
        let mut got = body.next().await.unwrap().unwrap().to_vec();
        while read.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        while let Some(piece) = body.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= 3 * CHUNK);
            got.extend_from_slice(&piece);
        }
        assert!(got == (0..100).map(piece).collect::<Vec<_>>().concat());
    }

    #[actix_web::test]
    async fn a_client_that_keeps_up_needs_no_file() {
        let read = Arc::new(AtomicUsize::new(0));
        let (sender, body) = queue();
        actix_web::rt::spawn(forward(pieces(100, read.clone()), sender, Duration::from_secs(60)));
        let mut body = pin!(body);
        for i in 0..100 {
            assert_eq!(body.next().await.unwrap().unwrap(), piece(i));
            // Those that wait, and one that waits for room.
            assert!(read.load(Ordering::Relaxed) <= i + 1 + QUEUED + 1);
        }
        assert!(body.next().await.is_none());
    }

    #[actix_web::test]
    async fn a_failure_comes_after_what_was_read_before_it() {
        let failure = stream::iter([Err(ApiError::MissingComment)]);
        let (sender, body) = queue();
        let failing = pieces(50, Arc::default()).chain(failure);
        actix_web::rt::spawn(forward(failing, sender, Duration::ZERO));
        let got: Vec<_> = body.collect().await;
        let (last, before) = got.split_last().unwrap();
        assert!(matches!(last, Err(ApiError::MissingComment)));
        let before: Vec<_> = before.iter().map(|piece| piece.as_ref().unwrap().to_vec()).collect();
        assert!(before.concat() == (0..50).map(piece).collect::<Vec<_>>().concat());
    }

    #[actix_web::test]
    async fn nothing_is_read_for_a_client_that_has_gone() {
        let (sender, body) = queue();
        drop(body);
        forward(stream::pending(), sender, Duration::ZERO).await;
    }

    #[actix_web::test]
    async fn a_reader_that_breaks_off_is_no_end() {
        let (sender, body) = queue();
        drop(sender);
        let got: Vec<_> = body.collect().await;
        assert!(matches!(&got[..], [Err(ApiError::Internal(_))]));
    }
}
