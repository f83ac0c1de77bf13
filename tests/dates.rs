//! Checks the date rules against examples, a naive implementation and hostile input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use chrono::{DateTime, TimeDelta, Utc};
use joc_orders::model::window::{Window, WindowError};
use serde::Deserialize;

#[path = "dates/fields.rs"]
mod fields;
#[path = "dates/naive.rs"]
mod naive;
#[path = "dates/properties.rs"]
mod properties;
#[path = "dates/second_opinion.rs"]
mod second_opinion;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn from(value: &str, zone: Option<&str>, now: &str) -> Result<DateTime<Utc>, WindowError> {
    Window::resolve(Some(value), None, zone, utc(now)).map(|window| window.from.unwrap())
}

fn to(value: &str, zone: Option<&str>, now: &str) -> Result<DateTime<Utc>, WindowError> {
    Window::resolve(None, Some(value), zone, utc(now)).map(|window| window.to.unwrap())
}

mod examples {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct ValueRow {
        now: DateTimeText,
        param: String,
        value: String,
        time_zone: Option<String>,
        instant: Option<DateTimeText>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct WindowRow {
        now: DateTimeText,
        date_from: Option<String>,
        date_to: Option<String>,
        time_zone: Option<String>,
        from: Option<DateTimeText>,
        to: Option<DateTimeText>,
        #[serde(default)]
        error: bool,
    }

    #[derive(Debug, Deserialize)]
    struct DateTimeText(String);

    impl DateTimeText {
        fn instant(&self) -> DateTime<Utc> {
            utc(&self.0)
        }
    }

    fn report(failures: &[String]) {
        assert!(failures.is_empty(), "{} rows fail:\n{}", failures.len(), failures.join("\n"));
    }

    #[test]
    fn values_match_the_examples() {
        let rows: Vec<ValueRow> =
            serde_json::from_str(include_str!("data/date-values.json")).unwrap();
        assert_eq!(rows.len(), 2240);
        let mut failures = Vec::new();
        for row in &rows {
            let (value, zone) = (Some(row.value.as_str()), row.time_zone.as_deref());
            let now = row.now.instant();
            let got = match row.param.as_str() {
                "dateFrom" => Window::resolve(value, None, zone, now).map(|window| window.from),
                "dateTo" => Window::resolve(None, value, zone, now).map(|window| window.to),
                other => panic!("no such parameter: {other}"),
            };
            let wanted = row.instant.as_ref().map(DateTimeText::instant);
            if got.clone().ok().flatten() != wanted {
                failures.push(format!("{row:?}: {got:?}"));
            }
        }
        report(&failures);
    }

