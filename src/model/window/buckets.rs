//! A window cut into hours or days of a zone, to count what lies in each.

use chrono::{DateTime, Days, TimeDelta, Timelike, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use super::zone::Zone;
use super::{Bound, BoundText, Fields, Window, WindowError, zone_named};
use crate::model::invalid::Invalid;

/// Maximum number of buckets.
pub const MAX_BUCKETS: usize = 1000;

/// What a window is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Unit {
    /// At full hours of the clock, and where it is set forward or back.
    Hour,
    /// At the beginning of each local day.
    Day,
}

/// The instants at which a window begins, is cut and ends: at least two, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds(Vec<DateTime<Utc>>);

impl Bounds {
    /// The whole window.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { from: self.0.first().copied(), to: self.0.last().copied() }
    }

    /// Where it is cut.
    #[must_use]
    pub fn cuts(&self) -> &[DateTime<Utc>] {
        self.0.get(1..self.0.len() - 1).unwrap_or_default()
    }

    /// Each bucket: its first instant, and the first after it.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = [DateTime<Utc>; 2]> {
        self.0.windows(2).map(|bounds| [bounds[0], bounds[1]])
    }
}

impl Fields {
    /// Resolves these fields of a request as [`Fields::resolve`] does, and cuts the window. The zone is
    /// `timeZone`, or else the offset of the lower bound, or else UTC.
    ///
    /// # Errors
    ///
    /// As for [`Fields::resolve`], and if there are more than [`MAX_BUCKETS`].
    pub fn buckets(
        self,
        [from, to]: [&str; 2],
        time_zone: Option<&str>,
        unit: Unit,
        now: DateTime<Utc>,
    ) -> Result<Bounds, Invalid> {
        let window = self.resolve(Some(from), Some(to), time_zone, now)?;
        let zone = self.zone(from, time_zone)?;
        // Both were given.
        let (mut at, to) = (window.from.unwrap_or(now), window.to.unwrap_or(now));
        let mut bounds = vec![at];
        loop {
            at = zone.next(unit, at).map_or(to, |next| next.min(to));
            bounds.push(at);
            if at == to {
                return Ok(Bounds(bounds));
            }
            if bounds.len() > MAX_BUCKETS {
                let unit = if unit == Unit::Hour { "hours" } else { "days" };
                let problem = format!("the window has more than {MAX_BUCKETS} {unit}");
                return Err(Invalid::new("unit", problem));
            }
        }
    }

    fn zone(self, from: &str, time_zone: Option<&str>) -> Result<Zone, WindowError> {
        Ok(BoundText::parse(self.from, Bound::From, from, zone_named(time_zone)?)?.zone)
    }
}

impl Zone {
    /// The first cut after an instant; `None` beyond the dates chrono can represent.
    fn next(self, unit: Unit, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match unit {
            Unit::Hour => self.next_hour(at),
            Unit::Day => self.next_day(at),
        }
    }

    fn next_hour(self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = self.local_at(at)?;
        let past = TimeDelta::seconds((local.minute() * 60 + local.second()).into())
            + TimeDelta::nanoseconds(local.nanosecond().into());
        let full = at.checked_add_signed(TimeDelta::hours(1) - past)?;
        let offset = |instant: DateTime<Utc>| Some(self.local_at(instant)? - instant.naive_utc());
        let before = offset(at)?;
        if offset(full)? == before {
            return Some(full);
        }
        // The clock is changed in between: at a full second, which is the cut.
        let (mut unchanged, mut changed) = (at.timestamp(), full.timestamp());
        while changed - unchanged > 1 {
            let middle = unchanged + (changed - unchanged) / 2;
            if offset(DateTime::from_timestamp(middle, 0)?)? == before {
                unchanged = middle;
            } else {
                changed = middle;
            }
        }
        DateTime::from_timestamp(changed, 0)
    }

