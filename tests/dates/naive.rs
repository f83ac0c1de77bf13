//! A second, slow implementation of rules 6 and 7, which only uses what a zone's clock shows.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// The clock of a zone.
pub trait Clock: Copy {
    /// The local time that it shows at this instant.
    fn shows(self, at: DateTime<Utc>) -> NaiveDateTime;
}

/// The first minute at which the clock shows `day`, or a later one if it never does.
pub fn first_instant(clock: impl Clock, day: NaiveDate) -> DateTime<Utc> {
    let noon = day.and_hms_opt(12, 0, 0).unwrap().and_utc();
    let minutes = |date: fn(&NaiveDate, &NaiveDate) -> bool| {
        (-60 * 48..60 * 48)
            .map(move |minute| noon + TimeDelta::minutes(minute))
            .find(|instant| date(&clock.shows(*instant).date(), &day))
    };
    minutes(|shown, day| shown == day).or_else(|| minutes(|shown, day| shown > day)).unwrap()
}

/// The day, ISO week, month or year that contains a day; the days of a period are adjacent.
fn period(unit: char, day: NaiveDate) -> (i32, u32) {
    match unit {
        'd' => (day.year(), day.ordinal()),
        'w' => (day.iso_week().year(), day.iso_week().week()),
        'M' => (day.year(), day.month()),
        _ => (day.year(), 0),
    }
}

/// The first day of the period `count` units from `day`'s, found by walking the days.
pub fn first_day(unit: char, count: i32, mut day: NaiveDate) -> NaiveDate {
    let yesterday = |day: NaiveDate| day.pred_opt().unwrap();
    for _ in 0..count.unsigned_abs() {
        let here = period(unit, day);
        while period(unit, day) == here {
            day = if count < 0 { yesterday(day) } else { day.succ_opt().unwrap() };
        }
    }
    while period(unit, yesterday(day)) == period(unit, day) {
        day = yesterday(day);
    }
    day
}

/// The instants at which a zone's clock shows `local`, in order.
pub fn showing(clock: impl Clock, local: NaiveDateTime) -> Vec<DateTime<Utc>> {
    (-60 * 30..60 * 30)
        .map(|minute| local.and_utc() + TimeDelta::minutes(minute))
        .filter(|instant| clock.shows(*instant) == local)
        .collect()
}
