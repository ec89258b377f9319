//! The types of settings that are more than a number or a text: time spans, slots, rates.
//!
//! # Celery
//! `rate` of `celery.utils.time`; the two forms of `worker_concurrency`; `--autoscale`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time span as settings write it: seconds, whole or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

impl Seconds {
    /// So many seconds; negative and endless values count as none.
    pub const fn new(seconds: f64) -> Self {
        if seconds > 0.0 && seconds < 1e15 { Self(seconds) } else { Self(0.0) }
    }

    /// As a [`Duration`].
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }

    /// As a number.
    pub fn as_f64(self) -> f64 {
        self.0
    }

    /// As a [`Duration`], with Celery's reading of 0 as "no limit".
    pub fn limit(self) -> Option<Duration> {
        (self.0 > 0.0).then(|| self.duration())
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        if (0.0..1e15).contains(&seconds) { Ok(Self(seconds)) } else { Err(format!("{seconds} is not a time span")) }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.duration()
    }
}

/// How many slots a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CountOrWord", into = "CountOrWord")]
pub enum Concurrency {
    /// As many as the machine, or the container, has processors.
    Auto,
    /// This many.
    Count(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CountOrWord {
    Count(usize),
    Word(String),
}

impl TryFrom<CountOrWord> for Concurrency {
    type Error = String;

    fn try_from(value: CountOrWord) -> Result<Self, String> {
        match value {
            CountOrWord::Count(0) => Err("a worker needs at least one slot".into()),
            CountOrWord::Count(count) => Ok(Self::Count(count)),
            CountOrWord::Word(word) if word == "auto" => Ok(Self::Auto),
            CountOrWord::Word(word) => Err(format!("{word:?} is neither a number nor \"auto\"")),
        }
    }
}

impl From<Concurrency> for CountOrWord {
    fn from(value: Concurrency) -> Self {
        match value {
            Concurrency::Auto => Self::Word("auto".into()),
            Concurrency::Count(count) => Self::Count(count),
        }
    }
}

/// A rate limit as Celery writes it: `10/s`, `120/m`, `100/h`, or a number a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "String")]
pub struct Rate {
    text: String,
    per_second: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl Rate {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("{text:?} is not a rate: write a number and /s, /m or /h")),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number >= 0.0 && number.is_finite() => Ok(Self { text: text.to_owned(), per_second: number / seconds }),
            _ => Err(format!("{text:?} is not a rate: write a number and /s, /m or /h")),
        }
    }

    /// So many runs a second.
    pub fn per_second(runs: f64) -> Self {
        Self { text: format!("{runs}/s"), per_second: runs.max(0.0) }
    }

    /// So many runs a minute.
    pub fn per_minute(runs: f64) -> Self {
        Self { text: format!("{runs}/m"), per_second: runs.max(0.0) / 60.0 }
    }

    /// So many runs an hour.
    pub fn per_hour(runs: f64) -> Self {
        Self { text: format!("{runs}/h"), per_second: runs.max(0.0) / 3600.0 }
    }

    /// The time between two runs, at most a year; none: no limit.
    pub fn interval(&self) -> Option<Duration> {
        const YEAR: f64 = 365.0 * 86_400.0;
        (self.per_second > 0.0).then(|| Duration::from_secs_f64((1.0 / self.per_second).min(YEAR)))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<NumberOrText> for Rate {
    type Error = String;

    fn try_from(value: NumberOrText) -> Result<Self, String> {
        match value {
            NumberOrText::Number(number) => Self::parse(&number.to_string()),
            NumberOrText::Text(text) => Self::parse(&text),
        }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.text
    }
}

/// Whose runs a rate limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScope {
    /// Those of each worker by itself, as in Celery.
    #[default]
    Worker,
    /// Those of all workers together.
    Cluster,
}

/// The bounds between which a worker sizes its pool by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Autoscale {
    /// The most slots.
    pub max: usize,
    /// The fewest slots.
    pub min: usize,
}

impl TryFrom<String> for Autoscale {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<usize>().map_err(|_| format!("{text:?} is not \"max,min\""));
        let (one, other) = text.split_once(',').map_or((text.as_str(), "0"), |pair| pair);
        let (one, other) = (number(one)?, number(other)?);
        Ok(Self { max: one.max(other), min: one.min(other) })
    }
}

impl From<Autoscale> for String {
    fn from(bounds: Autoscale) -> Self {
        format!("{},{}", bounds.max, bounds.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_celery_reads_them() {
        assert_eq!(Rate::parse("10/s").unwrap().interval(), Some(Duration::from_millis(100)));
        assert_eq!(Rate::parse("120/m").unwrap().interval(), Rate::per_minute(120.0).interval());
        assert_eq!(Rate::parse("3600/h").unwrap().interval(), Some(Duration::from_secs(1)));
        assert_eq!(serde_json::from_str::<Rate>("2.5").unwrap().interval(), Some(Duration::from_millis(400)));
        assert_eq!(Rate::parse("0").unwrap().interval(), None);
        assert!(Rate::parse("10/d").is_err());
        assert!(Rate::parse("-1/s").is_err());
    }

    #[test]
    fn the_order_of_an_autoscale_pair_does_not_matter() {
        assert_eq!(Autoscale::try_from("2,8".to_owned()), Ok(Autoscale { max: 8, min: 2 }));
        assert_eq!(Autoscale::try_from("8,2".to_owned()), Ok(Autoscale { max: 8, min: 2 }));
        assert_eq!(Autoscale::try_from("8".to_owned()), Ok(Autoscale { max: 8, min: 0 }));
        assert!(Autoscale::try_from("many".to_owned()).is_err());
    }

    #[test]
    fn concurrency_is_a_number_or_auto() {
        assert_eq!(serde_json::from_str::<Concurrency>("4").unwrap(), Concurrency::Count(4));
        assert_eq!(serde_json::from_str::<Concurrency>("\"auto\"").unwrap(), Concurrency::Auto);
        assert!(serde_json::from_str::<Concurrency>("0").is_err());
        assert!(serde_json::from_str::<Concurrency>("\"all\"").is_err());
    }

    #[test]
    fn zero_seconds_is_no_limit() {
        assert_eq!(Seconds::new(0.0).limit(), None);
        assert_eq!(Seconds::new(1.5).limit(), Some(Duration::from_millis(1500)));
        assert!(serde_json::from_str::<Seconds>("-1").is_err());
    }
}
