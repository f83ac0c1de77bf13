//! Local times of a zone: which day an instant lies in, and which instant a local time means
//! where the clock skips it or shows it twice.
//!
//! Named zones come from the tables of `chrono-tz`, whose daylight-saving changes end with the
//! year 2099; later local times are read with the last offset known.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// The zone that a value's local times are read in (rule 4).
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    /// An IANA zone, with all its changes of offset.
    Named(Tz),
    /// A constant offset.
    Fixed(FixedOffset),
}

impl Zone {
    /// The zone of a request that names none.
    pub(super) fn utc() -> Self {
        Self::Fixed(Utc.fix())
    }

    /// The local date at `instant`; `None` beyond the dates chrono can represent.
    pub(super) fn date_at(self, instant: DateTime<Utc>) -> Option<NaiveDate> {
        let utc = instant.naive_utc();
        let offset = match self {
            Self::Named(tz) => tz.offset_from_utc_datetime(&utc).fix(),
            Self::Fixed(offset) => offset,
        };
        Some(utc.checked_add_offset(offset)?.date())
    }

    /// The instant of a local time (rule 7): the earlier one if the clock shows that time
    /// twice, and moved forward by the length of the gap if it never shows it, which is what
    /// the clock would show had it not been changed yet.
    pub(super) fn instant(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        self.existing(local).or_else(|| {
            let (_, before) = self.gap(local)?;
            to_utc(local, before)
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
        let midnight = day.and_time(NaiveTime::MIN);
        self.existing(midnight).or_else(|| {
            let (gap_begin, before) = self.gap(midnight)?;
            to_utc(gap_begin, before)
        })
    }

    /// The earliest instant at which the clock shows `local`; `None` in a gap.
    fn existing(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self {
            Self::Named(tz) => {
                tz.from_local_datetime(&local).earliest().map(|instant| instant.to_utc())
            }
            Self::Fixed(offset) => to_utc(local, offset),
        }
    }

    /// The local time at which the gap around `local` begins, and the offset until then.
    fn gap(self, local: NaiveDateTime) -> Option<(NaiveDateTime, FixedOffset)> {
        match self {
            Self::Named(tz) => {
                let (begin, before) = GapInfo::new(&local, &tz)?.begin?;
                Some((begin, before.fix()))
            }
            Self::Fixed(_) => None,
        }
    }
}

fn to_utc(local: NaiveDateTime, offset: FixedOffset) -> Option<DateTime<Utc>> {
    Some(local.checked_sub_offset(offset)?.and_utc())
}
