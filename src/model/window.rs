//! What `dateFrom`, `dateTo` and `timeZone` mean: three strings of a request and the time of the
//! request become one half-open [`Window`] of instants. [`Fields`] are for requests that name the
//! two dates differently, or look back. The rules are the date rules of the JOC API as this service
//! keeps them (`docs/dates.md`); comments cite them by number.
//!
//! The grammar of a value is in [`value`], the reading of local times in [`zone`]; here are
//! the limits of a result, the choice of the zone and the direction of unsigned numbers.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

pub(crate) use self::tzdb::time_zones;
pub use self::tzdb::{Source, TimeZoneDatabase, UnknownZone, time_zone_database};
use self::value::{Bound, DateValue, Direction};
use self::zone::Zone;
use crate::model::invalid::{Invalid, displayable};

pub mod buckets;
pub mod scheduled;
mod tzdb;
mod value;
mod zone;

/// The years an instant may have, in UTC (rule 9): those that four digits can write.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// The grammar of a value. It admits days that a month does not have and years outside [`YEARS`].
pub(crate) const PATTERN: &str = r"^(?:[+-]?0|(?:[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,][0-9]{1,9})?|(?:[+-]?[0-9]+[smhdwMy])+)(?:Z|[+-](?:(?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|18(?::?00)?))?)$";

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

/// The two fields of a request that bound a window, and where their unsigned numbers point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The field of the lower bound; of a whole day, week, month or year it means the first
    /// instant.
    pub from: &'static str,
    /// The field of the upper bound; of a whole day, week, month or year it means the first
    /// instant after it.
    pub to: &'static str,
    /// Where a number without a sign points.
    pub unsigned: Unsigned,
}

/// Where the numbers of a window that have no sign point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// Forward, and back only if that leaves the window empty (rule 8).
    ForwardThenBack,
    /// Always back, as in JOC's requests about the past.
    Back,
}

impl Fields {
    /// `dateFrom` and `dateTo` of requests about orders that may lie ahead.
    pub const DATES: Self =
        Self { from: "dateFrom", to: "dateTo", unsigned: Unsigned::ForwardThenBack };
    /// `dateFrom` and `dateTo` of requests about the past: histories and the audit log.
    pub const PAST_DATES: Self = Self { unsigned: Unsigned::Back, ..Self::DATES };
    /// `stateDateFrom` and `stateDateTo`: since when orders have their state.
    pub const STATE_DATES: Self =
        Self { from: "stateDateFrom", to: "stateDateTo", unsigned: Unsigned::Back };
    /// `completedDateFrom` and `completedDateTo`: when orders became terminal.
    pub const COMPLETED_DATES: Self =
        Self { from: "completedDateFrom", to: "completedDateTo", unsigned: Unsigned::Back };

    /// Resolves these fields of a request and its `timeZone`, as seen at `now`.
    ///
    /// A window with a single bound cannot be empty, so its numbers never turn around.
    ///
    /// # Errors
    ///
    /// - [`WindowError::UnknownTimeZone`] for a `time_zone` that is no IANA name, even if no
    ///   date is given (rule 4); names are case-sensitive, and the empty one is none.
    /// - [`WindowError::Malformed`] for a value that is neither a date nor a period (rules 1
    ///   to 3); an empty string is one, since an unset variable of a script means no date.
    /// - [`WindowError::OutOfYears`] for a bound outside the years 1 to 9999 of UTC (rule 9),
    ///   be it in the first reading or in the one that replaces it.
    /// - [`WindowError::Empty`] for a window that ends where it begins, or before, in every
    ///   reading (rule 8); the error shows the first one.
    pub fn resolve(
        self,
        from: Option<&str>,
        to: Option<&str>,
        time_zone: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Window, WindowError> {
        let zone = zone_named(time_zone)?;
        let read = |field, bound, text| BoundText::parse(field, bound, text, zone);
        let from = from.map(|text| read(self.from, Bound::From, text)).transpose()?;
        let to = to.map(|text| read(self.to, Bound::To, text)).transpose()?;

        let pointing = |direction| {
            let instant = |reading: &BoundText<'_>| reading.instant(direction, now);
            Ok(Window {
                from: from.as_ref().map(instant).transpose()?,
                to: to.as_ref().map(instant).transpose()?,
            })
        };
        let (first, second) = match self.unsigned {
            Unsigned::ForwardThenBack => (Direction::Forward, Some(Direction::Back)),
            Unsigned::Back => (Direction::Back, None),
        };
        let window: Window = pointing(first)?;
        let Some(empty) = self.emptiness(&window) else {
            return Ok(window);
        };
        if let Some(window) = second.map(pointing).transpose()?
            && self.emptiness(&window).is_none()
        {
            return Ok(window);
        }
        Err(empty)
    }

    /// The error if no instant lies between the bounds.
    fn emptiness(&self, window: &Window) -> Option<WindowError> {
        let (from, to) = window.from.zip(window.to)?;
        (to <= from).then_some(WindowError::Empty { fields: *self, from, to })
    }
}

impl Window {
    /// The window that limits nothing.
    pub const UNBOUNDED: Self = Self { from: None, to: None };

