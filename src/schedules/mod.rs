//! When periodic tasks run: intervals and crontabs, as functions of two instants and a time zone. No clock is read here.
//!
//! # Celery
//! `schedules.py` and the parts of `utils/time.py` it needs. Differences: solar schedules are refused; the ticks of a plain interval lie on a
//! grid ([`Schedule::last_run`]), Celery's drift by what each sending takes; an interval of nothing is refused; a crontab's next run is
//! always after its last ([`Crontab::next_after`]).

mod crontab;
mod field;
mod interval;
mod zone;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::crontab::{Crontab, Fields};
pub use self::field::Field;
pub use self::interval::Interval;
pub use self::zone::Zone;

/// Why text or numbers are no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

impl ScheduleError {
    /// For this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// When a task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// So long after its last run.
    Interval(Interval),
    /// At these minutes of the calendar.
    Crontab(Crontab),
}

/// Whether to run now, and how long until the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Run now.
    pub is_due: bool,
    /// From now to the next run; not negative.
    pub next: TimeDelta,
}

/// What a schedule is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now.
    pub now: DateTime<Utc>,
    /// In which zone a crontab and a relative interval are meant.
    pub zone: Zone,
    /// `beat_cron_starting_deadline`: how late a crontab's run may still begin; none: at any time, once.
    pub deadline: Option<TimeDelta>,
}

impl Schedule {
    /// Every so many seconds.
    pub fn every(seconds: f64) -> Result<Self, ScheduleError> {
        Ok(Self::Interval(Interval::new(seconds, false)?))
    }

    /// As a line of `crontab(5)` says it: minute, hour, day of the month, month, day of the week.
    pub fn crontab(line: &str) -> Result<Self, ScheduleError> {
        Ok(Self::Crontab(line.parse()?))
    }

    /// Whether it is due, when it last ran at `last`.
    pub fn is_due(&self, last: DateTime<Utc>, at: &Moment) -> Due {
        match self {
            Self::Interval(interval) => interval.is_due(last, at),
            Self::Crontab(crontab) => crontab.is_due(last, at),
        }
    }

    /// What to keep as the time of a run that was due after `last` and is done now. A plain interval keeps the time it was due, so that its
    /// runs do not drift; where one or more were missed it begins anew, as Celery does: what was missed is made up for once.
    pub fn last_run(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Interval(interval) => interval.last_run(last, now),
            Self::Crontab(_) => now,
        }
    }
}

/// As Celery shows them.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval(interval) => write!(f, "<freq: {interval}>"),
            Self::Crontab(crontab) => {
                let [minute, hour, day_of_month, month_of_year, day_of_week] = crontab.specs();
                write!(f, "<crontab: {minute} {hour} {day_of_month} {month_of_year} {day_of_week} (m/h/dM/MY/d)>")
            }
        }
    }
}
