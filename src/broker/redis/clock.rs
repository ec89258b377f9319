//! The server's clock, as the last fetch told it.
//!
//! # Celery
//! None: a Python worker compares ETAs, expiries and `visibility_timeout` with its own clock.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// How far the server's clock is from ours. Until it has told its time, nothing is known and both are the same.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    /// In microseconds; more than nothing: the server's is ahead.
    ahead: AtomicI64,
}

impl ServerClock {
    /// Takes the time of an answer that has just come: what it took on its way lets the server's clock seem late by so much, never early.
    pub(super) fn told(&self, seconds: &str) {
        self.told_at(seconds, Utc::now());
    }

    fn told_at(&self, seconds: &str, ours: DateTime<Utc>) {
        let micros = seconds.split_once('.').and_then(|(whole, part)| format!("{whole}{part}").parse::<i64>().ok());
        if let Some(micros) = micros {
            self.ahead.store(micros.saturating_sub(ours.timestamp_micros()), Ordering::Relaxed);
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.at(Utc::now())
    }

    fn at(&self, ours: DateTime<Utc>) -> DateTime<Utc> {
        let ahead = TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed));
        ours.checked_add_signed(ahead).unwrap_or(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_goes_on_from_what_it_told() {
        let (clock, ours) = (ServerClock::default(), "2026-11-26T10:00:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(clock.at(ours), ours);
        for skew in [TimeDelta::minutes(5), TimeDelta::minutes(-5), TimeDelta::microseconds(1)] {
            clock.told_at(&super::super::park::seconds(ours + skew), ours);
            assert_eq!(clock.at(ours + TimeDelta::seconds(7)), ours + skew + TimeDelta::seconds(7));
        }
        let before = clock.at(ours);
        for nonsense in ["", "x.y", "1795307799", "99999999999999999999.000000"] {
            clock.told_at(nonsense, ours);
        }
        assert_eq!(clock.at(ours), before, "what is no time changes nothing");
    }
}
