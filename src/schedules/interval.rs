//! An interval: so long after the last run, or, `relative`, at the full days, hours or minutes of the clock.
//!
//! # Celery
//! `schedules.py: schedule`, `utils/time.py: remaining` and `_relative_end_dates`. Difference: a relative interval of less than a second is
//! not rounded to its last run; Celery sends it without end.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};

use super::zone::{Local, Zone};
use super::{Due, Moment, ScheduleError};

const MINUTE: TimeDelta = TimeDelta::minutes(1);
const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);
/// No interval is longer: a hundred years.
const MAX_SECONDS: f64 = 3.2e9;

/// A length of time between runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    every: TimeDelta,
    relative: bool,
}

impl Interval {
    /// Every so many seconds; `relative` rounds down to the days, hours or minutes of the clock, whichever the interval has.
    pub fn new(seconds: f64, relative: bool) -> Result<Self, ScheduleError> {
        if !(1e-6..=MAX_SECONDS).contains(&seconds) {
            return Err(ScheduleError(format!(
                "{seconds} seconds are no interval: write more than 0 and less than a hundred years"
            )));
        }
        #[allow(clippy::cast_possible_truncation, reason = "within bounds")]
        Ok(Self { every: TimeDelta::microseconds((seconds * 1e6).round() as i64), relative })
    }

    /// The same, relative or not.
    #[must_use]
    pub fn relative(self, relative: bool) -> Self {
        Self { relative, ..self }
    }

    /// Whether its runs are at full days, hours or minutes.
    pub fn is_relative(&self) -> bool {
        self.relative
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.every.as_seconds_f64()
    }

    pub(super) fn is_due(&self, last: DateTime<Utc>, at: &Moment) -> Due {
        let remaining = self.next_after(last, at.zone) - at.now;
        if remaining > TimeDelta::zero() {
            return Due { is_due: false, next: remaining };
        }
        let aligned = self.next_after(at.now, at.zone) - at.now;
        Due { is_due: true, next: if aligned > TimeDelta::zero() { aligned } else { self.every } }
    }

    pub(super) fn last_run(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let due = last + self.every;
        if self.relative || now - due >= self.every { now } else { due }
    }

    /// When it is due, when it last ran at `last`.
    pub(super) fn next_after(&self, last: DateTime<Utc>, zone: Zone) -> DateTime<Utc> {
        match self.relative {
            false => last + self.every,
            true if self.every >= DAY => self.next_day(last, zone),
            true => self.next_boundary(last, zone),
        }
    }

    /// Days are counted on the calendar: one of them may have 23 hours. It is the first midnight after the last run.
    fn next_day(&self, last: DateTime<Utc>, zone: Zone) -> DateTime<Utc> {
        let end = zone.local(last).wall + self.every;
        let midnights = self.rounded(end, zone);
        midnights
            .into_iter()
            .filter(|midnight| *midnight > last)
            .min()
            .unwrap_or_else(|| zone.instant(Local { wall: end, fold: false }))
    }

    /// The last full hour or minute that is not later than the interval's end, but later than the last run.
    fn next_boundary(&self, last: DateTime<Utc>, zone: Zone) -> DateTime<Utc> {
        let end = last + self.every;
        let local = zone.local(end).wall;
        let mut candidates = self.rounded(local, zone).to_vec();
        let latest = |candidates: &[DateTime<Utc>]| candidates.iter().filter(|date| **date <= end).max().copied();
        let found = latest(&candidates).or_else(|| candidates.iter().min().copied()).unwrap_or(end);
        if found > last {
            return found;
        }
        if self.every < MINUTE {
            return end;
        }
        // A clock that is put back by less than an hour may put the boundary before the last run.
        let unit = if self.every >= HOUR { HOUR } else { MINUTE };
        candidates.extend(self.rounded(local + unit, zone));
        candidates.extend(self.rounded(zone.local(last).wall + self.every, zone));
        candidates.retain(|date| *date > last);
        latest(&candidates).or_else(|| candidates.iter().min().copied()).unwrap_or(end)
    }

    /// The instants of a local time that is rounded down: two where it comes twice.
    fn rounded(&self, wall: NaiveDateTime, zone: Zone) -> [DateTime<Utc>; 2] {
        let time = wall.time();
        let kept = match self.every {
            every if every >= DAY => 0,
            every if every >= HOUR => time.hour() * 3600,
            every if every >= MINUTE => time.num_seconds_from_midnight() / 60 * 60,
            _ => time.num_seconds_from_midnight(),
        };
        let midnight = wall.date().and_time(chrono::NaiveTime::MIN);
        let wall = zone.existing(midnight + TimeDelta::seconds(kept.into()));
        [false, true].map(|fold| zone.instant(Local { wall, fold }))
    }
}

/// In the unit Celery's `humanize_seconds` chooses.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (length, unit) = [(86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")]
            .into_iter()
            .find(|(length, _)| seconds >= *length)
            .unwrap_or((1.0, "second"));
        let count = seconds / length;
        write!(f, "{count:.2} {unit}{}", if count > 1.0 { "s" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_shown_as_celery_shows_it() {
        for (seconds, text) in [(30.0, "30.00 seconds"), (60.0, "1.00 minute"), (5400.0, "1.50 hours"), (86_400.0, "1.00 day")] {
            assert_eq!(Interval::new(seconds, false).unwrap().to_string(), text);
        }
    }

    #[test]
    fn nothing_and_what_is_endless_are_no_intervals() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert!(Interval::new(seconds, false).is_err(), "{seconds}");
        }
    }
}
