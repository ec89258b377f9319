//! A crontab: at which minutes of the calendar a task runs.
//!
//! # Celery
//! `schedules.py: crontab`, whose search for the next run is kept step by step, with what it means where the clock is changed: a run in the
//! hour that is left out comes as long after it, the hour that comes twice is gone through once. Difference: when the last run was in
//! its second pass, the next is looked for there; Celery finds one in the first, which is past, and sends it again and again.

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};

use super::field::{self, Field, Range};
use super::zone::{Local, Zone};
use super::{Due, Moment, ScheduleError};

const MINUTES: Range = Range { first: 0, count: 60 };
const HOURS: Range = Range { first: 0, count: 24 };
const DAYS_OF_WEEK: Range = Range { first: 0, count: 7 };
const DAYS_OF_MONTH: Range = Range { first: 1, count: 31 };
const MONTHS_OF_YEAR: Range = Range { first: 1, count: 12 };
/// The longest each month can be.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// How many days are looked at for the next run: a 29th of February on a given day of the week comes within 40 years.
const SEARCH: usize = 40 * 366;

/// A crontab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crontab {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    /// 0 is Sunday.
    days_of_week: Vec<u32>,
    days_of_month: Vec<u32>,
    months_of_year: Vec<u32>,
    /// As they were written, in the order of a line: minute, hour, day of the month, month, day of the week.
    specs: Box<[String; 5]>,
}

/// The five fields by their names; each is `*` unless it is set.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Fields {
    pub minute: Field,
    pub hour: Field,
    pub day_of_week: Field,
    pub day_of_month: Field,
    pub month_of_year: Field,
}

impl Crontab {
    /// A crontab of these fields.
    pub fn new(fields: Fields) -> Result<Self, ScheduleError> {
        let days_of_month = field::expand(&fields.day_of_month, DAYS_OF_MONTH)?;
        let months_of_year = field::expand(&fields.month_of_year, MONTHS_OF_YEAR)?;
        let crontab = Self {
            minutes: field::expand(&fields.minute, MINUTES)?,
            hours: field::expand(&fields.hour, HOURS)?,
            days_of_week: field::expand(&fields.day_of_week, DAYS_OF_WEEK)?,
            days_of_month,
            months_of_year,
            specs: Box::new(
                [fields.minute, fields.hour, fields.day_of_month, fields.month_of_year, fields.day_of_week].map(field::spec),
            ),
        };
        let shortest = crontab.days_of_month[0];
        if !crontab.months_of_year.iter().any(|month| shortest <= LENGTHS[*month as usize - 1]) {
            let [_, _, day, month, _] = &*crontab.specs;
            return Err(ScheduleError(format!("Invalid crontab: day_of_month '{day}' never occurs in month_of_year '{month}'.")));
        }
        Ok(crontab)
    }

    /// The fields as they were written, in the order of a line.
    pub fn specs(&self) -> &[String; 5] {
        &self.specs
    }

    pub(super) fn is_due(&self, last: DateTime<Utc>, at: &Moment) -> Due {
        let until = |last| self.next_after(last, at.zone).map(|next| next - at.now);
        let never = Due { is_due: false, next: TimeDelta::days(1) };
        let Some(remaining) = until(last) else { return never };
        if remaining > TimeDelta::zero() {
            return Due { is_due: false, next: remaining };
        }
        // A run exactly so long ago is still in time.
        let late = |deadline: TimeDelta| {
            until(at.now - deadline - TimeDelta::microseconds(1)).is_none_or(|remaining| remaining > TimeDelta::zero())
        };
        let is_due = remaining == TimeDelta::zero() || !at.deadline.is_some_and(late);
        Due { is_due, next: until(at.now).map_or(never.next, |next| next.max(TimeDelta::zero())) }
    }

    /// The first run after `last`.
    pub fn next_after(&self, last: DateTime<Utc>, zone: Zone) -> Option<DateTime<Utc>> {
        let local = zone.local(last);
        let wall = self.next_wall(local.wall)?;
        let next = zone.instant(Local { wall, fold: false });
        Some(if next <= last { zone.instant(Local { wall, fold: local.fold }) } else { next })
    }

    /// The next run by the clock on the wall: in this hour, later today, or on a later day.
    fn next_wall(&self, last: NaiveDateTime) -> Option<NaiveDateTime> {
        let (date, hour) = (last.date(), last.hour());
        if self.runs_on(date) {
            if self.hours.contains(&hour)
                && let Some(minute) = after(&self.minutes, last.minute())
            {
                return date.and_hms_opt(hour, minute, 0);
            }
            if let Some(hour) = after(&self.hours, hour) {
                return date.and_hms_opt(hour, self.minutes[0], 0);
            }
        }
        let day = date.succ_opt()?.iter_days().take(SEARCH).find(|day| self.runs_on(*day))?;
        day.and_hms_opt(self.hours[0], self.minutes[0], 0)
    }

    fn runs_on(&self, date: NaiveDate) -> bool {
        self.months_of_year.contains(&date.month())
            && self.days_of_month.contains(&date.day())
            && self.days_of_week.contains(&date.weekday().num_days_from_sunday())
    }
}

/// The smallest of sorted numbers that is larger.
fn after(numbers: &[u32], number: u32) -> Option<u32> {
    numbers.iter().find(|candidate| **candidate > number).copied()
}

/// A line of `crontab(5)`.
impl FromStr for Crontab {
    type Err = ScheduleError;

    fn from_str(line: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [minute, hour, day_of_month, month_of_year, day_of_week] = fields[..] else {
            let message = format!("{line:?} is no crontab: write minute, hour, day of the month, month and day of the week");
            return Err(ScheduleError(message));
        };
        let [minute, hour, day_of_week] = [minute, hour, day_of_week].map(Field::from);
        let [day_of_month, month_of_year] = [day_of_month, month_of_year].map(Field::from);
        Self::new(Fields { minute, hour, day_of_week, day_of_month, month_of_year })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn next(line: &str, zone: &str, last: &str) -> DateTime<Utc> {
        line.parse::<Crontab>().unwrap().next_after(utc(last), zone.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_run_that_began_in_the_second_pass_of_an_hour_is_followed_by_a_later_one() {
        let last = "2026-10-25T01:20:00.5Z";
        assert_eq!(next("*/10 * * * *", "Europe/Berlin", last), utc("2026-10-25T01:30:00Z"));
        assert_eq!(next("0 * * * *", "Europe/Berlin", last), utc("2026-10-25T02:00:00Z"));
    }

    #[test]
    fn a_run_in_the_hour_that_is_left_out_comes_as_long_after_it() {
        assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"), utc("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn a_day_that_comes_once_in_many_years_is_found() {
        assert_eq!(next("0 0 29 2 fri", "UTC", "2036-03-01T00:00:00Z"), utc("2064-02-29T00:00:00Z"));
    }

    #[test]
    fn days_that_never_come_are_refused_in_celerys_words() {
        let wrong = "0 0 30,31 feb *".parse::<Crontab>().unwrap_err().to_string();
        assert_eq!(wrong, "Invalid crontab: day_of_month '30,31' never occurs in month_of_year 'feb'.");
        assert!("0 0 30 feb,mar *".parse::<Crontab>().is_ok());
        assert!("0 0 * *".parse::<Crontab>().is_err());
    }
}
