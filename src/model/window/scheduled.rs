//! `scheduledFor` of `/orders/add`: when a new order is due. The grammar is that of JOC's
//! schema `timestampWithNow`.

use std::sync::LazyLock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use regex::{Captures, Regex};

use super::zone::Zone;
use super::{UnknownZone, YEARS};

/// When an order is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// At this instant.
    At(DateTime<Utc>),
    /// Never: the order is `PENDING`.
    Never,
}

/// Why a text is no [`Schedule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleError {
    /// It matches no form, or names a day that its month does not have.
    Unreadable,
    /// It is outside the years 1 to 9999.
    LeavesYears,
}

/// The zone in which a date without one is read.
#[derive(Debug, Clone, Copy)]
pub struct LocalZone(Zone);

impl LocalZone {
    /// UTC.
    pub fn utc() -> Self {
        Self(Zone::utc())
    }

    /// The zone of an IANA name.
    ///
    /// # Errors
    ///
    /// If there is none; names are case-sensitive.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        Zone::named(name).map(Self)
    }
}

/// `now`, `now + SECONDS`, `now + HH:MM[:SS]`, or `YYYY-MM-DD HH:MM[:SS]`.
static GRAMMAR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(?:
            now(?:\s*\+\s*(?:(?<hours>[0-9]+):(?<minutes>[0-9]{1,2})(?::(?<seconds>[0-9]{1,2}))?
                |(?<only_seconds>[0-9]+))?)?
            |(?<year>[0-9]{4})-(?<month>[0-9]{2})-(?<day>[0-9]{2})
                \s(?<hour>[0-9]{1,2}):(?<minute>[0-9]{1,2})(?::(?<second>[0-9]{1,2}))?
        )$",
    )
    .ok()
});

/// The pattern of [`Schedule::read`]. It admits days that a month does not have and years outside
/// [`YEARS`].
pub(crate) const PATTERN: &str = r"^(?:|never|now(?:\s*\+\s*(?:[0-9]+(?::[0-9]{1,2}){0,2})?)?|[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])\s(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9](?::[0-5]?[0-9])?)$";

impl Schedule {
    /// Reads `scheduledFor` at `now`. Empty or `now` means now, `never` means never; the other
    /// forms are a period from now or a local time of `zone`. A local time that the zone's clock
    /// skips or shows twice is read as in `dateFrom`.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] for anything else, and for instants outside the years 1 to 9999.
    pub fn read(text: &str, zone: LocalZone, now: DateTime<Utc>) -> Result<Self, ScheduleError> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let text = if text.is_empty() { "now" } else { text };
        let captures = GRAMMAR.as_ref().and_then(|grammar| grammar.captures(text));
        let captures = captures.ok_or(ScheduleError::Unreadable)?;
        let at = if captures.name("year").is_some() {
            let local = local_time(&captures).ok_or(ScheduleError::Unreadable)?;
            zone.0.instant(local)
        } else {
            period(&captures).and_then(|period| now.checked_add_signed(period))
        };
        at.filter(|at| YEARS.contains(&at.year())).map(Self::At).ok_or(ScheduleError::LeavesYears)
    }
}

/// The local time of the date form; `None` if there is no such day or time of day.
fn local_time(captures: &Captures<'_>) -> Option<NaiveDateTime> {
    let date = NaiveDate::from_ymd_opt(
        number(captures, "year")?.try_into().ok()?,
        number(captures, "month")?.try_into().ok()?,
        number(captures, "day")?.try_into().ok()?,
    )?;
    date.and_hms_opt(
        number(captures, "hour")?.try_into().ok()?,
        number(captures, "minute")?.try_into().ok()?,
        number(captures, "second")?.try_into().ok()?,
    )
}

/// The period of the forms with `now`; `None` if it is beyond what can be counted.
fn period(captures: &Captures<'_>) -> Option<TimeDelta> {
    let minutes = number(captures, "hours")?.checked_mul(60)?;
    let minutes = minutes.checked_add(number(captures, "minutes")?)?;
    let seconds = minutes.checked_mul(60)?.checked_add(number(captures, "seconds")?)?;
    TimeDelta::try_seconds(seconds.checked_add(number(captures, "only_seconds")?)?)
}

/// The number of a group, 0 if it is not there; `None` if it is beyond 64 bits.
fn number(captures: &Captures<'_>, group: &str) -> Option<i64> {
    captures.name(group).map_or(Some(0), |digits| digits.as_str().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::window::iso;

    const NOW: &str = "2026-03-28T12:00:00.500Z";

    fn read(text: &str, zone: Option<&str>) -> Result<String, ScheduleError> {
        let zone = zone.map_or_else(LocalZone::utc, |name| LocalZone::named(name).unwrap());
        Ok(match Schedule::read(text, zone, NOW.parse().unwrap())? {
            Schedule::At(at) => iso(&at),
            Schedule::Never => "never".into(),
        })
    }

    #[test]
    fn every_form_is_read() {
        for (text, at) in [
            ("", NOW),
            ("now", NOW),
            ("now +", NOW),
            ("now+90", "2026-03-28T12:01:30.500Z"),
            ("now + 3600", "2026-03-28T13:00:00.500Z"),
            ("now + 01:30", "2026-03-28T13:30:00.500Z"),
            ("now + 100:00:05", "2026-04-01T16:00:05.500Z"),
            ("never", "never"),
            ("2026-03-29 02:30", "2026-03-29T02:30:00.000Z"),
            ("2026-03-29 2:5:7", "2026-03-29T02:05:07.000Z"),
            ("2020-01-01 00:00:00", "2020-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(read(text, None).as_deref(), Ok(at), "{text}");
        }
    }

    #[test]
    fn dates_are_local_times_of_the_zone() {
        let berlin = Some("Europe/Berlin");
        assert_eq!(read("2026-03-28 02:30", berlin).unwrap(), "2026-03-28T01:30:00.000Z");
        // The clock skips from 2:00 to 3:00.
        assert_eq!(read("2026-03-29 02:30", berlin).unwrap(), "2026-03-29T01:30:00.000Z");
        assert_eq!(read("now + 60", berlin).unwrap(), "2026-03-28T12:01:00.500Z");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            " ",
            "Now",
            "NEVER",
            "now - 5",
            "now + -5",
            "now + 1:2:3:4",
            "now5",
            "tomorrow",
            "2026-02-30 10:00",
            "2026-01-01T10:00:00",
            "2026-01-01",
            "2026-01-01 24:00",
            "2026-01-01 10:60",
            "2026-01-01 10:00\n",
            "٢٠٢٦-01-01 10:00",
        ] {
            assert_eq!(read(text, None), Err(ScheduleError::Unreadable), "{text:?}");
        }
        for text in ["0000-01-01 00:00", "now + 99999999999999999999", "now + 9999999999999"] {
            assert_eq!(read(text, None), Err(ScheduleError::LeavesYears), "{text:?}");
        }
    }
}
