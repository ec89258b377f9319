//! The requests a worker holds, and how far each has come.
//!
//! A request is kept as its envelope, which costs nothing until somebody asks to see it.
//!
//! # Celery
//! `requests`, `reserved_requests`, `active_requests`, `scheduled_requests` and `total_count` of `worker/state.py`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::task::context::Stops;
use crate::task::outcome::Outcome;

/// SIGUSR1, by which Celery's operators raise the soft time limit of a task.
const SOFT: i64 = 10;

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Phase {
    /// It waits for its ETA.
    Scheduled,
    /// It waits for a slot.
    Reserved,
    /// It runs.
    Active,
}

/// A request as it is held.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Held {
    pub(in crate::worker) id: String,
    pub(in crate::worker) envelope: Bytes,
    pub(in crate::worker) phase: Phase,
    /// When its run began.
    pub(in crate::worker) time_start: Option<DateTime<Utc>>,
    pub(in crate::worker) acknowledged: bool,
    stop: Arc<Stop>,
}

/// How a running request is told to end.
#[derive(Debug, Default)]
struct Stop {
    told: CancellationToken,
    signum: OnceLock<i64>,
    /// What its code can see of it.
    stops: Stops,
}

/// All requests a worker holds, in the order they were received.
#[derive(Debug, Default)]
pub(in crate::worker) struct Requests {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: BTreeMap<u64, Held>,
    received: u64,
    totals: BTreeMap<String, u64>,
    recent: Recent,
    ended: Ended,
}

/// What has ended since the worker was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::worker) struct Ended {
    /// Runs, however they ended.
    pub(in crate::worker) runs: u64,
    /// Those that failed for good.
    pub(in crate::worker) failures: u64,
    /// Those that are to be run again.
    pub(in crate::worker) retries: u64,
    /// How long all runs took together.
    pub(in crate::worker) runtime: Duration,
}

impl Ended {
    /// What has ended since this was so.
    pub(in crate::worker) fn since(self, before: Self) -> Self {
        Self {
            runs: self.runs - before.runs,
            failures: self.failures - before.failures,
            retries: self.retries - before.retries,
            runtime: self.runtime.saturating_sub(before.runtime),
        }
    }
}

/// How runs ended lately; older ones count less and less.
#[derive(Debug, Default)]
struct Recent {
    runs: f64,
    failures: f64,
    /// When that was last brought up to date.
    at: Option<Instant>,
}

impl Recent {
    /// After so long a run counts half.
    const HALF: f64 = 20.0;
    /// Fewer say nothing.
    const FEW: f64 = 5.0;

    fn age(&mut self) {
        let now = Instant::now();
        let passed = self.at.replace(now).map_or(0.0, |at| (now - at).as_secs_f64());
        let left = 0.5_f64.powf(passed / Self::HALF);
        self.runs *= left;
        self.failures *= left;
    }
}

impl Requests {
    /// Holds a request until the answer is dropped.
    pub(in crate::worker) fn receive(self: &Arc<Self>, id: &str, envelope: &Bytes, phase: Phase) -> Tracked {
        let stop = Arc::<Stop>::default();
        let held = Held {
            id: id.to_owned(),
            envelope: envelope.clone(),
            phase,
            time_start: None,
            acknowledged: false,
            stop: Arc::clone(&stop),
        };
        let mut state = self.lock();
        state.received += 1;
        let number = state.received;
        state.held.insert(number, held);
        Tracked { requests: Arc::clone(self), number, stop }
    }

    /// All that are held, first received first.
    pub(in crate::worker) fn all(&self) -> Vec<Held> {
        self.lock().held.values().cloned().collect()
    }

    /// How many run.
    pub(in crate::worker) fn active(&self) -> usize {
        self.lock().held.values().filter(|held| held.phase == Phase::Active).count()
    }

    /// How many have begun, by the task's name.
    pub(in crate::worker) fn totals(&self) -> BTreeMap<String, u64> {
        self.lock().totals.clone()
    }

    /// How many are held.
    pub(in crate::worker) fn len(&self) -> usize {
        self.lock().held.len()
    }

    /// A run has ended so, after so long.
    pub(in crate::worker) fn ended(&self, outcome: &Outcome, runtime: Duration) {
        let failed = matches!(outcome, Outcome::Failure(_) | Outcome::Lost(_));
        let State { recent, ended, .. } = &mut *self.lock();
        recent.age();
        recent.runs += 1.0;
        recent.failures += if failed { 1.0 } else { 0.0 };
        ended.runs += 1;
        ended.failures += u64::from(failed);
        ended.retries += u64::from(matches!(outcome, Outcome::Retry(_)));
        ended.runtime += runtime;
    }

