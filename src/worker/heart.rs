//! The heart is responsible for saying that the worker lives: online at the start, a heartbeat every two seconds, offline at the end.
//!
//! # Celery
//! `worker/heartbeat.py`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::state::WorkerState;
use crate::events::EventDispatcher;
use crate::protocol::event::{Event, Pulse};

/// Nobody needs to hear it more often.
const OFTENEST: Duration = Duration::from_millis(100);

/// Beats every `freq` until `stop`, which is given when the worker has nothing left to do. Who hears nothing for twice as long takes the
/// worker for dead.
pub(super) async fn beat(events: EventDispatcher, state: Arc<WorkerState>, freq: Duration, stop: CancellationToken) {
    let freq = freq.max(OFTENEST);
    let mut ticks = interval(freq);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kind = "worker-online";
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        events.send(&Event::worker(kind, &pulse(&state, freq).await));
        kind = "worker-heartbeat";
    }
    events.send(&Event::worker("worker-offline", &pulse(&state, freq).await));
}

async fn pulse(state: &WorkerState, freq: Duration) -> Pulse {
    let (active, processed) = (state.requests.active(), state.requests.totals().values().sum());
    Pulse { freq: freq.as_secs_f64(), active, processed, loadavg: load_average().await }
}

/// The machine's load; nothing where the system does not say.
pub(super) async fn load_average() -> [f64; 3] {
    let text = tokio::fs::read_to_string("/proc/loadavg").await.unwrap_or_default();
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}
