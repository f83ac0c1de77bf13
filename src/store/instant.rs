//! Instants as they come from a database.

use std::ops::Deref;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::decode::Decode;
use sqlx::error::BoxDynError;
use sqlx::{Database, Type};

/// An instant of the years 1 to 9999. Anything else in a row becomes the first or the last of them:
/// sqlx would panic at `infinity`, and one bad row would hide all others. `joc-orders check`
/// reports such rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredInstant(pub DateTime<Utc>);

impl Deref for StoredInstant {
    type Target = DateTime<Utc>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// 2000-01-01, from which PostgreSQL counts, in microseconds since 1970.
#[cfg(feature = "postgres")]
const EPOCH: i64 = 946_684_800_000_000;

/// The first and the last instant, in milliseconds since 1970.
const FIRST: i64 = -62_135_596_800_000;
const LAST: i64 = 253_402_300_799_999;

impl StoredInstant {
    fn of_millis(millis: i64) -> Self {
        Self(DateTime::from_timestamp_millis(millis.clamp(FIRST, LAST)).unwrap_or_default())
    }

    /// From microseconds since 2000.
    #[cfg(feature = "postgres")]
    fn of_micros(micros: i64) -> Self {
        Self::of_millis(micros.saturating_add(EPOCH).div_euclid(1000))
    }

    /// From any text: SQLite's `2026-11-23T12:34:56.789Z`, PostgreSQL's `2026-11-23 12:34:56.789+00`.
    pub(super) fn of_text(text: &str) -> Self {
        let parse = |text: &str| {
            usual(text).or_else(|| text.parse().ok()).or_else(|| {
                let shown = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
                Some(shown.to_utc())
            })
        };
        // Old releases of SQLite take 2027-02-31 for a date.
        let last_day = |day: &str| {
            let (month, rest) = (text.get(..8)?, text.get(10..)?);
            parse(&format!("{month}{day}{rest}"))
        };
        let instant = parse(text).or_else(|| ["30", "29", "28"].into_iter().find_map(last_day));
        let nearest = if text < "0001" || text.ends_with("BC") { FIRST } else { LAST };
        Self::of_millis(instant.map_or(nearest, |instant| instant.timestamp_millis()))
    }
}

/// An instant in the form in which a database writes it. Lists have many, and chrono's parser takes
/// ten times as long.
fn usual(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        })
    };
    let is = |at: usize, one_of: &[u8]| bytes.get(at).is_some_and(|byte| one_of.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"T ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (millis, zone) = if is(19, b".") {
        let digits = bytes.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let scale = [0, 100, 10, 1].get(digits).filter(|scale| **scale > 0)?;
        (number(20, 20 + digits)? * scale, 20 + digits)
    } else {
        (0, 19)
    };
    if !matches!(bytes.get(zone..)?, b"Z" | b"+00") {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(number(0, 4)?.cast_signed(), number(5, 7)?, number(8, 10)?)?;
    let at = day.and_hms_milli_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?, millis)?;
    Some(at.and_utc())
}

#[cfg(feature = "postgres")]
impl<'r> Decode<'r, sqlx::Postgres> for StoredInstant {
    fn decode(value: <sqlx::Postgres as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        use sqlx::postgres::PgValueFormat;
        if value.format() == PgValueFormat::Text {
            let instant = <DateTime<Utc> as Decode<sqlx::Postgres>>::decode(value)?;
            return Ok(Self::of_millis(instant.timestamp_millis()));
        }
        Ok(Self::of_micros(<i64 as Decode<sqlx::Postgres>>::decode(value)?))
    }
}

#[cfg(feature = "sqlite")]
impl<'r> Decode<'r, sqlx::Sqlite> for StoredInstant {
    fn decode(value: <sqlx::Sqlite as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self::of_text(<&str as Decode<sqlx::Sqlite>>::decode(value)?))
    }
}

impl<DB: Database> Type<DB> for StoredInstant
where
    DateTime<Utc>: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <DateTime<Utc>>::type_info()
    }

    fn compatible(info: &DB::TypeInfo) -> bool {
        <DateTime<Utc>>::compatible(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::window::iso;

    const FIRST: &str = "0001-01-01T00:00:00.000Z";
    const LAST: &str = "9999-12-31T23:59:59.999Z";

    #[cfg(feature = "postgres")]
    #[test]
    fn clamps_what_postgresql_takes() {
        let micros = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp_micros() - EPOCH;
        for (micros, shown) in [
            (i64::MAX, LAST),
            (i64::MIN, FIRST),
            (i64::MAX - 1, LAST),
            (i64::MIN + 1, FIRST),
            (0, "2000-01-01T00:00:00.000Z"),
            (micros(FIRST), FIRST),
            (micros(FIRST) - 1, FIRST),
            (micros(LAST), LAST),
            (micros(LAST) + 1000, LAST),
            (micros("2026-11-23T12:34:56.789Z"), "2026-11-23T12:34:56.789Z"),
        ] {
            assert_eq!(iso(&StoredInstant::of_micros(micros)), shown, "{micros}");
        }
    }

    #[test]
    fn reads_and_clamps_any_text() {
        for (text, shown) in [
            ("2026-11-23 12:34:56+00", "2026-11-23T12:34:56.000Z"),
            ("2026-11-23 12:34:56.7+00", "2026-11-23T12:34:56.700Z"),
            ("2026-11-23 12:34:56.78+00", "2026-11-23T12:34:56.780Z"),
            ("2026-11-23 12:34:56.789+00", "2026-11-23T12:34:56.789Z"),
            ("2026-11-23 12:34:56.789999+00", "2026-11-23T12:34:56.789Z"),
            ("2026-11-23 18:04:56.789+05:30", "2026-11-23T12:34:56.789Z"),
            ("0001-01-01 00:00:00+00", FIRST),
            ("0044-03-15 00:00:00+00 BC", FIRST),
            ("10000-01-01 00:00:00+00", LAST),
            ("infinity", LAST),
            ("-infinity", FIRST),
            ("2026-11-23T12:34:56.789Z", "2026-11-23T12:34:56.789Z"),
            ("2027-02-31T01:02:03.004Z", "2027-02-28T01:02:03.004Z"),
            ("2028-02-30T01:02:03.004Z", "2028-02-29T01:02:03.004Z"),
            ("2027-11-31T01:02:03.004Z", "2027-11-30T01:02:03.004Z"),
            ("0000-12-31T01:02:03.004Z", FIRST),
            ("", FIRST),
            ("-001", FIRST),
            ("soon", LAST),
            ("20000-01-01T00:00:00.000Z", LAST),
            ("2027-0ü", LAST),
        ] {
            assert_eq!(iso(&StoredInstant::of_text(text)), shown, "{text}");
        }
    }
}
