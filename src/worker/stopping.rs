//! Stopping is responsible for when a stop goes on to its next stage by itself: when the soft time is over, and when the grace is.
//!
//! # Celery
//! `on_cold_shutdown` of `apps/worker.py` and `wait_for_soft_shutdown` of `worker/worker.py`. Differences: `celeriac.shutdown_grace` makes a
//! stop cold early enough to end in time; a soft stop ends when nothing runs any more, and not before its time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::request::Shared;

/// How much of the grace is kept for handing back, at most.
const RESERVE: Duration = Duration::from_secs(5);
/// A stop without an end in sight.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// When a stop that began goes on to its next stage.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    cold: Instant,
    hard: Instant,
}

impl Deadlines {
    /// Of a stop that begins now and has so long.
    fn within(grace: Option<Duration>) -> Self {
        let now = Instant::now();
        let (grace, reserve) = match grace {
            Some(grace) => (grace, reserve(grace)),
            None => (NEVER, Duration::ZERO),
        };
        let at = |span: Duration| now.checked_add(span).unwrap_or(now + NEVER);
        Self { cold: at(grace - reserve), hard: at(grace - reserve / 2) }
    }
}

/// How long after the beginning of a stop the process must be ended if it still lives: nothing else has ended it in time.
#[cfg(feature = "cli")]
pub(crate) fn last_moment(grace: Duration) -> Duration {
    grace - reserve(grace) / 4
}

fn reserve(grace: Duration) -> Duration {
    RESERVE.min(grace / 4)
}

/// Takes a stop from stage to stage, until the worker has `ended`.
pub(super) async fn watch(shared: Arc<Shared>, ended: CancellationToken) {
    let shutdown = &shared.shutdown;
    tokio::select! {
        () = ended.cancelled() => return,
        () = shutdown.stopping().cancelled() => {}
    }
    let grace = shared.app.settings().celeriac.shutdown_grace.and_then(|grace| grace.limit());
    let deadlines = Deadlines::within(grace);
    let (running, held) = (shared.state.requests.active(), shared.state.requests.len());
    let word = if shutdown.softened().is_cancelled() { "Cold" } else { "Warm" };
    tracing::info!(running, held, grace = grace.map(|grace| grace.as_secs_f64()), "worker: {word} shutdown");
    tokio::select! {
        () = ended.cancelled() => return,
        () = until_cold(&shared, deadlines) => {}
    }
    let running = shared.state.requests.active();
    tracing::warn!(running, "worker: Cold shutdown, what runs is cut off, and handed back where it is acked late");
    shutdown.cut();
    tokio::select! {
        () = ended.cancelled() => {}
        () = shutdown.leaving().cancelled() => {}
        () = sleep_until(deadlines.hard) => {
            tracing::error!("the grace is over");
            shutdown.hard();
        }
    }
}

/// Ends when what runs must be cut off.
async fn until_cold(shared: &Shared, deadlines: Deadlines) {
    let shutdown = &shared.shutdown;
    tokio::select! {
        () = shutdown.softened().cancelled() => {}
        () = sleep_until(deadlines.cold) => {
            tracing::warn!("the grace is nearly over");
            return;
        }
    }
    let Some(soft) = soft_time(shared) else { return };
    tracing::warn!("Initiating Soft Shutdown, terminating in {} seconds", soft.as_secs_f64());
    tokio::select! {
        () = shutdown.cut_off().cancelled() => {}
        () = tokio::time::sleep(soft) => {}
        () = sleep_until(deadlines.cold) => tracing::warn!("the grace is nearly over"),
    }
}

/// How long what runs may still take when a cold stop begins; none where nothing runs, unless the settings say so.
fn soft_time(shared: &Shared) -> Option<Duration> {
    let settings = shared.app.settings();
    let wanted = settings.worker_enable_soft_shutdown_on_idle || shared.state.requests.active() > 0;
    settings.worker_soft_shutdown_timeout.limit().filter(|_| wanted)
}

/// Waits, after everything has ended, for what is left of a soft stop of an idle worker.
pub(super) async fn idle_out(shared: &Shared) {
    let shutdown = &shared.shutdown;
    if shared.app.settings().worker_enable_soft_shutdown_on_idle && shutdown.softened().is_cancelled() {
        shutdown.cut_off().cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_of_the_grace_is_for_handing_back() {
        let now = Instant::now();
        for (grace, cold, hard) in [(30.0, 25.0, 27.5), (300.0, 295.0, 297.5), (8.0, 6.0, 7.0), (1.0, 0.75, 0.875)] {
            let deadlines = Deadlines::within(Some(Duration::from_secs_f64(grace)));
            let spans = [deadlines.cold - now, deadlines.hard - now];
            assert_eq!(spans, [cold, hard].map(Duration::from_secs_f64), "{grace}");
        }
        assert!(Deadlines::within(None).cold > now + Duration::from_secs(86_400));
        assert!(Deadlines::within(Some(Duration::MAX)).hard > now);
    }
}
