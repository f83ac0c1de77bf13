//! Windows that look back, and fields with names of their own.

use joc_orders::model::window::{Fields, Unsigned, Window, of_list};

use super::{WindowError, from, utc};

const NOW: &str = "2026-11-23T12:34:56Z";
const STATE_DATES: Fields =
    Fields { from: "stateDateFrom", to: "stateDateTo", unsigned: Unsigned::ForwardThenBack };

/// The bounds as texts without milliseconds, which are all zero here.
fn bounds(fields: Fields, from: Option<&str>, to: Option<&str>) -> Result<String, WindowError> {
    let window = fields.resolve(from, to, None, utc(NOW))?;
    let text = |bound: Option<_>| {
        bound.map_or("-".into(), |at: chrono::DateTime<_>| at.format("%FT%T").to_string())
    };
    Ok(format!("{} {}", text(window.from), text(window.to)))
}

#[test]
fn in_the_past_unsigned_numbers_point_back() {
    for (date_from, date_to, wanted) in [
        (Some("1d"), None, "2026-11-22T00:00:00 -"),
        (None, Some("1d"), "- 2026-11-23T00:00:00"),
        (Some("2h"), Some("1h"), "2026-11-23T10:34:56 2026-11-23T11:34:56"),
        (Some("1d6h"), Some("0"), "2026-11-21T18:00:00 2026-11-23T12:34:56"),
        (Some("0d"), Some("0d"), "2026-11-23T00:00:00 2026-11-24T00:00:00"),
        (Some("-1w"), Some("1w"), "2026-11-16T00:00:00 2026-11-23T00:00:00"),
        (Some("1h"), Some("+1h"), "2026-11-23T11:34:56 2026-11-23T13:34:56"),
        (Some("2026-01-01T00:00:00"), None, "2026-01-01T00:00:00 -"),
    ] {
        let got = bounds(Fields::PAST_DATES, date_from, date_to);
        assert_eq!(got.as_deref(), Ok(wanted), "{date_from:?} {date_to:?}");
    }
}

#[test]
fn in_the_past_unsigned_numbers_never_look_ahead() {
    let refused = bounds(Fields::PAST_DATES, Some("1h"), Some("2h"));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "dateTo: the window is empty: it ends at 2026-11-23T10:34:56.000Z, \
         which is not after dateFrom 2026-11-23T11:34:56.000Z"
    );
    // The same dates in a window that may look ahead.
    let ahead = bounds(Fields::DATES, Some("1h"), Some("2h"));
    assert_eq!(ahead.as_deref(), Ok("2026-11-23T13:34:56 2026-11-23T14:34:56"));
}

#[test]
fn a_horizon_is_the_first_instant_and_never_in_the_past() {
    for (date_to, zone, wanted) in [
        ("1d", None, "2026-11-24T00:00:00"),
        ("1d", Some("Europe/Berlin"), "2026-11-23T23:00:00"),
        ("1d+05:30", None, "2026-11-23T18:30:00"),
        ("2d", None, "2026-11-25T00:00:00"),
        ("1w", None, "2026-11-30T00:00:00"),
        ("1M", None, "2026-12-01T00:00:00"),
        ("1y", None, "2027-01-01T00:00:00"),
        ("1d6h", None, "2026-11-24T06:00:00"),
        ("6h", None, "2026-11-23T18:34:56"),
        ("2026-12-01T00:00:00", None, "2026-12-01T00:00:00"),
        ("0", None, "2026-11-23T12:34:56"),
        ("0d", None, "2026-11-23T12:34:56"),
        ("0M", None, "2026-11-23T12:34:56"),
        ("-2h", None, "2026-11-23T12:34:56"),
        ("2026-01-01T00:00:00", None, "2026-11-23T12:34:56"),
    ] {
        let (window, got) = of_list(None, Some(date_to), zone, utc(NOW)).unwrap();
        assert!(window.is_unbounded());
        let got = got.unwrap();
        assert_eq!(got.format("%FT%T").to_string(), wanted, "{date_to} {zone:?}");
    }
    assert_eq!(of_list(None, None, None, utc(NOW)), Ok((Window::UNBOUNDED, None)));
    let both = (Some("1d"), Some("0"));
    let window = Window::resolve(both.0, both.1, None, utc(NOW)).unwrap();
    assert_eq!(of_list(both.0, both.1, None, utc(NOW)), Ok((window, None)));
    for (date_to, zone, message) in [
        (Some("1q"), None, "dateTo: '1q' is neither a date nor a period"),
        (Some(""), None, "dateTo: '' is neither a date nor a period"),
        (Some("9999y"), None, "dateTo: '9999y' leaves the years 1 to 9999"),
    ] {
        let refused = of_list(None, date_to, zone, utc(NOW)).unwrap_err();
        assert_eq!(refused.to_string(), message);
    }
    let refused = of_list(None, None, Some("Mars"), utc(NOW)).unwrap_err().to_string();
    assert!(refused.starts_with("timeZone: "), "{refused}");
}

#[test]
fn rejections_name_the_field_that_was_sent() {
    for (state_from, state_to, message) in [
        (Some("1q"), None, "stateDateFrom: '1q' is neither a date nor a period"),
        (None, Some("9999y"), "stateDateTo: '9999y' leaves the years 1 to 9999"),
        (
            Some("+1d"),
            Some("0"),
            "stateDateTo: the window is empty: it ends at 2026-11-23T12:34:56.000Z, \
             which is not after stateDateFrom 2026-11-24T00:00:00.000Z",
        ),
    ] {
        let refused = bounds(STATE_DATES, state_from, state_to);
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
}

#[test]
fn other_field_names_have_the_same_meaning() {
    let window = STATE_DATES.resolve(Some("1d6h"), None, Some("Europe/Berlin"), utc(NOW)).unwrap();
    assert_eq!(window.from, from("1d6h", Some("Europe/Berlin"), NOW).ok());
    let turned = bounds(STATE_DATES, Some("1d"), Some("0"));
    assert_eq!(turned.as_deref(), Ok("2026-11-22T00:00:00 2026-11-23T12:34:56"));
}
