//! Times as Python prints and reads them: ISO 8601, with or without an offset.
//!
//! # Celery
//! `datetime.isoformat()` and `utils/iso8601.py`. A time without an offset means UTC.

use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::repr;
use super::value::ValueError;

/// A moment as it was written: local time and, unless it is naive, its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// The time on the writer's clock.
    pub local: NaiveDateTime,
    /// The writer's offset; `None` is a naive time, which means UTC.
    pub offset: Option<FixedOffset>,
}

impl Timestamp {
    /// A moment with the offset of UTC, to the microsecond, as Python keeps it.
    pub fn utc(moment: DateTime<Utc>) -> Self {
        Self { local: to_micros(moment.naive_utc()), offset: Some(Utc.fix()) }
    }

    /// The moment itself.
    pub fn moment(&self) -> DateTime<Utc> {
        let seconds = self.offset.map_or(0, |offset| offset.local_minus_utc());
        let shift = TimeDelta::seconds(i64::from(seconds));
        self.local.checked_sub_signed(shift).unwrap_or(self.local).and_utc()
    }

    /// Reads ISO 8601: `T` or a space between, seconds and fraction optional, `Z` or an offset optional, a bare date is midnight.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        read(text.trim()).ok_or_else(|| ValueError::new(format!("not a time in ISO 8601: {}", repr::text(text, 100))))
    }
}

fn to_micros(local: NaiveDateTime) -> NaiveDateTime {
    local.with_nanosecond(local.nanosecond() / 1000 * 1000).unwrap_or(local)
}

fn read(text: &str) -> Option<Timestamp> {
    let date = read_date(text.get(..10)?)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(Timestamp { local: date.and_time(NaiveTime::MIN), offset: None });
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let split = rest.find(['+', '-', 'Z', 'z']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(split);
    let clock = clock.replace(',', ".");
    let time = ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|format| NaiveTime::parse_from_str(&clock, format).ok())?;
    // Python knows no second 60.
    let time = Some(time).filter(|time| time.nanosecond() < 1_000_000_000)?;
    let offset = match zone {
        "" => None,
        zone => Some(read_offset(zone)?),
    };
    Some(Timestamp { local: to_micros(date.and_time(time)), offset })
}

/// `YYYY-MM-DD` of the years 1 to 9999, as Python has them: a date beyond could be read and would not be written the same.
pub(super) fn read_date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10 && (1..=9999).contains(&date.year()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
        .then_some(date)
}

/// `Z`, `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`.
pub(super) fn read_offset(zone: &str) -> Option<FixedOffset> {
    if zone.eq_ignore_ascii_case("z") {
        return FixedOffset::east_opt(0);
    }
    let digits = zone.get(1..)?.replace(':', "");
    if !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |text| text.parse::<i32>().ok());
    let seconds = part(0)? * 3600 + part(2)? * 60 + part(4)?;
    if zone.starts_with('-') { FixedOffset::west_opt(seconds) } else { FixedOffset::east_opt(seconds) }
}

/// As Python's `isoformat()`: microseconds only if there are any, the offset as `+00:00`, never `Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.local.format("%Y-%m-%dT%H:%M:%S"))?;
        let micros = self.local.nanosecond() / 1000;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        let Some(offset) = self.offset else { return Ok(()) };
        let seconds = offset.local_minus_utc();
        let sign = if seconds < 0 { '-' } else { '+' };
        let size = seconds.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", size / 3600, size / 60 % 60)?;
        if size % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", size % 60) }
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self::utc(moment)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
