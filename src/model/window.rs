//! What `dateFrom`, `dateTo` and `timeZone` mean: three strings of a request and the time of
//! the request become one half-open [`Window`] of instants. The rules are the date rules of
//! the JOC API as this service keeps them (`docs/dates.md`); comments cite them by number.
//!
//! The grammar of a value is in [`value`], the reading of local times in [`zone`]; here are
//! the limits of a result, the choice of the zone and the direction of unsigned numbers.

use std::fmt;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

use self::value::{Direction, Value};
use self::zone::Zone;

mod value;
mod zone;

/// The years an instant may have, in UTC (rule 9): those that four digits can write.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// How many characters of a client's text an error message repeats.
const QUOTED_CHARS: usize = 60;

/// A half-open window of instants: `from` ≤ instant < `to`; an absent bound does not limit.
///
/// Bounds are whole milliseconds, as scheduled times are. A bound with a finer fraction is
/// rounded up: for an instant of whole milliseconds, `instant >= from` and `instant < to` then
/// hold exactly when they hold for the unrounded bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant inside the window.
    pub from: Option<DateTime<Utc>>,
    /// The first instant after the window.
    pub to: Option<DateTime<Utc>>,
}

impl Window {
    /// Whether the window limits nothing, since neither bound was given.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Resolves a request's `dateFrom`, `dateTo` and `timeZone`, as seen at `now`.
    ///
    /// A number without a sign points forward, unless both bounds are given and that reading
    /// leaves no instant between them: then such numbers of both values point back (rule 8).
    /// A window with a single bound cannot be empty, so its numbers never turn around.
    ///
    /// # Errors
    ///
    /// - [`WindowError::UnknownTimeZone`] for a `time_zone` that is no IANA name, even if no
    ///   date is given (rule 4); names are case-sensitive.
    /// - [`WindowError::Malformed`] for a value that is neither a date nor a period (rules 1
    ///   to 3); an empty string is one, since an unset variable of a script means no date.
    /// - [`WindowError::OutOfYears`] for a bound outside the years 1 to 9999 of UTC (rule 9),
    ///   be it in the forward reading or in the one that replaces it.
    /// - [`WindowError::Empty`] for a window that ends where it begins, or before, in both
    ///   readings (rule 8); the error shows the forward one.
    pub fn resolve(
        date_from: Option<&str>,
        date_to: Option<&str>,
        time_zone: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, WindowError> {
        let zone = time_zone.map(named_zone).transpose()?;
        let read = |bound, text| Reading::parse(bound, text, zone);
        let from = date_from.map(|text| read(Bound::DateFrom, text)).transpose()?;
        let to = date_to.map(|text| read(Bound::DateTo, text)).transpose()?;

        let pointing = |direction| {
            let instant = |reading: &Reading<'_>| reading.instant(direction, now);
            Ok(Self {
                from: from.as_ref().map(instant).transpose()?,
                to: to.as_ref().map(instant).transpose()?,
            })
        };
        let forward: Self = pointing(Direction::Forward)?;
        let Some(empty) = forward.emptiness() else {
            return Ok(forward);
        };
        let back = pointing(Direction::Back)?;
        match back.emptiness() {
            None => Ok(back),
            Some(_) => Err(empty),
        }
    }

    /// The error to answer if no instant lies between the bounds.
    fn emptiness(&self) -> Option<WindowError> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if to <= from => Some(WindowError::Empty { from, to }),
            _ => None,
        }
    }
}

/// The two request fields that bound a window; displayed by the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// `dateFrom`; of a whole day, week, month or year it means the first instant.
    DateFrom,
    /// `dateTo`; of a whole day, week, month or year it means the first instant after it.
    DateTo,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DateFrom => "dateFrom",
            Self::DateTo => "dateTo",
        })
    }
}

/// Why a request's dates are refused. The message begins with the name of the request's field.
///
/// Texts of the client are kept as the message shows them: shortened, control characters
/// escaped, so that neither logs nor terminals are at a client's mercy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The value follows neither grammar (rules 1 to 3).
    #[error("{bound}: '{value}' is neither a date nor a period")]
    Malformed {
        /// The field that holds the value.
        bound: Bound,
        /// The value, fit for display.
        value: String,
    },
    /// The value means an instant outside the years 1 to 9999 of UTC (rule 9).
    #[error("{bound}: '{value}' leaves the years 1 to 9999")]
    OutOfYears {
        /// The field that holds the value.
        bound: Bound,
        /// The value, fit for display.
        value: String,
    },
    /// `timeZone` is not a name of the IANA time zone database (rule 4).
    #[error("timeZone: '{name}' is not an IANA time zone")]
    UnknownTimeZone {
        /// The name, fit for display.
        name: String,
    },
    /// No instant lies in the window, whichever way unsigned numbers point (rule 8).
    #[error(
        "dateTo: the window is empty: it ends at {}, which is not after dateFrom {}",
        iso(to),
        iso(from)
    )]
    Empty {
        /// Where the window would begin, unsigned numbers pointing forward.
        from: DateTime<Utc>,
        /// Where it would end.
        to: DateTime<Utc>,
    },
}

/// A parsed value together with what it takes to resolve it and to complain about it.
struct Reading<'a> {
    bound: Bound,
    text: &'a str,
    value: Value,
    zone: Zone,
}

impl<'a> Reading<'a> {
    fn parse(bound: Bound, text: &'a str, named: Option<Zone>) -> Result<Self, WindowError> {
        let Some((value, offset)) = value::parse(text) else {
            let value = displayable(text);
            return Err(WindowError::Malformed { bound, value });
        };
        // Rule 4: timeZone beats the value's offset, which beats UTC.
        let zone = named.or(offset.map(Zone::Fixed)).unwrap_or_else(Zone::utc);
        Ok(Self { bound, text, value, zone })
    }

    fn instant(
        &self,
        direction: Direction,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, WindowError> {
        self.value
            .instant(self.bound, direction, self.zone, now)
            .and_then(whole_milliseconds)
            .filter(|instant| YEARS.contains(&instant.year()))
            .ok_or_else(|| WindowError::OutOfYears {
                bound: self.bound,
                value: displayable(self.text),
            })
    }
}

fn named_zone(name: &str) -> Result<Zone, WindowError> {
    match name.parse() {
        Ok(zone) => Ok(Zone::Named(zone)),
        Err(_) => Err(WindowError::UnknownTimeZone { name: displayable(name) }),
    }
}

/// Rounds up to a whole millisecond; see [`Window`] for why up. chrono's own rounding counts
/// nanoseconds in 64 bits and so ends in 2262.
fn whole_milliseconds(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let has_rest = !instant.timestamp_subsec_nanos().is_multiple_of(1_000_000);
    let millis = instant.timestamp_millis().checked_add(has_rest.into())?;
    DateTime::from_timestamp_millis(millis)
}

/// An instant as the API writes it: ISO 8601 in UTC, with milliseconds.
#[must_use]
pub fn iso(instant: &DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A client's text as messages show it: shortened, and with control characters escaped.
pub(crate) fn displayable(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == QUOTED_CHARS {
            shown.push('…');
            break;
        }
        // escape_debug also covers characters that are invisible or turn the text's direction.
        shown.extend(c.escape_debug());
    }
    shown
}
