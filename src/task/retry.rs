//! How long a retry waits: exponential back-off with full jitter, as a pure function of the attempt and a random number.
//!
//! # Celery
//! `utils/time.py: get_exponential_backoff_interval` and the task options `retry_backoff`, `retry_backoff_max`, `retry_jitter`.

use std::time::Duration;

/// Exponential back-off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first delay; each further one doubles.
    pub base: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// Full jitter: a random part of the delay instead of all of it, so that many tasks that failed together do not come back together.
    pub jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), max: Duration::from_secs(600), jitter: true }
    }
}

impl Backoff {
    /// The delay before retry number `retries` (0 for the first); `random` is in `0.0..1.0`.
    pub fn delay(&self, retries: u32, random: f64) -> Duration {
        let full = self.base.as_secs_f64() * 2f64.powi(retries.min(64).cast_signed());
        let full = full.min(self.max.as_secs_f64());
        Duration::from_secs_f64(if self.jitter { full * random.clamp(0.0, 1.0) } else { full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_maximum_and_jitter_stays_below_it() {
        let plain = Backoff { jitter: false, ..Backoff::default() };
        let seconds: Vec<u64> = [0, 1, 2, 9, 10, 4000].iter().map(|n| plain.delay(*n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 512, 600, 600]);
        assert_eq!(Backoff::default().delay(3, 0.25), Duration::from_secs(2));
    }
}
