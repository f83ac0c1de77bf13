//! One value of `dateFrom` or `dateTo`: its grammar (rules 1 to 3 of the date rules) and the
//! instant it means (rules 5 and 6).
//!
//! The grammar is narrower than chrono's parsers, which accept signs, blanks and short fields, and
//! wider, with a decimal comma and four forms of offset; hence this scanner.

use chrono::{
    DateTime, Datelike, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc,
    Weekday,
};

use super::zone::Zone;

/// The largest offset, in seconds: 18 hours, as in java.time and so in JOC's clients.
const MAX_OFFSET: i32 = 18 * 3600;

/// Which bound of a window a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    From,
    To,
}

/// A value without its offset.
#[derive(Debug)]
pub(super) enum DateValue {
    /// `0` (rule 3).
    Now,
    /// A date with a time of day (rule 1).
    Local(NaiveDateTime),
    /// Numbers with units (rule 2).
    Period(Period),
}

/// Where a number without a sign points (rule 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Into the future.
    Forward,
    /// Into the past.
    Back,
}

/// A number of a period.
#[derive(Debug, Clone, Copy)]
struct Amount {
    /// The number with its sign, if any; `None` beyond 64 bits. Such a number is always out of
    /// range, but only a text that is a period may be rejected for its range.
    count: Option<i64>,
    has_sign: bool,
}

impl Amount {
    fn pointing(self, direction: Direction) -> Option<i64> {
        match direction {
            Direction::Back if !self.has_sign => self.count?.checked_neg(),
            Direction::Forward | Direction::Back => self.count,
        }
    }
}

/// The numbers of a period by unit; `None` for a unit that is not mentioned, which differs from
/// 0: `0M` is this month.
#[derive(Debug, Default)]
pub(super) struct Period {
    years: Option<Amount>,
    months: Option<Amount>,
    weeks: Option<Amount>,
    days: Option<Amount>,
    hours: Option<Amount>,
    minutes: Option<Amount>,
    seconds: Option<Amount>,
}

impl DateValue {
    /// The instant this value means as `bound`; `None` if it is beyond what chrono represents,
    /// which is far outside the years a request may use.
    pub(super) fn instant(
        &self,
        bound: Bound,
        direction: Direction,
        zone: Zone,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        match self {
            Self::Now => Some(now),
            Self::Local(local) => zone.instant(*local),
            Self::Period(period) => {
                let start = if period.has_calendar_unit() {
                    let day = period.day(bound, direction, zone.date_at(now)?)?;
                    zone.first_instant(match bound {
                        Bound::From => day,
                        Bound::To => day.succ_opt()?,
                    })?
                } else {
                    now
                };
                // Clock units are elapsed time, not a change of the local clock (rule 5).
                start.checked_add_signed(period.clock(direction)?)
            }
        }
    }
}

impl Period {
    fn has_calendar_unit(&self) -> bool {
        [self.years, self.months, self.weeks, self.days].iter().any(Option::is_some)
    }

    /// The day at the edge of what the calendar units name (rule 6): the first for `dateFrom`, the
    /// last for `dateTo`. Each unit moves the day and then takes it to the edge of that unit, so
    /// `1M2d` as `dateTo` is two days after the end of next month.
    fn day(&self, bound: Bound, direction: Direction, today: NaiveDate) -> Option<NaiveDate> {
        let mut day = today;
        if let Some(years) = self.years {
            day = add_months(day, years.pointing(direction)?.checked_mul(12)?)?;
            day = match bound {
                Bound::From => NaiveDate::from_ymd_opt(day.year(), 1, 1)?,
                Bound::To => NaiveDate::from_ymd_opt(day.year(), 12, 31)?,
            };
        }
        if let Some(months) = self.months {
            day = add_months(day, months.pointing(direction)?)?.with_day(1)?;
            if bound == Bound::To {
                day = add_months(day, 1)?.pred_opt()?;
            }
        }
        if let Some(weeks) = self.weeks {
            day = day.checked_add_signed(TimeDelta::try_weeks(weeks.pointing(direction)?)?)?;
            let week = day.week(Weekday::Mon);
            day = match bound {
                Bound::From => week.checked_first_day()?,
                Bound::To => week.checked_last_day()?,
            };
        }
        if let Some(days) = self.days {
            day = day.checked_add_signed(TimeDelta::try_days(days.pointing(direction)?)?)?;
        }
        Some(day)
    }

    /// The sum of the clock units.
    fn clock(&self, direction: Direction) -> Option<TimeDelta> {
        let units = [(self.hours, 3600), (self.minutes, 60), (self.seconds, 1)];
        let mut sum: i64 = 0;
        for (amount, seconds) in units {
            if let Some(amount) = amount {
                let part = amount.pointing(direction)?.checked_mul(seconds)?;
                sum = sum.checked_add(part)?;
            }
        }
        TimeDelta::try_seconds(sum)
    }
}

fn add_months(day: NaiveDate, count: i64) -> Option<NaiveDate> {
    let months = Months::new(u32::try_from(count.unsigned_abs()).ok()?);
    if count < 0 { day.checked_sub_months(months) } else { day.checked_add_months(months) }
}

