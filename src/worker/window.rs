//! The window is responsible for how much a worker takes on: how many tasks run at once, and how many messages are held beside them.
//!
//! A message that is held and not run is one an idle neighbour cannot have. So a worker fetches only what it has a free slot for, and
//! holds more, up to `worker_prefetch_multiplier` for each slot, only while its tasks are so short that fetching one by one would be
//! what costs. A message that waits for a slot longer than [`PATIENCE`] goes back to the head of its queue.
//!
//! # Celery
//! `worker_prefetch_multiplier` and the pool's size. Differences: the multiplier is a bound and not what is always held, so that long
//! tasks need no setting of their own; a slot that is taken away while it is in use goes when it is free.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::pool::ChildPool;

/// How long a message may wait for a slot before it is offered to others: with the way back and to another it is 50 ms.
pub(super) const PATIENCE: Duration = Duration::from_millis(40);
/// Runs shorter than this are worth holding messages for.
const SHORT: Duration = Duration::from_millis(10);
/// No more messages are held than can begin within this.
const SOON: Duration = Duration::from_millis(25);
/// The bound where the multiplier is 0, which is none.
const MOST: usize = 10_000;

/// Permits whose number can be changed while they are in use.
#[derive(Debug)]
pub(super) struct Permits {
    free: Arc<Semaphore>,
    size: AtomicUsize,
    /// How many of those in use are to vanish when they are given back.
    owed: AtomicUsize,
    /// Told when there are fewer.
    shrunk: Notify,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    of: Arc<Permits>,
}

