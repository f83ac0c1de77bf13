//! Local times of a zone: which day an instant lies in, and which instant a local time means
//! where the clock skips it or shows it twice.
//!
//! The rules of named zones come from [`tzdb`](super::tzdb); here is the one place that asks
//! them. Zones keep their last rule for ever.

use chrono::{
    DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta,
    Timelike, Utc,
};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::tzdb::{self, UnknownZone};

/// After 400 years the calendar repeats itself, weekdays included, and so do the rules of zones.
const CYCLE_YEARS: i32 = 400;
const CYCLE_DAYS: i64 = 146_097;
/// Zone rules are queried only up to this year, since they end with the year 9999 and a period may
/// lead there and back.
const ASKED_YEARS: i32 = 9000;
/// No offset from UTC is larger, in seconds.
const FARTHEST: i64 = 26 * 3600;

/// The zone that a value's local times are read in (rule 4).
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    /// An IANA zone, with all its changes of offset.
    Named(&'static TimeZone),
    /// A constant offset.
    Fixed(FixedOffset),
}

/// What a clock makes of a local time.
enum Local {
    /// It shows it, at this instant first.
    Shown(DateTime<Utc>),
    /// It skips it.
    Skipped {
        /// When it would have shown it without the change.
        unchanged: DateTime<Utc>,
        /// When it was changed.
        change: DateTime<Utc>,
    },
}

impl Zone {
    /// The zone of a request that names none.
    pub(super) fn utc() -> Self {
        Self::Fixed(Utc.fix())
    }

    /// The zone of an IANA name.
    pub(super) fn named(name: &str) -> Result<Self, UnknownZone> {
        tzdb::zone(name).map(Self::Named)
    }

    /// The local date at `instant`; `None` beyond the dates chrono can represent.
    pub(super) fn date_at(self, instant: DateTime<Utc>) -> Option<NaiveDate> {
        Some(self.local_at(instant)?.date())
    }

    /// What the clock shows at `instant`; `None` beyond the dates chrono can represent.
    pub(super) fn local_at(self, instant: DateTime<Utc>) -> Option<NaiveDateTime> {
        let utc = instant.naive_utc();
        let offset = match self {
            Self::Named(rules) => {
                let asked = utc.checked_sub_signed(beyond(utc.year())?)?;
                TimeDelta::try_seconds(offset_at(rules, asked.and_utc().timestamp())?)?
            }
            Self::Fixed(offset) => seconds_of(offset),
        };
        utc.checked_add_signed(offset)
    }

    /// The instant of a local time (rule 7): the earlier one if the clock shows it twice. If the
    /// clock skips it, it is moved forward by the length of the gap, as if the clock had not been
    /// changed yet.
    pub(super) fn instant(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        Some(match self.local(local)? {
            Local::Shown(instant) | Local::Skipped { unchanged: instant, .. } => instant,
        })
    }

    /// The first instant of a local day; of a day that the zone skipped, the instant of the
    /// skip.
    ///
    /// Where the clock skips midnight, the day begins when the gap ends. That is midnight moved
    /// forward by the gap's length (rule 7) if the gap begins at midnight, as it nearly always
    /// does, but earlier if the gap begins before it (23:30 to 00:30: the day begins at 00:30,
    /// not at 01:00).
    pub(super) fn first_instant(self, day: NaiveDate) -> Option<DateTime<Utc>> {
        Some(match self.local(day.and_time(NaiveTime::MIN))? {
            Local::Shown(instant) | Local::Skipped { change: instant, .. } => instant,
        })
    }

    fn local(self, local: NaiveDateTime) -> Option<Local> {
        let rules = match self {
            Self::Named(rules) => rules,
            Self::Fixed(offset) => return shown(local, seconds_of(offset)),
        };
        let beyond = beyond(local.year())?;
        let asked = local.checked_sub_signed(beyond)?;
        // jiff misreads local times for an hour where a zone's last rule begins, so its result is
        // only one candidate. What it says of an instant is right.
        let time = asked.and_utc().timestamp();
        let (earlier, later) = (time.checked_sub(FARTHEST)?, time.checked_add(FARTHEST)?);
        let (first, second) = match rules.to_ambiguous_timestamp(civil(asked)?).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, offset),
            AmbiguousOffset::Fold { before, after } | AmbiguousOffset::Gap { before, after } => {
                (before, after)
            }
        };
        let suggested = [first.seconds().into(), second.seconds().into()];
        let near = [offset_at(rules, earlier)?, offset_at(rules, later)?];
        let offset = suggested
            .into_iter()
            .chain(near)
            .filter(|offset| offset_at(rules, time - offset) == Some(*offset))
            .max();
        if let Some(offset) = offset {
            return shown(local, TimeDelta::try_seconds(offset)?);
        }
        let change = first_after(rules, time, earlier, later)?;
        let before = offset_at(rules, change - 1)?;
        Some(Local::Skipped {
            unchanged: local.checked_sub_signed(TimeDelta::try_seconds(before)?)?.and_utc(),
            change: DateTime::from_timestamp(change, 0)?.checked_add_signed(beyond)?,
        })
    }
}

/// The first instant at which the clock shows more than `time`, which it skips. At `before` it
/// shows less, at `after` more.
fn first_after(rules: &TimeZone, time: i64, mut before: i64, mut after: i64) -> Option<i64> {
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if middle + offset_at(rules, middle)? > time {
            after = middle;
        } else {
            before = middle;
        }
    }
    Some(after)
}

/// The offset at an instant, both in seconds.
fn offset_at(rules: &TimeZone, instant: i64) -> Option<i64> {
    let instant = Timestamp::from_second(instant).ok()?;
    Some(rules.to_offset(instant).seconds().into())
}

fn shown(local: NaiveDateTime, offset: TimeDelta) -> Option<Local> {
    Some(Local::Shown(local.checked_sub_signed(offset)?.and_utc()))
}

/// How far a year is from the nearest one that looks the same and is not beyond [`ASKED_YEARS`].
fn beyond(year: i32) -> Option<TimeDelta> {
    let years = year.abs().checked_sub(ASKED_YEARS)?.max(0);
    let cycles = years.unsigned_abs().div_ceil(CYCLE_YEARS.unsigned_abs());
    TimeDelta::try_days(i64::from(cycles) * i64::from(year.signum()) * CYCLE_DAYS)
}

fn civil(local: NaiveDateTime) -> Option<jiff::civil::DateTime> {
    jiff::civil::DateTime::new(
        local.year().try_into().ok()?,
        local.month().try_into().ok()?,
        local.day().try_into().ok()?,
        local.hour().try_into().ok()?,
        local.minute().try_into().ok()?,
        local.second().try_into().ok()?,
        // A leap second has more nanoseconds than jiff's.
        local.nanosecond().min(999_999_999).try_into().ok()?,
    )
    .ok()
}

fn seconds_of(offset: FixedOffset) -> TimeDelta {
    TimeDelta::seconds(offset.local_minus_utc().into())
}
