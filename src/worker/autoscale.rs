//! The autoscaler is responsible for the number of slots: as many as there is work for, between two bounds.
//!
//! It grows within seconds, at most to twice the slots at a time, unless growth would not help: processors or memory are used up, or too
//! many tasks fail. It shrinks to what was needed at most during the last `autoscaling_interval`, so that a lull between two waves of
//! work changes nothing.
//!
//! # Celery
//! `worker/autoscale.py`. Differences: work that waits in the queues counts, not only what was fetched; load and errors hold growth up; one
//! slot always stays.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::request::Shared;
use crate::config::Autoscale;
use crate::error::Result;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Below this share of memory that is free, a worker does not grow.
const SCARCE: f64 = 0.1;

/// The bounds, which remote control may change.
#[derive(Debug)]
pub(super) struct Bounds(Mutex<Autoscale>);

impl Bounds {
    pub(super) fn new(bounds: Autoscale) -> Self {
        Self(Mutex::new(bounds))
    }

    pub(super) fn get(&self) -> Autoscale {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, bounds: Autoscale) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }
}

/// What one look saw.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    /// How many tasks run or wait.
    demand: usize,
    /// The share of processors in use.
    cpu: f64,
    /// The share of memory that is free.
    memory: f64,
    /// The share of tasks that failed lately.
    errors: f64,
}

/// What the last looks saw, and what follows from it.
#[derive(Debug)]
struct Scaler {
    interval: Duration,
    max_error_rate: f64,
    max_cpu: f64,
    /// How much was needed at each look of the last interval.
    demands: VecDeque<(Instant, usize)>,
    /// Since when the slots are watched; a change begins anew.
    since: Instant,
    held_up: Option<&'static str>,
}

impl Scaler {
    fn new(interval: Duration, max_error_rate: f64, max_cpu: f64) -> Self {
        Self { interval, max_error_rate, max_cpu, demands: VecDeque::new(), since: Instant::now(), held_up: None }
    }

    /// How many slots there should be now.
    fn size(&mut self, slots: usize, bounds: Autoscale, seen: Seen) -> usize {
        let now = Instant::now();
        self.demands.push_back((now, seen.demand));
        while self.demands.front().is_some_and(|(at, _)| now - *at > self.interval) {
            self.demands.pop_front();
        }
        let (min, max) = (bounds.min.max(1), bounds.max.max(1));
        let wanted = seen.demand.clamp(min, max);
        let size = if slots > max || slots < min {
            slots.clamp(min, max)
        } else if wanted > slots {
            self.grow(slots, wanted, seen)
        } else if now - self.since >= self.interval {
            let needed = self.demands.iter().map(|(_, demand)| *demand).max().unwrap_or(0);
            slots.min(needed.clamp(min, max))
        } else {
            slots
        };
        if size != slots {
            self.since = now;
        }
        size
    }

    fn grow(&mut self, slots: usize, wanted: usize, seen: Seen) -> usize {
        let why = match seen {
            Seen { errors, .. } if errors > self.max_error_rate => Some("too many tasks fail"),
            Seen { cpu, .. } if cpu > self.max_cpu => Some("its processors are busy"),
            Seen { memory, .. } if memory < SCARCE => Some("memory is scarce"),
            _ => None,
        };
        if let Some(why) = why
            && self.held_up != Some(why)
        {
            tracing::warn!(demand = seen.demand, slots, "The pool does not grow: {why}.");
        }
        self.held_up = why;
        if why.is_some() { slots } else { wanted.min(slots * 2) }
    }
}

/// Sizes the pool until `stop`.
pub(super) async fn scale(shared: Arc<Shared>, bounds: Arc<Bounds>, stop: CancellationToken) {
    let settings = &shared.app.settings().celeriac;
    let interval = settings.autoscaling_interval.duration();
    let mut scaler = Scaler::new(interval, settings.max_error_rate, settings.autoscale_cpu_limit);
    let mut load = Load::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(LOOK) => {}
        }
        // What cannot be seen now, because the broker is away, changes nothing.
        if let Ok(demand) = demand(&shared).await {
            let errors = shared.state.requests.error_rate();
            let seen = Seen { demand, cpu: load.cpu(shared.window.children()).await, memory: load.memory().await, errors };
            let slots = shared.window.slots.size();
            let size = scaler.size(slots, bounds.get(), seen);
            match size.cmp(&slots) {
                std::cmp::Ordering::Equal => continue,
                std::cmp::Ordering::Greater => tracing::info!(slots = size, demand, "Scaling up {} processes.", size - slots),
                std::cmp::Ordering::Less => tracing::info!(slots = size, demand, "Scaling down {} processes.", slots - size),
            }
            shared.announcer.scaled(if size > slots { "up" } else { "down" });
            shared.window.resize(size);
        }
    }
}

/// How many tasks run here or wait in the queues.
async fn demand(shared: &Shared) -> Result<usize> {
    let queues = shared.state.queues.borrow().clone();
    let waiting = try_join_all(queues.iter().map(|queue| shared.app.broker().queue_len(queue))).await?;
    Ok(waiting.iter().sum::<usize>() + shared.state.requests.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Autoscale = Autoscale { max: 8, min: 2 };
    const IDLE: Seen = Seen { demand: 0, cpu: 0.1, memory: 0.5, errors: 0.0 };

    /// The sizes at a look a second.
    async fn sizes(scaler: &mut Scaler, mut slots: usize, demands: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut sizes = Vec::new();
        for demand in demands {
            slots = scaler.size(slots, BOUNDS, Seen { demand, ..IDLE });
            sizes.push(slots);
            tokio::time::advance(LOOK).await;
        }
        sizes
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_at_once_and_shrinks_after_a_lull_to_what_was_needed() {
        let mut scaler = Scaler::new(Duration::from_secs(10), 0.1, 0.9);
        assert_eq!(sizes(&mut scaler, 2, [100, 100, 100]).await, [4, 8, 8]);
        assert_eq!(sizes(&mut scaler, 8, [5; 13]).await[8..], [8, 8, 5, 5, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn waves_of_work_do_not_make_it_flap() {
        let mut scaler = Scaler::new(Duration::from_secs(10), 0.1, 0.9);
        let waves = (0..100).map(|second| if second % 6 < 3 { 20 } else { 0 });
        let sizes = sizes(&mut scaler, 2, waves).await;
        assert!(sizes[2..].iter().all(|size| *size == 8), "{sizes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_load_hold_growth_up_and_new_bounds_count_at_once() {
        let mut scaler = Scaler::new(Duration::from_secs(10), 0.1, 0.9);
        let much = Seen { demand: 100, ..IDLE };
        for held_up in [Seen { errors: 0.2, ..much }, Seen { cpu: 0.95, ..much }, Seen { memory: 0.05, ..much }] {
            assert_eq!(scaler.size(2, BOUNDS, held_up), 2);
        }
        assert_eq!(scaler.size(2, BOUNDS, much), 4);
        assert_eq!(scaler.size(8, Autoscale { max: 3, min: 0 }, much), 3);
        assert_eq!(scaler.size(2, Autoscale { max: 9, min: 6 }, IDLE), 6);
    }
}
