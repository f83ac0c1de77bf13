//! Properties of any value: no panic, no impossible window, and agreement with the naive
//! implementation around the clock changes of many zones. That one uses chrono-tz, whose rules
//! equal those of the service's database until 2024 and may be older after.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::{Window, WindowError, naive, utc};

/// Zones with unusual clocks: gaps and overlaps at, before and after midnight, a skipped day,
/// offsets with minutes and with seconds, half-hour daylight saving.
const ZONES: [Tz; 12] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
    Tz::America__Toronto,
    Tz::America__Havana,
    Tz::Asia__Beirut,
    Tz::Asia__Kolkata,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Monrovia,
    Tz::Pacific__Apia,
];

impl naive::Clock for Tz {
    fn shows(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self).naive_local()
    }
}

#[test]
fn days_start_where_somebody_watching_the_clock_sees_them_start() {
    let changes = [
        (Tz::Europe__Berlin, "2024-03-31"),
        (Tz::Europe__Berlin, "2024-10-27"),
        (Tz::America__Sao_Paulo, "2018-02-18"),
        (Tz::America__Sao_Paulo, "2018-11-04"),
        (Tz::America__St_Johns, "2006-04-02"),
        (Tz::America__St_Johns, "2006-10-29"),
        (Tz::America__Toronto, "1919-03-31"),
        (Tz::America__Havana, "2024-03-10"),
        (Tz::America__Havana, "2024-11-03"),
        (Tz::Asia__Beirut, "2022-03-27"),
        (Tz::Asia__Beirut, "2022-10-30"),
        (Tz::Australia__Lord_Howe, "2024-04-07"),
        (Tz::Pacific__Apia, "2011-12-30"),
    ];
    let mut failures = String::new();
    for (zone, change) in changes {
        let change: NaiveDate = change.parse().unwrap();
        let noon = change.and_hms_opt(12, 0, 0).unwrap().and_utc();
        for (unit, count) in [('d', 0), ('d', 1), ('d', -1), ('w', 0), ('w', 1), ('M', 0)] {
            for now in (-2..=2).map(|days| noon + TimeDelta::days(days)) {
                let today = now.with_timezone(&zone).date_naive();
                let value = format!("{count}{unit}");
                let window = |from, to| Window::resolve(from, to, Some(zone.name()), now);
                let first = naive::first_day(unit, count, today);
                let after = naive::first_day(unit, count + 1, today);
                let from = window(Some(&value), None).unwrap().from.unwrap();
                let to = window(None, Some(&value)).unwrap().to.unwrap();
                if from != naive::first_instant(zone, first)
                    || to != naive::first_instant(zone, after)
                {
                    writeln!(failures, "{zone} {now} {value}: {from} {to}").unwrap();
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

prop_compose! {
    fn instants()(seconds in -3_000_000_000_i64..5_000_000_000, millis in 0..1000_u32)
        -> DateTime<Utc>
    {
        DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap()
    }
}

fn zones() -> impl Strategy<Value = Tz> {
    proptest::sample::select(ZONES.as_slice())
}

/// Texts that look like values: mostly well-formed, often slightly wrong.
const ALMOST: &str = "([+-]?[0-9]{1,22}[smhdwMyx]){0,4}(Z|[+-][0-9]{0,4}|[+-][0-9]{2}:[0-9]{2})?";
const ALMOST_DATES: &str = "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]\
     ([.,][0-9]{0,10})?(Z|[+-][0-9]{0,4}|[+-][0-9]{2}:[0-9]{2})?";
/// Periods of numbers without a sign, small enough to stay within the years.
const UNSIGNED: &str = "[0-9]{1,2}[smhdwMy]([0-9]{1,2}[smhdwMy]){0,3}";
/// Periods of numbers with and without signs.
const PERIODS: &str = "0|[+-]?[0-9]{1,2}[smhdwMy]([+-]?[0-9]{1,2}[smhdwMy]){0,3}";

/// The same period with every number's sign written out.
fn with_signs(sign: char, period: &str) -> String {
    let mut signed = String::new();
    let mut after_unit = true;
    for c in period.chars() {
        if after_unit && c.is_ascii_digit() {
            signed.push(sign);
        }
        after_unit = c.is_ascii_alphabetic();
        signed.push(c);
    }
    signed
}

fn check(window: Result<Window, WindowError>) -> Result<(), TestCaseError> {
    match window {
        Ok(Window { from, to }) => {
            if let (Some(from), Some(to)) = (from, to) {
                prop_assert!(from < to);
            }
            for bound in [from, to].into_iter().flatten() {
                prop_assert!((1..=9999).contains(&bound.year()));
                prop_assert_eq!(bound.timestamp_subsec_nanos() % 1_000_000, 0);
            }
        }
        Err(error) => {
            let text = error.to_string();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(text.len() < 1000);
            let fields = ["dateFrom: ", "dateTo: ", "timeZone: "];
            prop_assert!(fields.iter().any(|field| text.starts_with(field)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn any_input_yields_a_window_or_an_error(
        from in proptest::option::of(prop_oneof![any::<String>(), ALMOST, ALMOST_DATES]),
        to in proptest::option::of(prop_oneof![any::<String>(), ALMOST, ALMOST_DATES]),
        zone in proptest::option::of(prop_oneof![
            any::<String>(), zones().prop_map(|zone| zone.name().to_owned())]),
        seconds in DateTime::<Utc>::MIN_UTC.timestamp()..=DateTime::<Utc>::MAX_UTC.timestamp(),
        nanos in 0..2_000_000_000_u32,
    ) {
        let leap = seconds.rem_euclid(60) == 59;
        let nanos = if leap { nanos } else { nanos % 1_000_000_000 };
        let now = DateTime::from_timestamp(seconds, nanos).unwrap();
        check(Window::resolve(from.as_deref(), to.as_deref(), zone.as_deref(), now))?;
    }

    #[test]
    fn periods_make_valid_windows(
        from in PERIODS, to in PERIODS, zone in zones(), now in instants(),
    ) {
        check(Window::resolve(Some(&from), Some(&to), Some(zone.name()), now))?;
    }

    #[test]
    fn a_window_looks_back_only_if_it_is_empty_ahead(
        from in UNSIGNED, to in UNSIGNED, zone in zones(), now in instants(),
    ) {
        let name = Some(zone.name());
        let reading = |sign| {
            let (from, to) = (with_signs(sign, &from), with_signs(sign, &to));
            Window {
                from: Window::resolve(Some(&from), None, name, now).unwrap().from,
                to: Window::resolve(None, Some(&to), name, now).unwrap().to,
            }
        };
        let (forward, back) = (reading('+'), reading('-'));
        let wanted = if forward.from < forward.to {
            Some(forward)
        } else if back.from < back.to {
            Some(back)
        } else {
            None
        };
        prop_assert_eq!(Window::resolve(Some(&from), Some(&to), name, now).ok(), wanted);
    }

    #[test]
    fn a_single_bound_never_looks_back(value in UNSIGNED, zone in zones(), now in instants()) {
        let signed = with_signs('+', &value);
        let name = Some(zone.name());
        prop_assert_eq!(
            Window::resolve(Some(&value), None, name, now),
            Window::resolve(Some(&signed), None, name, now)
        );
        prop_assert_eq!(
            Window::resolve(None, Some(&value), name, now),
            Window::resolve(None, Some(&signed), name, now)
        );
    }

    #[test]
    fn clock_units_move_now_by_exactly_that_much(
        hours in -9999..9999_i64, seconds in 0..99_999_i64, zone in zones(), now in instants(),
    ) {
        let value = format!("{hours}h{seconds}s");
        let moved = Some(now + TimeDelta::hours(hours) + TimeDelta::seconds(seconds));
        let name = Some(zone.name());
        prop_assert_eq!(Window::resolve(Some(&value), None, name, now).unwrap().from, moved);
        prop_assert_eq!(Window::resolve(None, Some(&value), name, now).unwrap().to, moved);
    }
}

proptest! {
    // Walking through minutes is slow.
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn calendar_units_name_whole_periods(
        unit in proptest::sample::select(vec!['d', 'w', 'M', 'y']),
        count in -15..15_i32,
        zone in zones(),
        // From 1989: the naive implementation steps by minutes, and 15 years earlier the last of
        // these zones gave up its offset with odd seconds. Until 2008: 16 years later ends the
        // range in which chrono-tz is reliable.
        seconds in 600_000_000_i64..1_200_000_000,
    ) {
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let today = now.with_timezone(&zone).date_naive();
        let first = naive::first_day(unit, count, today);
        let after = naive::first_day(unit, count + 1, today);
        let value = format!("{count}{unit}");
        let name = Some(zone.name());
        let from = Window::resolve(Some(&value), None, name, now).unwrap().from;
        let to = Window::resolve(None, Some(&value), name, now).unwrap().to;
        prop_assert_eq!(from, Some(naive::first_instant(zone, first)));
        prop_assert_eq!(to, Some(naive::first_instant(zone, after)));
    }

    #[test]
    fn a_date_is_the_first_instant_that_shows_it(
        zone in zones(), days in 1300..20_000_u64, minute in 0..1440_i64,
    ) {
        let day = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + Days::new(days);
        let local = day.and_hms_opt(0, 0, 0).unwrap() + TimeDelta::minutes(minute);
        let value = local.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let now = utc("2026-11-23T12:34:56Z");
        let window = Window::resolve(Some(&value), None, Some(zone.name()), now).unwrap();
        let from = window.from.unwrap();
        match naive::showing(zone, local).first() {
            Some(shown) => prop_assert_eq!(from, *shown),
            // In a gap: read with the offset of the day before.
            None => {
                let before = zone.from_local_datetime(&(local - TimeDelta::days(2))).unwrap();
                prop_assert_eq!(from, before.to_utc() + TimeDelta::days(2));
            }
        }
    }
}
