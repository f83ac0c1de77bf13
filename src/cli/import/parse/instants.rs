//! Instants of the input: milliseconds since 1970, or ISO 8601 with an offset.

use chrono::{DateTime, Datelike, SubsecRound, Timelike, Utc};
use serde_json::Value;

use crate::model::invalid::Invalid;

/// A number between these is refused: as milliseconds it is before 1980, and as seconds it is
/// after, up to the year 9999. Nobody means an order for then, and one of the past is due at once.
const LIKE_SECONDS: std::ops::RangeInclusive<i64> = 315_532_800..=253_402_300_799;

/// Reads an instant.
pub(super) fn instant(field: &str, value: &Value) -> Result<DateTime<Utc>, Invalid> {
    match value {
        Value::Number(_) => match value.as_i64() {
            Some(millis) => of_millis(field, millis),
            None => Err(Invalid::new(field, "is not a whole number of milliseconds")),
        },
        Value::String(_) => date(field, value),
        _ => {
            let problem =
                "is neither a whole number of milliseconds nor a date such as 2026-11-23T12:34:56Z";
            Err(Invalid::new(field, problem))
        }
    }
}

fn of_millis(field: &str, millis: i64) -> Result<DateTime<Utc>, Invalid> {
    if LIKE_SECONDS.contains(&millis) {
        let meant = DateTime::from_timestamp(millis, 0).unwrap_or_default();
        let meant = meant.format("%Y-%m-%dT%H:%M:%SZ");
        let problem = format!("{millis} looks like seconds: for {meant} write {millis}000");
        return Err(Invalid::new(field, problem));
    }
    DateTime::from_timestamp_millis(millis)
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| Invalid::new(field, format!("{millis} leaves the years 1 to 9999")))
}

/// Reads a date. What is below a millisecond is cut off.
pub(super) fn date(field: &str, value: &Value) -> Result<DateTime<Utc>, Invalid> {
    let expected = "is not a date such as 2026-11-23T12:34:56.789Z";
    let text = value.as_str().ok_or_else(|| Invalid::new(field, "is not a string"))?;
    DateTime::parse_from_rfc3339(text)
        // PostgreSQL writes +01.
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}:00")))
        .map(|date| date.to_utc().trunc_subsecs(3))
        .ok()
        // chrono has leap seconds, databases do not.
        .filter(|date| (1..=9999).contains(&date.year()) && date.nanosecond() < 1_000_000_000)
        .ok_or_else(|| match has_no_offset(text) {
            true => Invalid::new(field, "has no offset: end it with Z or with one such as +01:00"),
            false => Invalid::new(field, expected),
        })
}

fn has_no_offset(text: &str) -> bool {
    DateTime::parse_from_rfc3339(&format!("{text}Z")).is_ok()
}
