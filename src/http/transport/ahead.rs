//! Reads a result ahead of its client. What a slow client has not taken waits in an unnamed file,
//! so that the database snapshot ends soon.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use anyhow::anyhow;
use async_stream::try_stream;
use futures_util::stream::{Stream, StreamExt};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::http::error::ApiError;

/// How many pieces wait in memory.
const QUEUED: usize = 2;
/// How long the database waits for a client in total before the rest goes to a file. Clients that
/// keep up never need one.
const GRACE: Duration = Duration::from_secs(1);
/// How long the database waits for a client in total if there is no room for the file.
const NO_ROOM: Duration = Duration::from_secs(30);
/// How many bytes are read from the file at a time.
const CHUNK: usize = 64 * 1024;

/// A piece of a result; `None` after the last one. A result that ends without it is incomplete.
type Piece = Result<Option<Bytes>, ApiError>;

/// The sender of pieces, and the stream of pieces for the client.
pub fn queue() -> (Sender<Piece>, impl Stream<Item = Result<Bytes, ApiError>> + 'static) {
    let (sender, mut receiver) = mpsc::channel(QUEUED);
    let body = try_stream! {
        let incomplete = || Err(ApiError::Internal(anyhow!("the response is incomplete")));
        while let Some(piece) = receiver.recv().await.unwrap_or_else(incomplete)? {
            yield piece;
        }
    };
    (sender, body)
}

/// How long the database may wait for a client, and where the rest goes.
#[derive(Clone, Copy)]
pub struct ReadAheadLimits {
    /// In total, before the rest goes to a file.
    grace: Duration,
    /// In total, if there is no room for the file.
    no_room: Duration,
    file: fn() -> io::Result<File>,
}

impl Default for ReadAheadLimits {
    fn default() -> Self {
        Self { grace: GRACE, no_room: NO_ROOM, file: tempfile::tempfile }
    }
}

/// Passes pieces on until the client has taken the last one or is gone. If the client has kept them
/// waiting for too long, reads the rest without delay.
pub async fn forward(
    pieces: impl Stream<Item = Result<Bytes, ApiError>>,
    sender: Sender<Piece>,
    limits: ReadAheadLimits,
) {
    let end = read_ahead(pieces, &sender, limits).await;
    if let Err(error) = &end {
        tracing::error!(error = error.cause(), "response aborted");
    }
    // Fails if the client has gone.
    let _gone = sender.send(end.map(|()| None)).await;
}

async fn read_ahead(
    pieces: impl Stream<Item = Result<Bytes, ApiError>>,
    sender: &Sender<Piece>,
    limits: ReadAheadLimits,
) -> Result<(), ApiError> {
    let mut pieces = pin!(pieces);
    let mut spill = Spill { make: limits.file, file: None, taken: 0, put: 0 };
    let mut grace = limits.grace;
    let mut end = None;
    // The piece that the file has no room for, and until when it may wait for the client.
    let (mut held, mut deadline) = (None, None);
    while end.is_none() || held.is_some() || !spill.is_empty() {
        let late = sleep_until(deadline.unwrap_or_else(Instant::now));
        tokio::select! {
            () = sender.closed() => break,
            Ok(room) = sender.reserve(), if held.is_some() || !spill.is_empty() => {
                let piece = if spill.is_empty() {
                    held.take().map(|(piece, _)| piece).unwrap_or_default()
                } else {
                    spill.take().await.map_err(no_file)?
                };
                room.send(Ok(Some(piece)));
            }
            () = late, if held.is_some() => {
                let error = held.map_or(io::ErrorKind::TimedOut.into(), |(_, error)| error);
                return Err(no_file(error));
            }
            piece = pieces.next(), if end.is_none() && held.is_none() => {
                let mut piece = match piece.transpose() {
                    Ok(Some(piece)) => piece,
                    ended => {
                        end = Some(ended.map(drop));
                        continue;
                    }
                };
                if spill.is_empty() {
                    let begun = Instant::now();
                    let sent = sender.send_timeout(Ok(Some(piece)), grace).await;
                    grace = grace.saturating_sub(begun.elapsed());
                    let Err(SendTimeoutError::Timeout(Ok(Some(late)))) = sent else { continue };
                    piece = late;
                }
                if let Err(error) = spill.put(piece.clone()).await {
                    if deadline.is_none() {
                        tracing::warn!(%error, "no room for a temporary file: a list waits for its client");
                        deadline = Some(Instant::now() + limits.no_room);
                    }
                    held = Some((piece, error));
                }
            }
        }
    }
    end.unwrap_or(Ok(()))
}