/// Reads a value and the offset at its end, if it has one; `None` if it is neither a date nor a
/// period. Takes time linear in the length of the text.
pub(super) fn parse(text: &str) -> Option<(DateValue, Option<FixedOffset>)> {
    if matches!(text, "0" | "+0" | "-0") {
        return Some((DateValue::Now, None));
    }
    let mut scanner = Scanner(text.as_bytes());
    if let Some(local) = scanner.date_time() {
        return Some((DateValue::Local(local), scanner.offset_at_end()?));
    }
    let mut scanner = Scanner(text.as_bytes());
    let period = scanner.period()?;
    Some((DateValue::Period(period), scanner.offset_at_end()?))
}

/// The part of a value that is still to be read. Bytes suffice: the grammar is ASCII, and any
/// other byte ends it.
#[derive(Clone, Copy)]
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Reads one byte if it is among `wanted`, else nothing.
    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let first = *self.0.first()?;
        wanted.contains(&first).then_some(first)?;
        self.next()
    }

    fn digit(&mut self) -> Option<u8> {
        self.one_of(b"0123456789").map(|digit| digit.saturating_sub(b'0'))
    }

    /// Reads exactly `count` digits, at most nine.
    fn digits(&mut self, count: u32) -> Option<u32> {
        (0..count)
            .try_fold(0_u32, |number, _| number.checked_mul(10)?.checked_add(self.digit()?.into()))
    }

    /// `YYYY-MM-DD`, `T` or a blank, `hh:mm:ss` and a fraction if there is one (rule 1).
    fn date_time(&mut self) -> Option<NaiveDateTime> {
        let year = i32::try_from(self.digits(4)?).ok()?;
        self.one_of(b"-")?;
        let month = self.digits(2)?;
        self.one_of(b"-")?;
        let day = self.digits(2)?;
        self.one_of(b"T ")?;
        let hour = self.digits(2)?;
        self.one_of(b":")?;
        let minute = self.digits(2)?;
        self.one_of(b":")?;
        let second = self.digits(2)?;
        let nanos = match self.one_of(b".,") {
            Some(_) => self.nanoseconds()?,
            None => 0,
        };
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?;
        Some(date.and_time(time))
    }

    /// One to nine digits after a decimal point.
    fn nanoseconds(&mut self) -> Option<u32> {
        let mut nanos = u32::from(self.digit()?);
        for _ in 1..9 {
            nanos = nanos.checked_mul(10)?.checked_add(self.digit().unwrap_or(0).into())?;
        }
        Some(nanos)
    }

    /// One or more numbers with units (rule 2); stops before what is none.
    fn period(&mut self) -> Option<Period> {
        let mut period = Period::default();
        let (mut amount, mut unit) = self.term()?;
        loop {
            let slot = match unit {
                b'y' => &mut period.years,
                b'M' => &mut period.months,
                b'w' => &mut period.weeks,
                b'd' => &mut period.days,
                b'h' => &mut period.hours,
                b'm' => &mut period.minutes,
                _ => &mut period.seconds,
            };
            // Of a unit given twice the first counts.
            slot.get_or_insert(amount);
            match self.term() {
                Some(term) => (amount, unit) = term,
                None => return Some(period),
            }
        }
    }

    /// A number and its unit; reads nothing if there is none, since a sign and digits without a
    /// unit may be the value's offset.
    fn term(&mut self) -> Option<(Amount, u8)> {
        let mut ahead = *self;
        let sign = ahead.one_of(b"+-");
        let mut magnitude = Some(i64::from(ahead.digit()?));
        while let Some(digit) = ahead.digit() {
            magnitude = magnitude
                .and_then(|number| number.checked_mul(10))
                .and_then(|number| number.checked_add(digit.into()));
        }
        let unit = ahead.one_of(b"smhdwMy")?;
        *self = ahead;
        let amount = Amount {
            count: match sign {
                Some(b'-') => magnitude.and_then(i64::checked_neg),
                _ => magnitude,
            },
            has_sign: sign.is_some(),
        };
        Some((amount, unit))
    }

    /// The rest of the value: nothing (`Some(None)`), or `Z`, `±hh`, `±hhmm`, `±hh:mm` and then
    /// nothing. `None` if it is anything else or beyond [`MAX_OFFSET`].
    fn offset_at_end(mut self) -> Option<Option<FixedOffset>> {
        let Some(first) = self.next() else {
            return Some(None);
        };
        let east = match first {
            b'Z' => 0,
            b'+' => self.offset_seconds()?,
            b'-' => self.offset_seconds()?.checked_neg()?,
            _ => return None,
        };
        self.0.is_empty().then_some(())?;
        FixedOffset::east_opt(east).map(Some)
    }

    fn offset_seconds(&mut self) -> Option<i32> {
        let hours = self.digits(2)?;
        let minutes = if self.0.is_empty() {
            0
        } else {
            // The colon is optional.
            let _ = self.one_of(b":");
            self.digits(2)?
        };
        let minutes = (minutes < 60).then_some(minutes)?;
        let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
        i32::try_from(seconds).ok().filter(|seconds| *seconds <= MAX_OFFSET)
    }
}
