//! Performance is responsible for one line a minute in the log that says what the worker did in it and what it has left.
//!
//! # Celery
//! Has no such line.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::request::Shared;
use super::state::Ended;

/// Writes it every so often until `stop`.
pub(super) async fn log(shared: Arc<Shared>, every: Duration, stop: CancellationToken) {
    let (mut load, mut before) = (Load::default(), shared.state.requests.ended_so_far());
    // From here on the processors are counted.
    let _none_yet = load.cpu(shared.window.children()).await;
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let ended = shared.state.requests.ended_so_far();
        let (done, requests) = (ended.since(before), &shared.state.requests);
        before = ended;
        let (running, slots) = (requests.active(), shared.window.slots.size());
        let cpu = rounded(load.cpu(shared.window.children()).await);
        let memory_free = rounded(load.memory().await);
        tracing::info!(running, slots, cpu, memory_free, "Performance metrics: {}", said(done, every));
    }
}

/// What was done in that time, in words.
fn said(done: Ended, time: Duration) -> String {
    let Ended { runs, failures, retries, runtime } = done;
    let mean = runtime.as_secs_f64() / runs.max(1) as f64;
    let rate = runs as f64 / time.as_secs_f64();
    format!("{runs} tasks ended, {failures} failed, {retries} to be retried; {rate:.1} a second, {mean:.3} s each")
}

fn rounded(share: f64) -> f64 {
    (share * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_told_in_one_line_and_an_idle_one_without_nonsense() {
        let done = Ended { runs: 30, failures: 2, retries: 1, runtime: Duration::from_secs(45) };
        let minute = Duration::from_secs(60);
        assert_eq!(said(done, minute), "30 tasks ended, 2 failed, 1 to be retried; 0.5 a second, 1.500 s each");
        assert_eq!(said(Ended::default(), minute), "0 tasks ended, 0 failed, 0 to be retried; 0.0 a second, 0.000 s each");
    }
}
