//! How often a key may call: a bucket of tokens each, as many as it may call a minute, filled all the time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The buckets. There are as many as there are keys.
#[derive(Debug)]
pub(super) struct Limit {
    /// None: as often as it likes.
    per_minute: Option<f64>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limit {
    /// So many a minute; 0: no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute: (per_minute > 0).then_some(f64::from(per_minute)), buckets: Mutex::default() }
    }

    /// Takes a token of this key, or says how long until there is one.
    pub(super) fn take(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let Some(size) = self.per_minute else { return Ok(()) };
        let per_second = size / 60.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket { tokens: size, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        *bucket = Bucket { tokens: size.min(bucket.tokens + passed * per_second), at: now };
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_bucket_and_it_fills_again() {
        let (limit, start) = (Limit::new(60), Instant::now());
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert!((0..60).all(|_| limit.take("a", start).is_ok()));
        let wait = limit.take("a", at(0.25)).unwrap_err();
        assert!((wait.as_secs_f64() - 0.75).abs() < 1e-6, "{wait:?}");
        assert!(limit.take("b", at(0.25)).is_ok(), "another's");
        assert!(limit.take("a", at(1.01)).is_ok() && limit.take("a", at(1.02)).is_err());
        assert_eq!((0..100).filter(|_| limit.take("a", at(3600.0)).is_ok()).count(), 60, "no more than it holds");
        assert!((0..1000).all(|_| Limit::new(0).take("a", start).is_ok()));
    }
}