    /// Whether the window limits nothing, since neither bound was given.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Resolves a request's `dateFrom`, `dateTo` and `timeZone`, as seen at `now`: the
    /// [`Fields::DATES`].
    ///
    /// # Errors
    ///
    /// As for [`Fields::resolve`].
    pub fn resolve(
        date_from: Option<&str>,
        date_to: Option<&str>,
        time_zone: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, WindowError> {
        Fields::DATES.resolve(date_from, date_to, time_zone, now)
    }
}

/// The zone that `timeZone` names, if it does.
fn zone_named(time_zone: Option<&str>) -> Result<Option<Zone>, WindowError> {
    let name = time_zone.filter(|name| !name.is_empty());
    name.map(Zone::named).transpose().map_err(WindowError::UnknownTimeZone)
}

/// Resolves the dates of a list or a count: its window and its horizon, at most one of which limits.
///
/// As in JOC, `dateTo` without `dateFrom` is a horizon: orders that are scheduled then or later are
/// left out. Of a whole day, week, month or year it means the first instant. It is never earlier
/// than `now`, so that it leaves out no order that is due.
///
/// # Errors
///
/// As for [`Fields::resolve`].
pub fn of_list(
    date_from: Option<&str>,
    date_to: Option<&str>,
    time_zone: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(Window, Option<DateTime<Utc>>), WindowError> {
    if date_from.is_some() {
        return Ok((Window::resolve(date_from, date_to, time_zone, now)?, None));
    }
    let first_instant = Fields { from: Fields::DATES.to, ..Fields::DATES };
    let horizon = first_instant.resolve(date_to, None, time_zone, now)?.from;
    Ok((Window::UNBOUNDED, horizon.map(|horizon| horizon.max(now))))
}

/// Why a request's dates are rejected.
///
/// Values are kept as messages show them: shortened, control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.field(), self.problem())]
pub enum WindowError {
    /// The value follows neither grammar (rules 1 to 3).
    Malformed {
        /// The field that holds the value.
        field: &'static str,
        /// The value, fit for display.
        value: String,
    },
    /// The value means an instant outside the years 1 to 9999 of UTC (rule 9).
    OutOfYears {
        /// The field that holds the value.
        field: &'static str,
        /// The value, fit for display.
        value: String,
    },
    /// `timeZone` is not a name of the IANA time zone database (rule 4).
    UnknownTimeZone(UnknownZone),
    /// No instant lies in the window, whichever way unsigned numbers point (rule 8).
    Empty {
        /// The fields that bound it.
        fields: Fields,
        /// Where the window would begin, unsigned numbers pointing where they first do.
        from: DateTime<Utc>,
        /// Where it would end.
        to: DateTime<Utc>,
    },
}

impl WindowError {
    fn field(&self) -> &'static str {
        match self {
            Self::Malformed { field, .. } | Self::OutOfYears { field, .. } => field,
            Self::UnknownTimeZone(_) => "timeZone",
            Self::Empty { fields, .. } => fields.to,
        }
    }

    fn problem(&self) -> String {
        match self {
            Self::Malformed { value, .. } => format!("'{value}' is neither a date nor a period"),
            Self::OutOfYears { value, .. } => format!("'{value}' leaves the years 1 to 9999"),
            Self::UnknownTimeZone(unknown) => unknown.to_string(),
            Self::Empty { fields, from, to } => format!(
                "the window is empty: it ends at {}, which is not after {} {}",
                iso(to),
                fields.from,
                iso(from)
            ),
        }
    }
}

impl From<WindowError> for Invalid {
    fn from(error: WindowError) -> Self {
        Self::date(error.field(), error.problem())
    }
}

/// A parsed bound, with what resolving it and its errors need.
struct BoundText<'a> {
    field: &'static str,
    bound: Bound,
    text: &'a str,
    value: DateValue,
    zone: Zone,
}

impl<'a> BoundText<'a> {
    fn parse(
        field: &'static str,
        bound: Bound,
        text: &'a str,
        named: Option<Zone>,
    ) -> Result<Self, WindowError> {
        let Some((value, offset)) = value::parse(text) else {
            let value = displayable(text);
            return Err(WindowError::Malformed { field, value });
        };
        // Rule 4: timeZone beats the value's offset, which beats UTC.
        let zone = named.or(offset.map(Zone::Fixed)).unwrap_or_else(Zone::utc);
        Ok(Self { field, bound, text, value, zone })
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
                field: self.field,
                value: displayable(self.text),
            })
    }
}

/// Rounds up to a whole millisecond; see [`Window`] for why up. chrono's rounding has 64-bit
/// nanoseconds and so ends in 2262.
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
