//! The guard is responsible for saying so, loudly, where a server may throw away what was entrusted to it.
//!
//! # Celery
//! Its documentation says what `maxmemory-policy` must be; nobody looks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::timer::pause;
use crate::app::App;
use crate::outage::Outage;
use crate::settlement::Eviction;

/// How often it looks again: the settings of a server change, and after a failover it is another one.
const EVERY: Duration = Duration::from_secs(30);
/// What mends it.
const FIX: &str = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or at your provider";

/// Looks at the start and from time to time, and warns of what it has not warned of before.
pub(super) async fn watch(app: App, stop: CancellationToken) {
    let (mut broker, mut backend) = (Outage::new("looking at the broker"), Outage::new("looking at the result backend"));
    let mut known: Vec<(&str, Eviction)> = Vec::new();
    loop {
        let found = [
            ("broker", broker.seen(app.broker().eviction().await).flatten()),
            ("result backend", backend.seen(app.backend().eviction().await).flatten()),
        ];
        let evicting: Vec<_> = found.into_iter().filter_map(|(what, eviction)| Some((what, eviction?))).collect();
        for (what, eviction) in evicting.iter().filter(|one| !known.contains(*one)) {
            tracing::warn!("{}", warning(what, eviction));
        }
        known = evicting;
        if !pause(EVERY, &stop).await {
            return;
        }
    }
}

/// What may be lost, and what to do.
fn warning(what: &str, Eviction { policy, max_bytes }: &Eviction) -> String {
    let lost = match policy.starts_with("volatile-") {
        // Only what has a time to live.
        true => "results, chords and what was revoked may VANISH before their time",
        false => "queued and running tasks, schedules, results and chords may VANISH without a word",
    };
    format!("the {what}'s Redis evicts ({policy}): when it holds {max_bytes} bytes, {lost}. Mend it: {FIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_what_may_be_lost_and_what_to_do() {
        let of = |policy: &str| warning("broker", &Eviction { policy: policy.to_owned(), max_bytes: 5 });
        let all = of("allkeys-lru");
        assert!(all.contains("broker's Redis evicts (allkeys-lru)") && all.contains("queued and running tasks"), "{all}");
        assert!(all.contains("CONFIG SET maxmemory-policy noeviction"), "{all}");
        assert!(!of("volatile-ttl").contains("tasks,"));
    }
}