    /// A day that the zone skipped begins when the next one does.
    fn next_day(self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut day = self.local_at(at)?.date();
        loop {
            day = day.checked_add_days(Days::new(1))?;
            let begins = self.first_instant(day)?;
            if begins > at {
                return Some(begins);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::window::iso;

    const NOW: &str = "2026-11-23T12:34:56.789Z";

    fn bounds(window: [&str; 2], zone: &str, unit: Unit) -> Result<Vec<String>, Invalid> {
        let bounds = Fields::DATES.buckets(window, Some(zone), unit, NOW.parse().unwrap())?;
        Ok(bounds.0.iter().map(|at| iso(at).replace(":00.000Z", "Z")).collect())
    }

    fn hours(window: [&str; 2], zone: &str) -> Vec<String> {
        bounds(window, zone, Unit::Hour).unwrap()
    }

    fn days(window: [&str; 2], zone: &str) -> Vec<String> {
        bounds(window, zone, Unit::Day).unwrap()
    }

    #[test]
    fn the_window_cuts_the_first_and_the_last_bucket() {
        assert_eq!(
            hours(["0", "2h"], ""),
            [
                "2026-11-23T12:34:56.789Z",
                "2026-11-23T13:00Z",
                "2026-11-23T14:00Z",
                "2026-11-23T14:34:56.789Z",
            ]
        );
        assert_eq!(
            days(["0", "1d"], ""),
            ["2026-11-23T12:34:56.789Z", "2026-11-24T00:00Z", "2026-11-25T00:00Z"]
        );
        // Within one hour there is one bucket.
        assert_eq!(
            hours(["0", "1m"], ""),
            ["2026-11-23T12:34:56.789Z", "2026-11-23T12:35:56.789Z"]
        );
    }

    #[test]
    fn the_zone_is_that_of_the_request_or_of_the_lower_bound() {
        let from = "2026-11-23T12:00:00+05:30";
        let to = "2026-11-23T14:00:00+05:30";
        assert_eq!(
            hours([from, to], ""),
            ["2026-11-23T06:30Z", "2026-11-23T07:30Z", "2026-11-23T08:30Z"]
        );
        assert_eq!(hours(["0d", "0d"], "Asia/Kolkata").len(), 25);
        assert_eq!(days(["0d", "0d"], "Asia/Kolkata"), ["2026-11-22T18:30Z", "2026-11-23T18:30Z"]);
    }

    #[test]
    fn a_day_has_23_or_25_hours_where_the_clock_is_changed() {
        let berlin = "Europe/Berlin";
        let forward = ["2026-03-29T00:00:00", "2026-03-30T00:00:00"];
        assert_eq!(hours(forward, berlin).len() - 1, 23);
        assert_eq!(days(forward, berlin), ["2026-03-28T23:00Z", "2026-03-29T22:00Z"]);
        let back = ["2026-10-25T00:00:00", "2026-10-26T00:00:00"];
        assert_eq!(hours(back, berlin).len() - 1, 25);
        assert_eq!(days(back, berlin), ["2026-10-24T22:00Z", "2026-10-25T23:00Z"]);
    }

    #[test]
    fn a_change_by_half_an_hour_cuts_an_hour() {
        let back = ["2026-04-05T01:00:00", "2026-04-05T03:00:00"];
        assert_eq!(
            hours(back, "Australia/Lord_Howe"),
            ["2026-04-04T14:00Z", "2026-04-04T15:00Z", "2026-04-04T15:30Z", "2026-04-04T16:30Z"]
        );
        let forward = ["2026-10-04T01:00:00", "2026-10-04T04:00:00"];
        assert_eq!(
            hours(forward, "Australia/Lord_Howe"),
            ["2026-10-03T14:30Z", "2026-10-03T15:30Z", "2026-10-03T16:00Z", "2026-10-03T17:00Z"]
        );
    }

    #[test]
    fn a_skipped_day_has_no_bucket() {
        // There was no 30 December 2011.
        let window = ["2011-12-29T00:00:00", "2012-01-01T00:00:00"];
        assert_eq!(
            days(window, "Pacific/Apia"),
            ["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"]
        );
    }

    #[test]
    fn a_day_begins_after_a_midnight_that_is_skipped() {
        let window = ["2026-04-23T12:00:00", "2026-04-25T00:00:00"];
        assert_eq!(
            days(window, "Africa/Cairo"),
            ["2026-04-23T10:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"]
        );
    }

    #[test]
    fn there_are_at_most_a_thousand_buckets() {
        let from = "2026-11-23T12:00:00";
        assert_eq!(hours([from, "2027-01-04T04:00:00"], "").len() - 1, MAX_BUCKETS);
        let refused = bounds([from, "2027-01-04T04:00:00.001"], "", Unit::Hour).unwrap_err();
        assert_eq!(refused.to_string(), "unit: the window has more than 1000 hours");
        let refused = bounds(["0001-01-01T00:00:00", "9999-12-31T23:59:59"], "", Unit::Day);
        assert_eq!(refused.unwrap_err().to_string(), "unit: the window has more than 1000 days");
    }

    #[test]
    fn the_last_years_are_cut_like_any_other() {
        let window = ["9999-12-30T00:00:00", "9999-12-31T23:00:00"];
        assert_eq!(
            days(window, "Europe/Berlin"),
            ["9999-12-29T23:00Z", "9999-12-30T23:00Z", "9999-12-31T22:00Z"]
        );
        assert_eq!(hours(window, "Europe/Berlin").len() - 1, 47);
    }
}
