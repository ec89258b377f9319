//! A time zone, and local times in it as Python has them: what the clock on the wall shows, and which of two passes it is where the clock
//! is put back.
//!
//! # Celery
//! `zoneinfo.ZoneInfo` with the `fold` of PEP 495, and dateutil's `resolve_imaginary`. The zones are those of the program, not the machine's.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::ScheduleError;

const DAY: TimeDelta = TimeDelta::days(1);

/// A time zone of the IANA database, by its name: `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Tz);

/// A time on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) wall: NaiveDateTime,
    /// True in the second pass of a time that comes twice.
    pub(super) fold: bool,
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(Tz::UTC);

    /// What the wall shows at an instant.
    pub(super) fn local(self, instant: DateTime<Utc>) -> Local {
        let wall = instant.with_timezone(&self.0).naive_local();
        let fold = match self.0.offset_from_local_datetime(&wall) {
            MappedLocalTime::Ambiguous(a, b) => instant.naive_utc() == (wall - a.fix()).max(wall - b.fix()),
            MappedLocalTime::Single(_) | MappedLocalTime::None => false,
        };
        Local { wall, fold }
    }

    /// The instant of a time on the wall. One that is left out counts from the offset before the gap, or, with `fold`, after it.
    pub(super) fn instant(self, Local { wall, fold }: Local) -> DateTime<Utc> {
        let utc = match self.0.offset_from_local_datetime(&wall) {
            MappedLocalTime::Single(offset) => wall - offset.fix(),
            MappedLocalTime::Ambiguous(a, b) => {
                let (a, b) = (wall - a.fix(), wall - b.fix());
                if fold { a.max(b) } else { a.min(b) }
            }
            MappedLocalTime::None => {
                let near = if fold { wall + DAY } else { wall - DAY };
                wall - self.0.offset_from_utc_datetime(&near).fix()
            }
        };
        utc.and_utc()
    }

    /// A time on the wall, moved on by the gap if it is left out.
    pub(super) fn existing(self, wall: NaiveDateTime) -> NaiveDateTime {
        match self.0.offset_from_local_datetime(&wall) {
            MappedLocalTime::None => self.local(self.instant(Local { wall, fold: false })).wall,
            MappedLocalTime::Single(_) | MappedLocalTime::Ambiguous(..) => wall,
        }
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Zone {
    type Err = ScheduleError;

    fn from_str(name: &str) -> Result<Self, ScheduleError> {
        let zone =
            name.parse().map_err(|_| ScheduleError(format!("{name:?} is no time zone: write one such as \"Europe/Berlin\"")))?;
        Ok(Self(zone))
    }
}

impl TryFrom<String> for Zone {
    type Error = ScheduleError;

    fn try_from(name: String) -> Result<Self, ScheduleError> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_apart_by_its_fold() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let (first, second) = (utc("2026-10-25T00:30:00Z"), utc("2026-10-25T01:30:00Z"));
        let (a, b) = (berlin.local(first), berlin.local(second));
        assert_eq!((a.wall, a.fold, b.fold), (b.wall, false, true));
        assert_eq!((berlin.instant(a), berlin.instant(b)), (first, second));
    }

    #[test]
    fn a_time_that_is_left_out_is_moved_on_by_the_gap() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let wall: NaiveDateTime = "2026-03-29T02:30:00".parse().unwrap();
        assert_eq!(berlin.existing(wall), "2026-03-29T03:30:00".parse().unwrap());
        assert_eq!(berlin.instant(Local { wall, fold: false }), utc("2026-03-29T01:30:00Z"));
        assert_eq!(berlin.instant(Local { wall, fold: true }), utc("2026-03-29T00:30:00Z"));
    }

    #[test]
    fn a_zone_that_does_not_exist_is_an_error_with_an_example() {
        assert_eq!(
            "Mars".parse::<Zone>().unwrap_err().to_string(),
            "\"Mars\" is no time zone: write one such as \"Europe/Berlin\""
        );
    }
}