impl Permits {
    fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(size)),
            size: AtomicUsize::new(size),
            owed: AtomicUsize::new(0),
            shrunk: Notify::new(),
        })
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// How many are not in use.
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Waits for one.
    pub(super) async fn acquire(self: &Arc<Self>) -> Option<Permit> {
        Some(self.permit(Arc::clone(&self.free).acquire_owned().await.ok()?))
    }

    /// Waits for `least`, or for all where there are fewer by now, and takes as many more as are free, up to `most`.
    pub(super) async fn acquire_some(self: &Arc<Self>, least: usize, most: usize) -> Option<Vec<Permit>> {
        let mut first = loop {
            // Made before the look at the size, so that a change in between wakes it.
            let shrunk = self.shrunk.notified();
            let wanted = u32::try_from(least.min(self.size()).max(1)).ok()?;
            tokio::select! {
                biased;
                first = Arc::clone(&self.free).acquire_many_owned(wanted) => break first.ok()?,
                () = shrunk => {}
            }
        };
        let mut permits: Vec<Permit> = std::iter::from_fn(|| first.split(1)).map(|permit| self.permit(permit)).collect();
        while permits.len() < most
            && let Ok(permit) = Arc::clone(&self.free).try_acquire_owned()
        {
            permits.push(self.permit(permit));
        }
        Some(permits)
    }

    /// Changes how many there are.
    fn resize(&self, size: usize) {
        let before = self.size.swap(size, Relaxed);
        if size >= before {
            let paid = self.pay(size - before);
            self.free.add_permits(size - before - paid);
        } else {
            let fewer = before - size;
            let gone = self.free.forget_permits(fewer);
            self.owed.fetch_add(fewer - gone, Relaxed);
            self.shrunk.notify_waiters();
        }
    }

    /// Takes up to `most` off what is owed; how many that were.
    fn pay(&self, most: usize) -> usize {
        let before = self.owed.fetch_update(Relaxed, Relaxed, |owed| Some(owed.saturating_sub(most))).unwrap_or(0);
        before.min(most)
    }

    fn permit(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Permit {
        Permit { permit: Some(permit), of: Arc::clone(self) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.of.pay(1) > 0
        {
            permit.forget();
        }
    }
}

/// Both numbers.
#[derive(Debug)]
pub(super) struct Window {
    /// One for each task that runs.
    pub(super) slots: Arc<Permits>,
    /// One for each run whose slot is free again before its result is stored.
    pub(super) settling: Arc<Permits>,
    /// One for each message that is held.
    pub(super) held: Arc<Permits>,
    multiplier: usize,
    /// There are as many of them as slots, at most.
    children: Option<Arc<ChildPool>>,
}

impl Window {
    /// So many slots; `multiplier` bounds how many messages are held for each, 0 does not.
    pub(super) fn new(slots: usize, multiplier: usize, children: Option<Arc<ChildPool>>) -> Self {
        if let Some(children) = &children {
            children.resize(slots);
        }
        let [slots, settling, held] = std::array::from_fn(|_| Permits::new(slots));
        Self { slots, settling, held, multiplier, children }
    }

    /// Changes the number of slots.
    pub(super) fn resize(&self, slots: usize) {
        self.slots.resize(slots);
        self.settling.resize(slots);
        self.held.resize(slots);
        if let Some(children) = &self.children {
            children.resize(slots);
        }
    }

    /// The children that live.
    pub(super) fn children(&self) -> Option<&ChildPool> {
        self.children.as_deref()
    }

    /// The most messages it would hold.
    pub(super) fn most(&self) -> usize {
        match self.multiplier {
            0 => MOST,
            multiplier => self.slots.size().saturating_mul(multiplier),
        }
    }

    /// How many permits must be free before the next fetch of a queue that had more than was asked for. Fetching one by one costs
    /// several times as much a message; what is still held meanwhile keeps every slot busy.
    pub(super) fn refill(&self) -> usize {
        (self.held.size().saturating_sub(self.slots.size()) / 2).max(1)
    }

    /// Learns from a run that waited for its slot and then took so long: one that was short makes room for one message more.
    pub(super) fn ran(&self, waited: Duration, took: Duration) {
        let held = self.held.size();
        if took < SHORT && waited < SOON && held < self.most() {
            self.held.resize(held + 1);
        }
    }

    /// A message waited in vain: hold no more than can run.
    pub(super) fn waited(&self) {
        self.held.resize(self.slots.size());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(permits: &Arc<Permits>, count: usize) -> Vec<Permit> {
        permits.acquire_some(count, count).await.unwrap()
    }

    #[tokio::test]
    async fn a_permit_in_use_vanishes_when_it_is_given_back_and_growth_saves_it() {
        let permits = Permits::new(4);
        let mut used = take(&permits, 3).await;
        permits.resize(1);
        assert_eq!((permits.free.available_permits(), permits.size()), (0, 1));
        drop(used.pop());
        assert_eq!(permits.free.available_permits(), 0);
        permits.resize(2);
        drop(used);
        assert_eq!(permits.free.available_permits(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_more_than_there_will_ever_be_takes_what_there_is() {
        let permits = Permits::new(8);
        let used = take(&permits, 6).await;
        let mut waiting = std::pin::pin!(permits.acquire_some(6, 64));
        assert!(futures::poll!(&mut waiting).is_pending());
        permits.resize(2);
        drop(used);
        let taken = tokio::time::timeout(Duration::from_secs(1), waiting).await.expect("it waits for ever").unwrap();
        assert_eq!(taken.len(), 2);
        drop(taken);
        assert_eq!((permits.size(), permits.free()), (2, 2));
    }

    #[tokio::test]
    async fn messages_are_held_beside_the_slots_only_while_runs_are_short() {
        let window = Window::new(2, 4, None);
        assert_eq!((window.held.size(), window.most(), window.refill()), (2, 8, 1));
        (0..100).for_each(|_| window.ran(Duration::ZERO, Duration::from_millis(1)));
        assert_eq!((window.held.size(), window.refill()), (8, 3));
        window.waited();
        window.ran(Duration::ZERO, Duration::from_millis(500));
        window.ran(Duration::from_millis(30), Duration::from_millis(1));
        assert_eq!(window.held.size(), 2);
    }

    #[tokio::test]
    async fn a_multiplier_of_one_holds_only_what_runs() {
        let window = Window::new(3, 1, None);
        window.ran(Duration::ZERO, Duration::ZERO);
        assert_eq!(window.held.size(), 3);
        window.resize(5);
        assert_eq!((window.slots.size(), window.held.size()), (5, 5));
    }
}