    /// What has ended so far.
    pub(in crate::worker) fn ended_so_far(&self) -> Ended {
        self.lock().ended
    }

    /// The share of the last runs that failed.
    pub(in crate::worker) fn error_rate(&self) -> f64 {
        let recent = &mut self.lock().recent;
        recent.age();
        if recent.runs < Recent::FEW { 0.0 } else { recent.failures / recent.runs }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Tells it to end, now or as soon as it begins, as if by this signal; SIGUSR1 raises the soft time limit of one that runs.
    pub(in crate::worker) fn terminate(&self, signum: i64) {
        if signum == SOFT && self.phase == Phase::Active {
            self.stop.stops.soft_limit.cancel();
            return;
        }
        // The first signal is the one that ended it.
        let _ = self.stop.signum.set(signum);
        self.stop.told.cancel();
    }
}

/// A request's own place among those that are held; dropped, it is gone.
#[derive(Debug)]
pub(in crate::worker) struct Tracked {
    requests: Arc<Requests>,
    number: u64,
    stop: Arc<Stop>,
}

impl Tracked {
    /// Its ETA has come.
    pub(in crate::worker) fn reserved(&self) {
        self.change(|held| held.phase = Phase::Reserved);
    }

    /// Its run begins.
    pub(in crate::worker) fn accepted(&self, task: &str, acknowledged: bool) {
        self.change(|held| {
            held.phase = Phase::Active;
            held.time_start = Some(Utc::now());
            held.acknowledged = acknowledged;
        });
        *self.requests.lock().totals.entry(task.to_owned()).or_default() += 1;
    }

    /// What its code can see of being told to end.
    pub(in crate::worker) fn stops(&self) -> &Stops {
        &self.stop.stops
    }

    /// The signal it was terminated with, if it was.
    pub(in crate::worker) fn signum(&self) -> Option<i64> {
        self.stop.signum.get().copied()
    }

    /// Ends when it is terminated.
    pub(in crate::worker) async fn terminated(&self) {
        self.stop.told.cancelled().await;
    }

    fn change(&self, act: impl FnOnce(&mut Held)) {
        if let Some(held) = self.requests.lock().held.get_mut(&self.number) {
            act(held);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.requests.lock().held.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_held_until_it_is_dropped_and_counted_when_it_begins() {
        let requests = Arc::<Requests>::default();
        let first = requests.receive("1", &Bytes::new(), Phase::Reserved);
        let second = requests.receive("2", &Bytes::new(), Phase::Scheduled);
        first.accepted("t", true);
        let shown: Vec<_> = requests.all().into_iter().map(|held| (held.id, held.phase, held.acknowledged)).collect();
        assert_eq!(shown, [("1".to_owned(), Phase::Active, true), ("2".to_owned(), Phase::Scheduled, false)]);
        assert_eq!(requests.active(), 1);
        drop(first);
        assert_eq!((requests.all().len(), requests.active()), (1, 0));
        drop(second);
        assert_eq!(requests.totals().into_iter().collect::<Vec<_>>(), [("t".to_owned(), 1)]);
    }

    #[tokio::test]
    async fn a_terminated_request_knows_its_first_signal() {
        let requests = Arc::<Requests>::default();
        let request = requests.receive("1", &Bytes::new(), Phase::Reserved);
        assert_eq!(request.signum(), None);
        requests.all().iter().for_each(|held| held.terminate(9));
        requests.all().iter().for_each(|held| held.terminate(15));
        request.terminated().await;
        assert_eq!(request.signum(), Some(9));
    }

    #[test]
    fn sigusr1_raises_the_soft_limit_of_what_runs() {
        let requests = Arc::<Requests>::default();
        let (running, waiting) = (receive(&requests, "1"), receive(&requests, "2"));
        running.accepted("t", false);
        requests.all().iter().for_each(|held| held.terminate(SOFT));
        assert!(running.stops().soft_limit.is_cancelled() && running.signum().is_none());
        assert_eq!(waiting.signum(), Some(SOFT), "it ends as it begins");
    }

    fn receive(requests: &Arc<Requests>, id: &str) -> Tracked {
        requests.receive(id, &Bytes::new(), Phase::Reserved)
    }
}
