//! Where a request reads: from the read replica if there is one that has what its account should
//! see, otherwise from the primary.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::http::context::request::{Context, Source};
use crate::http::transport::prometheus;
use crate::store::replica::Replica;
use crate::store::{self, Error, Store};

impl Context {
    /// The instant to which the data of the response are current.
    pub fn surveyed(&self) -> DateTime<Utc> {
        match self.reading.get() {
            Some(Source::Replica { current_to }) => current_to,
            _ => self.repeats().unwrap_or(self.now),
        }
    }

    /// Reads. If the replica fails, the primary is read.
    pub async fn read<'a, T, F>(&'a self, work: impl Fn(&'a dyn Store) -> F) -> store::Result<T>
    where
        F: Future<Output = store::Result<T>>,
    {
        let Some((replica, store)) = self.replica() else { return work(self.store()).await };
        let read = tokio::select! {
            read = work(store) => read,
            error = replica.lost() => Err(error),
        };
        match read {
            Err(error) => {
                self.leave_replica(&error);
                work(self.store()).await
            }
            read => read,
        }
    }

    /// Reads rows. If the replica fails before the first, the primary is read.
    pub async fn read_rows<T: Send + 'static>(
        &self,
        rows: impl Fn(&dyn Store) -> BoxStream<'static, store::Result<T>>,
    ) -> BoxStream<'static, store::Result<T>> {
        let Some((replica, store)) = self.replica() else { return rows(self.store()) };
        let mut read = rows(store);
        let first = tokio::select! {
            first = read.next() => first,
            error = replica.lost() => Some(Err(error)),
        };
        match first {
            Some(Err(error)) => {
                self.leave_replica(&error);
                rows(self.store())
            }
            Some(first) => stream::iter([first]).chain(read).boxed(),
            None => stream::empty().boxed(),
        }
    }

    /// Remembers that the account has changed something, or may have: it then reads from the primary
    /// until the replica has the change.
    pub fn has_changed(&self) {
        if let Some(replica) = &self.service.replica {
            replica.changed(&self.principal.account);
        }
    }

    /// The replica, if this request reads from it.
    fn replica(&self) -> Option<(&Replica, &dyn Store)> {
        let replica = &**self.service.replica.as_ref()?;
        match self.reading.get() {
            None => {
                let served = replica.serves(&self.principal.account);
                let source = match served {
                    Some((_, age)) => {
                        let age = TimeDelta::from_std(age).unwrap_or_default();
                        Source::Replica { current_to: self.now - age }
                    }
                    None => Source::Primary,
                };
                prometheus::read(served.is_some());
                self.reading.set(Some(source));
                served.map(|(store, _)| (replica, store))
            }
            Some(Source::Replica { .. }) => replica.store().map(|store| (replica, store)),
            Some(Source::Primary) => None,
        }
    }

    fn leave_replica(&self, error: &Error) {
        if let Some(replica) = &self.service.replica {
            replica.failed(error);
        }
        self.reading.set(Some(Source::Primary));
    }
}