    #[test]
    fn windows_match_the_examples() {
        let rows: Vec<WindowRow> =
            serde_json::from_str(include_str!("data/date-windows.json")).unwrap();
        assert_eq!(rows.len(), 170);
        let mut failures = Vec::new();
        for row in &rows {
            let got = Window::resolve(
                row.date_from.as_deref(),
                row.date_to.as_deref(),
                row.time_zone.as_deref(),
                row.now.instant(),
            );
            let wanted = (!row.error).then(|| Window {
                from: row.from.as_ref().map(DateTimeText::instant),
                to: row.to.as_ref().map(DateTimeText::instant),
            });
            if got.clone().ok() != wanted {
                failures.push(format!("{row:?}: {got:?}"));
            }
        }
        report(&failures);
    }
}

#[test]
fn combined_units_apply_from_the_largest_to_the_smallest() {
    let now = "2026-11-23T12:34:56Z";
    for (value, first, end) in [
        ("2d1M", "2026-12-03T00:00:00Z", "2027-01-03T00:00:00Z"),
        ("0y-6M", "2025-07-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("1M1w", "2026-12-07T00:00:00Z", "2027-01-11T00:00:00Z"),
        ("0M0d", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("6h1d", "2026-11-24T06:00:00Z", "2026-11-25T06:00:00Z"),
        // When a unit is repeated, its first number counts, with its sign.
        ("1d-7d", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("01d", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
    ] {
        assert_eq!(from(value, None, now), Ok(utc(first)), "from {value}");
        assert_eq!(to(value, None, now), Ok(utc(end)), "to {value}");
    }
    // One month after the end of January is February, not March.
    let now = "2027-01-31T12:00:00Z";
    assert_eq!(from("1M", None, now), Ok(utc("2027-02-01T00:00:00Z")));
    assert_eq!(to("1M", None, now), Ok(utc("2027-03-01T00:00:00Z")));
}

#[test]
#[rustfmt::skip] // One line for each example.
fn days_without_a_midnight_start_when_the_clock_first_shows_them() {
    for (zone, now, instant) in [
        // 00:00 to 01:00.
        ("America/Sao_Paulo", "2018-11-04T15:00:00Z", "2018-11-04T03:00:00Z"),
        ("Asia/Beirut", "2022-03-27T15:00:00Z", "2022-03-26T22:00:00Z"),
        // 23:30 to 00:30: the day starts with the clock at 00:30, not at 01:00.
        ("America/Toronto", "1919-03-31T15:00:00Z", "1919-03-31T04:30:00Z"),
        // No gap, but an offset with odd seconds: 44 minutes and 30 behind UTC.
        ("Africa/Monrovia", "1971-01-01T15:00:00Z", "1971-01-01T00:44:30Z"),
        // 01:00 back to 00:00: of two midnights the first counts.
        ("America/Havana", "2026-11-01T15:00:00Z", "2026-11-01T04:00:00Z"),
    ] {
        assert_eq!(from("0d", Some(zone), now), Ok(utc(instant)), "{zone}");
    }
    // 30 December 2011 was skipped: both its ends are the start of the 31st.
    let (zone, now) = (Some("Pacific/Apia"), "2011-12-29T20:00:00Z");
    let skip = utc("2011-12-30T10:00:00Z");
    assert_eq!(from("1d", zone, now), Ok(skip));
    assert_eq!(to("1d", zone, now), Ok(skip));
    assert_eq!(from("2d", zone, now), Ok(skip));
    assert_eq!(to("0d", zone, now), Ok(skip));
}

#[test]
#[rustfmt::skip] // One line for each example.
fn resolves_local_times_in_gaps_and_overlaps() {
    let now = "2026-01-01T00:00:00Z";
    for (zone, value, instant) in [
        ("America/Sao_Paulo", "2018-11-04T00:30:00", "2018-11-04T03:30:00Z"),
        ("Australia/Lord_Howe", "2026-10-04 02:10:00", "2026-10-03T15:40:00Z"),
        ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00Z"),
        ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z"),
    ] {
        assert_eq!(from(value, Some(zone), now), Ok(utc(instant)), "{zone}");
    }
}

#[test]
#[rustfmt::skip] // One line for each example.
fn the_last_rules_of_a_zone_apply_forever() {
    let now = "2026-01-01T00:00:00Z";
    for (zone, value, instant) in [
        ("Europe/Berlin", "2037-07-01T12:00:00", "2037-07-01T10:00:00Z"),
        ("Europe/Berlin", "2038-07-01T12:00:00", "2038-07-01T10:00:00Z"),
        ("Europe/Berlin", "2099-12-01T12:00:00", "2099-12-01T11:00:00Z"),
        ("Europe/Berlin", "2100-07-01T12:00:00", "2100-07-01T10:00:00Z"),
        // The last Sunday of March is the 28th.
        ("Europe/Berlin", "2100-03-28T02:30:00", "2100-03-28T01:30:00Z"),
        ("Europe/Berlin", "9999-07-01T12:00:00", "9999-07-01T10:00:00Z"),
        // Later than jiff's last timestamp.
        ("Europe/Berlin", "9999-12-31T23:59:59", "9999-12-31T22:59:59Z"),
        ("America/New_York", "9999-12-31T18:59:59", "9999-12-31T23:59:59Z"),
        ("Pacific/Auckland", "9999-01-01T00:00:00", "9998-12-31T11:00:00Z"),
        ("Europe/Berlin", "0001-01-02T00:00:00", "0001-01-01T23:06:32Z"),
        // Summer time ends on 24 October at midnight, in local time a negative hour.
        ("America/Nuuk", "2100-07-01T12:00:00", "2100-07-01T13:00:00Z"),
    ] {
        assert_eq!(from(value, Some(zone), now), Ok(utc(instant)), "{zone} {value}");
    }
    let late = "9999-12-31T12:00:00Z";
    assert_eq!(from("0d", Some("Asia/Tokyo"), late), Ok(utc("9999-12-30T15:00:00Z")));
    assert_eq!(from("0y", Some("America/New_York"), late), Ok(utc("9999-01-01T05:00:00Z")));
}

#[test]
fn bounds_are_whole_milliseconds_rounded_up() {
    let now = "2026-11-23T12:34:56.000000001Z";
    for (value, instant) in [
        ("0", "2026-11-23T12:34:56.001Z"),
        ("-1s", "2026-11-23T12:34:55.001Z"),
        ("2026-01-01T00:00:00.999000001Z", "2026-01-01T00:00:01Z"),
        ("2026-01-01T00:00:00,9990", "2026-01-01T00:00:00.999Z"),
        ("1969-12-31T23:59:59.9985Z", "1969-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00.0001Z", "0001-01-01T00:00:00.001Z"),
    ] {
        assert_eq!(from(value, None, now), Ok(utc(instant)), "{value}");
    }
    // No whole millisecond lies between these two.
    let sliver = Window::resolve(
        Some("2026-01-01T00:00:00.0001Z"),
        Some("2026-01-01T00:00:00.0009Z"),
        None,
        utc(now),
    );
    assert!(matches!(sliver, Err(WindowError::Empty { .. })));
}

#[test]
fn is_unbounded_without_dates() {
    let now = utc("2026-11-23T12:34:56Z");
    let window = Window::resolve(None, None, Some("Europe/Berlin"), now).unwrap();
    assert!(window.is_unbounded());
    assert!(!Window::resolve(Some("0"), None, None, now).unwrap().is_unbounded());
    assert!(!Window::resolve(None, Some("0"), None, now).unwrap().is_unbounded());
}

/// A request's dateFrom, dateTo and timeZone, and the message that rejects them.
type Rejection<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, &'a str);

#[test]
fn rejections_name_the_field_and_the_reason() {
    let cases: [Rejection<'_>; 12] = [
        (Some("1q"), None, None, "dateFrom: '1q' is neither a date nor a period"),
        (None, Some(""), None, "dateTo: '' is neither a date nor a period"),
        (None, None, Some("Mars/Phobos"), "timeZone: 'Mars/Phobos' is not an IANA time zone"),
        (
            None,
            None,
            Some("Europe/Berlni"),
            "timeZone: 'Europe/Berlni' is not an IANA time zone; did you mean Europe/Berlin?",
        ),
        (
            None,
            None,
            Some("europe/berlin"),
            "timeZone: 'europe/berlin' is not an IANA time zone; did you mean Europe/Berlin?",
        ),
        (Some("x"), None, Some(""), "dateFrom: 'x' is neither a date nor a period"),
        (None, None, Some(" "), "timeZone: ' ' is not an IANA time zone"),
        (None, Some("9999y"), None, "dateTo: '9999y' leaves the years 1 to 9999"),
        (
            Some("+1d"),
            Some("0"),
            None,
            "dateTo: the window is empty: it ends at 2026-11-23T12:34:56.000Z, \
             which is not after dateFrom 2026-11-24T00:00:00.000Z",
        ),
        // Empty in both directions; the message shows the bounds as the client wrote them.
        (
            Some("1h"),
            Some("1h"),
            None,
            "dateTo: the window is empty: it ends at 2026-11-23T13:34:56.000Z, \
             which is not after dateFrom 2026-11-23T13:34:56.000Z",
        ),
        // Empty looking ahead, so read as looking back, where it leaves the years.
        (Some("5000y"), Some("0"), None, "dateFrom: '5000y' leaves the years 1 to 9999"),
        (
            Some("1d\0\n\u{1b}[31m'\u{202e}"),
            None,
            None,
            "dateFrom: '1d\\0\\n\\u{1b}[31m\\'\\u{202e}' is neither a date nor a period",
        ),
    ];
    for (date_from, date_to, zone, message) in cases {
        let refused = Window::resolve(date_from, date_to, zone, utc("2026-11-23T12:34:56Z"));
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
}

#[test]
fn long_texts_are_shortened() {
    let now = "2026-11-23T12:34:56Z";
    let nines = "9".repeat(100_000);
    let shown = "9".repeat(60);
    assert_eq!(
        from(&format!("{nines}d"), None, now).unwrap_err().to_string(),
        format!("dateFrom: '{shown}…' leaves the years 1 to 9999")
    );
    assert_eq!(
        from(&nines, None, now).unwrap_err().to_string(),
        format!("dateFrom: '{shown}…' is neither a date nor a period")
    );
    assert_eq!(
        from("0", Some(&nines), now).unwrap_err().to_string(),
        format!("timeZone: '{shown}…' is not an IANA time zone")
    );
    assert!(from(&"1d".repeat(1_000_000), None, now).is_ok());
    // An ignored number is ignored, however large it is.
    assert_eq!(from(&format!("1d{nines}d"), None, now), from("1d", None, now));
}

#[test]
#[rustfmt::skip] // The list is easier to take in as a block.
fn rejects_texts_that_are_neither_dates_nor_periods() {
    for value in [
        " ", "00", "+-1d", "--1d", "0Z", "0+02:00", "Z", "+02:00", "1", "1d6", "d", "1D", "1d ",
        " 1d", "1d+2", "1d+02:", "1d+02:0", "1d+020", "1d+02000", "1d+0 2", "1dz", "1d+99:99",
        "1d+18:01", "1d-18:01", "1d+02:60", "1dZZ", "1dZ+02", "1.5h", "1µ", "１d", "1ｄ", "٣d",
        "1d\0", "\x001d", "1d+٠٢", "2026-11-23t10:00:00", "2026-11-23T10:00:00z",
        "2026-11-23  10:00:00", "2026-11-23\u{a0}10:00:00", "2026-11-23T24:00:00",
        "2026-11-23T10:00:60", "2026-11-23T10:60:00", "2026-11-23T10:00:00.",
        "2026-11-23T10:00:00.1234567890", "2026-11-23T10:00:00.5.5", "2026-11-23T1:00:00",
        "2026-1-23T10:00:00", "+2026-11-23T10:00:00", "12026-11-23T10:00:00",
        "10000-01-01T00:00:00", "-001-01-01T00:00:00", "2026-00-10T10:00:00",
        "2026-11-00T10:00:00", "2025-02-29T10:00:00", "２０26-11-23T10:00:00",
        "2026-11-23T10:00:00 Z", "2026-11-23T10:00:00+24:00", "2026-11-23T10:00:00[UTC]",
        "2026-11-23T10:00:001d",
    ] {
        for zone in [None, Some("Europe/Berlin")] {
            let refused = from(value, zone, "2026-11-23T12:34:56Z");
            assert!(
                matches!(refused, Err(WindowError::Malformed { .. })),
                "{value:?}: {refused:?}"
            );
        }
    }
}

#[test]
#[rustfmt::skip] // The list is easier to take in as a block.
fn rejects_bounds_outside_the_years_1_to_9999() {
    let now = "2026-11-23T12:34:56Z";
    for value in [
        "0000-12-31T23:59:59Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59.9991Z", "9223372036854775807s", "-9223372036854775808s",
        "-9223372036854775807h", "9223372036854775807d", "-9223372036854775807w",
        "9223372036854775807M", "-768614336404564651y", "99999999999999999999s",
        "99999999999999999999s-2562047788015215h", "9223372036854775807s1h", "4294967296M",
        "2147483647d", "262143y", "-2026y", "7974y", "-1000000000000h",
    ] {
        let refused = from(value, None, now);
        assert!(
            matches!(refused, Err(WindowError::OutOfYears { .. })),
            "{value}: {refused:?}"
        );
    }
    assert_eq!(from("-2025y", None, now), Ok(utc("0001-01-01T00:00:00Z")));
    assert_eq!(from("7973y", None, now), Ok(utc("9999-01-01T00:00:00Z")));
    // The first instant after the year 9999 is not in it.
    assert!(to("7973y", None, now).is_err());
    // Only the result has to stay within the years.
    assert_eq!(
        from("8000y-96000M", None, now),
        Ok(utc("2026-01-01T00:00:00Z"))
    );
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"] {
        let ends = |value| to(value, Some(zone), now).unwrap();
        assert_eq!(ends("7973y-48h"), ends("7973y-25h") - TimeDelta::hours(23), "{zone}");
        assert_eq!(from("8000y-9000h", Some(zone), now).unwrap_err().to_string(),
            "dateFrom: '8000y-9000h' leaves the years 1 to 9999");
    }
    for now in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        for value in ["0", "0d", "-1h", "1M", "0w+18:00", "0w-18:00"] {
            assert!(Window::resolve(Some(value), None, None, now).is_err());
            assert!(Window::resolve(None, Some(value), Some("Asia/Beirut"), now).is_err());
        }
    }
}