fn no_file(error: io::Error) -> ApiError {
    ApiError::Internal(anyhow::Error::from(error).context("a temporary file"))
}

/// Pieces in a file, first in, first out.
struct Spill {
    make: fn() -> io::Result<File>,
    file: Option<Arc<File>>,
    taken: u64,
    put: u64,
}

impl Spill {
    fn is_empty(&self) -> bool {
        self.taken == self.put
    }

    async fn put(&mut self, piece: Bytes) -> io::Result<()> {
        let (file, make, at, length) = (self.file.clone(), self.make, self.put, piece.len());
        let written = blocking(move || {
            let file = file.map_or_else(|| make().map(Arc::new), Ok)?;
            file.write_all_at(&piece, at)?;
            Ok(file)
        });
        self.file = Some(written.await?);
        self.put += length as u64;
        Ok(())
    }

    async fn take(&mut self) -> io::Result<Bytes> {
        let file = self.file.clone().ok_or(io::ErrorKind::NotFound)?;
        let at = self.taken;
        let length = usize::try_from(self.put - at).unwrap_or(CHUNK).min(CHUNK);
        self.taken += length as u64;
        if self.is_empty() {
            // Dropping the file frees its disk space.
            *self = Self { make: self.make, file: None, taken: 0, put: 0 };
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

    use futures_util::stream;

    use super::*;

    const AT_ONCE: ReadAheadLimits = ReadAheadLimits {
        grace: Duration::ZERO,
        no_room: Duration::ZERO,
        file: tempfile::tempfile,
    };

    fn full() -> io::Result<File> {
        File::options().read(true).write(true).open("/dev/full")
    }

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
    async fn reads_ahead_of_a_client_and_keeps_the_order() {
        let read = Arc::new(AtomicUsize::new(0));
        let (sender, body) = queue();
        actix_web::rt::spawn(forward(pieces(100, read.clone()), sender, AT_ONCE));
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
        actix_web::rt::spawn(forward(
            pieces(100, read.clone()),
            sender,
            ReadAheadLimits { grace: Duration::from_secs(60), ..AT_ONCE },
        ));
        let mut body = pin!(body);
        for i in 0..100 {
            assert_eq!(body.next().await.unwrap().unwrap(), piece(i));
            // Those in the queue, and one that waits for room in it.
            assert!(read.load(Ordering::Relaxed) <= i + 1 + QUEUED + 1);
        }
        assert!(body.next().await.is_none());
    }

    #[actix_web::test]
    async fn sends_what_was_read_before_a_failure() {
        let failure = stream::iter([Err(ApiError::MissingComment)]);
        let (sender, body) = queue();
        let failing = pieces(50, Arc::default()).chain(failure);
        actix_web::rt::spawn(forward(failing, sender, AT_ONCE));
        let got: Vec<_> = body.collect().await;
        let (last, before) = got.split_last().unwrap();
        assert!(matches!(last, Err(ApiError::MissingComment)));
        let before: Vec<_> = before.iter().map(|piece| piece.as_ref().unwrap().to_vec()).collect();
        assert!(before.concat() == (0..50).map(piece).collect::<Vec<_>>().concat());
    }

    #[actix_web::test]
    async fn without_room_for_a_file_a_client_sets_the_pace_for_a_while() {
        let no_room = Duration::from_secs(60);
        let limits = ReadAheadLimits { no_room, file: full, ..AT_ONCE };
        let read = Arc::new(AtomicUsize::new(0));
        let (sender, body) = queue();
        actix_web::rt::spawn(forward(pieces(100, read.clone()), sender, limits));
        let mut body = pin!(body);
        for i in 0..100 {
            assert_eq!(body.next().await.unwrap().unwrap(), piece(i));
            assert!(read.load(Ordering::Relaxed) <= i + 1 + QUEUED + 1);
        }
        assert!(body.next().await.is_none());

        let (sender, _body) = queue();
        let limits = ReadAheadLimits { file: full, ..AT_ONCE };
        let end = read_ahead(pieces(100, Arc::default()), &sender, limits).await;
        assert!(matches!(end, Err(ApiError::Internal(_))));
    }

    #[actix_web::test]
    async fn reads_nothing_for_a_client_that_has_gone() {
        let (sender, body) = queue();
        drop(body);
        forward(stream::pending(), sender, AT_ONCE).await;
    }

    #[actix_web::test]
    async fn a_reader_that_stops_makes_no_complete_response() {
        let (sender, body) = queue();
        drop(sender);
        let got: Vec<_> = body.collect().await;
        assert!(matches!(&got[..], [Err(ApiError::Internal(_))]));
    }
}
