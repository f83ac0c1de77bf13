//! One database of one size, and the comparison of two works in turns.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::client::Client;
use crate::data::Shape;
use crate::raw::Raw;
use crate::report::Report;
use crate::service::Service;
use crate::set::Set;
use crate::targets::Topic;
use crate::typed::Listener;
use crate::{Args, Part, by_hand, parts};

/// How many reads each measurement averages: sqlite3 shows whole milliseconds.
const READS: u32 = 10;

pub struct Bench<'a> {
    pub args: &'a Args,
    pub raw: &'a Raw,
    /// Captures the service's own statements, on PostgreSQL.
    listener: Option<Listener>,
    pub shape: Shape,
    pub report: &'a mut Report,
    began: DateTime<Utc>,
}

/// A running service and a token for it.
pub struct Session {
    pub service: Service,
    pub token: String,
}

impl Session {
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.service.address, &self.token).await
    }
}

impl<'a> Bench<'a> {
    pub fn new(
        args: &'a Args,
        raw: &'a Raw,
        listener: Option<Listener>,
        shape: Shape,
        report: &'a mut Report,
    ) -> Self {
        let began = Utc::now() - TimeDelta::seconds(1);
        Self { args, raw, listener, shape, report, began }
    }

    pub async fn measure(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Import => Ok(()),
            Part::Sets => parts::sets(self).await,
            Part::Single => parts::single(self).await,
            Part::Bulk => parts::bulk(self).await,
            Part::Mixed => parts::mixed(self).await,
            Part::Start => parts::start(self).await,
            Part::Calls => parts::calls(self).await,
            Part::Edges => parts::edges(self).await,
            Part::Peers => parts::peers::compare(self).await,
            Part::Memory => parts::memory(self).await,
        }
    }

    pub fn stop(self) -> anyhow::Result<()> {
        self.listener.map_or(Ok(()), Listener::stop)
    }

    pub async fn session(&self) -> anyhow::Result<Session> {
        let service = Service::start(&self.raw.url())?;
        let token = service.token().await?;
        Ok(Session { service, token })
    }

    /// Makes the orders fresh again that the benchmark has cancelled.
    pub fn restore(&self) -> anyhow::Result<()> {
        self.raw.restore(self.began)
    }

    /// The statements of the baseline: the service's own, or those that a person would type.
    pub async fn beside(
        &self,
        call: &str,
        body: &Value,
        by_hand: Vec<String>,
    ) -> anyhow::Result<Vec<String>> {
        match &self.listener {
            Some(listener) => listener.hear(call, body).await,
            None => Ok(by_hand),
        }
    }

    /// Reads from the service and the database in turns.
    pub async fn read(
        &mut self,
        session: &Session,
        (topic, name): (&'static Topic, &str),
        (call, body): (&str, &Value),
        statements: &[String],
    ) -> anyhow::Result<()> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let repeated = vec![statements; READS as usize].concat();
        for _ in 0..self.args.runs {
            // A new connection, since the baseline may take longer than the service keeps an idle
            // one.
            let mut client = session.client().await?;
            let mut took = Duration::ZERO;
            for _ in 0..READS {
                took += client.succeed(call, body).await?.took;
            }
            ours.push(took / READS);
            theirs.push(self.raw.time(&repeated)? / READS);
        }
        self.report.times(topic, name, median(ours), median(theirs));
        Ok(())
    }

    /// Cancels a set through the service and on the database alone in turns, and returns both
    /// times.
    pub async fn cancel(
        &mut self,
        session: &Session,
        (topic, name): (&'static Topic, &str),
        (set, expected): (Set, usize),
        runs: usize,
    ) -> anyhow::Result<(Duration, Duration)> {
        let (call, body) = ("/orders/cancel", set.request());
        let statements = self.beside(call, &body, by_hand::cancel(set)).await?;
        self.restore()?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            // A new connection, since restoring takes longer than the service keeps an idle one.
            let mut client = session.client().await?;
            let response = client.succeed(call, &body).await?;
            ensure!(response.affected == expected, "{} are cancelled", response.affected);
            ours.push(response.took);
            self.restore()?;
            theirs.push(self.raw.time(&statements)?);
            self.restore()?;
        }
        let (ours, theirs) = (median(ours), median(theirs));
        self.report.times(topic, name, ours, theirs);
        Ok((ours, theirs))
    }
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
