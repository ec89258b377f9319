//! A broker in this process's memory: complete, without a server, on tokio's clock (so that tests can pause it).
//!
//! Clones share one broker. [`pair`] makes a broker and a backend that count as one server, so that a settlement is one step.

mod consumer;
mod dead;
mod fanout;
mod kept;
mod state;
mod timetable;
mod turns;
mod unique;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use self::consumer::MemoryConsumer;
use self::fanout::{MemoryReplies, binding};
use self::state::State;
use super::{
    Admitted, Broker, Consumer, ConsumerOptions, Dead, DeadLetter, Delivery, Depth, Kept, KeyTaken, Listener, Options, Parked,
    Queue, RateLimit, Released, Turn, UniqueKey, Vitals, Waiting,
};
use crate::backend::memory::MemoryBackend;
use crate::error::{Error, Result};
use crate::settlement::{ChordState, Disposal, Eviction, Location, Outgoing, Settled, Settlement};

/// A broker and a backend that share a location.
pub fn pair() -> (MemoryBroker, MemoryBackend) {
    let mut broker = MemoryBroker::new(Options::default());
    let results = MemoryBackend::at(broker.location.clone());
    broker.results = Some(results.clone());
    (broker, results)
}

/// The broker. Clones share everything.
#[derive(Debug, Clone)]
pub struct MemoryBroker {
    state: Arc<Mutex<State>>,
    /// Wakes consumers when a queue may have got something.
    arrived: Arc<Notify>,
    options: Arc<Options>,
    location: Location,
    clock: timetable::Clock,
    /// The backend that can be changed in the same step.
    results: Option<MemoryBackend>,
}

impl MemoryBroker {
    /// An empty broker.
    pub fn new(options: Options) -> Self {
        Self {
            state: Arc::default(),
            arrived: Arc::default(),
            options: Arc::new(options),
            location: Location { server: format!("memory:{}", Uuid::new_v4().simple()), db: 0, key_prefix: String::new() },
            clock: timetable::Clock::start(),
            results: None,
        }
    }

    /// How many messages were given up.
    pub fn dead_letters_len(&self) -> usize {
        self.lock().graveyard.letters().len()
    }

    /// How many messages wait for their time.
    pub fn parked_len(&self) -> usize {
        self.lock().parked.len()
    }

    /// How many messages are leased.
    pub fn leased_len(&self) -> usize {
        self.lock().leases.len()
    }

    /// The queues that were declared, by name.
    pub fn declared(&self) -> Vec<String> {
        self.lock().declared.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one thing to the state, then wakes whoever waits for messages.
    fn change<T>(&self, act: impl FnOnce(&mut State, &Options) -> T) -> T {
        let answer = act(&mut self.lock(), &self.options);
        self.arrived.notify_waiters();
        answer
    }

    fn settle_one(&self, settlement: &Settlement, with_results: bool) -> Result<Settled> {
        self.change(|state, options| {
            if settlement.tag.as_ref().is_some_and(|tag| !state.leases.contains_key(tag)) {
                return Ok(Settled::Lost);
            }
            let mut closes = Vec::new();
            if with_results {
                let results = self.results.as_ref().ok_or_else(|| Error::config("this memory broker has no backend of its own"))?;
                let mut results = results.lock();
                let (last, first): (Vec<_>, Vec<_>) = settlement.writes.iter().partition(|write| write.closes().is_some());
                first.into_iter().for_each(|write| results.apply(write));
                match settlement.chord_part.as_ref().map_or(ChordState::Counted, |part| results.chord_part(part)) {
                    ChordState::Counted => {}
                    ChordState::Complete => return Ok(Settled::ChordComplete),
                    ChordState::Busy => return Ok(Settled::ChordBusy),
                }
                if !last.iter().all(|write| results.may_close(write)) {
                    return Ok(Settled::ChordBusy);
                }
                closes = last;
            }
            settlement.publish.iter().for_each(|message| state.push(message, options));
            if let Some(results) = self.results.as_ref().filter(|_| !closes.is_empty()) {
                closes.into_iter().for_each(|write| results.lock().apply(write));
            }
            match (&settlement.disposal, &settlement.tag) {
                (Disposal::Requeue { raise_count }, Some(tag)) => state.requeue(tag, *raise_count, options),
                (Disposal::DeadLetter(dead), _) => state.graveyard.keep((**dead).clone()),
                _ => {}
            }
            if let Some(key) = &settlement.key {
                state.settle_key(key, settlement.tag.is_none());
            }
            if let Some(tag) = &settlement.tag {
                state.leases.remove(tag);
            }
            Ok(Settled::Done)
        })
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn declare(&self, queues: &[Queue]) -> Result<()> {
        self.lock().declare(queues);
        Ok(())
    }

    async fn bindings(&self, exchange: &str) -> Result<Vec<Queue>> {
        Ok(self.lock().exchanges.bindings(exchange))
    }

    async fn bound(&self, exchange: &str, routing_key: &str) -> Result<Vec<String>> {
        Ok(self.lock().exchanges.bound(exchange, routing_key))
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<()> {
        self.change(|state, options| messages.iter().for_each(|message| state.push(message, options)));
        Ok(())
    }

    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(MemoryConsumer::new(self.clone(), options)))
    }

    async fn renew(&self, tags: &[String]) -> Result<Vec<String>> {
        let state = &mut *self.lock();
        let now = Instant::now();
        let mut lost = Vec::new();
        for tag in tags {
            match state.leases.get_mut(tag) {
                Some(lease) => lease.renewed = now,
                None if state.keys.renew(tag, now) => {}
                None => lost.push(tag.clone()),
            }
        }
        Ok(lost)
    }

    async fn put_back(&self, tags: &[String], raise_count: bool) -> Result<usize> {
        Ok(self.change(|state, options| tags.iter().rev().filter(|tag| state.restore(tag, raise_count, options)).count()))
    }

    async fn restore_orphans(&self, lease: Duration) -> Result<usize> {
        Ok(self.change(|state, options| state.restore_orphans(lease, options)))
    }

    async fn run_alone(&self, delivery: &Delivery) -> Result<bool> {
        Ok(self.lock().run_alone(&delivery.tag))
    }

    async fn park(&self, tag: &str, due: DateTime<Utc>) -> Result<bool> {
        let wait = (due - Utc::now()).to_std().unwrap_or_default();
        Ok(self.lock().park(tag, Instant::now() + wait))
    }

    async fn release_due(&self, limit: usize) -> Result<Released> {
        Ok(self.change(|state, options| state.release_due(limit, options)))
    }

    async fn take_turn(&self, delivery: &Delivery, limit: &RateLimit<'_>) -> Result<Turn> {
        Ok(self.change(|state, options| state.take_turn(&delivery.tag, limit, options)))
    }

    async fn admit(&self, limit: &RateLimit<'_>, queues: &[String], most: usize) -> Result<Admitted> {
        Ok(self.change(|state, options| state.admit(limit, queues, most, options)))
    }

    async fn limited(&self) -> Result<Vec<String>> {
        Ok(self.lock().turns.limited())
    }

    async fn take_key(&self, tag: &str, key: &UniqueKey<'_>) -> Result<KeyTaken> {
        Ok(self.lock().take_key(tag, key))
    }

    async fn dead_letter(&self, tag: &str, letter: &DeadLetter) -> Result<bool> {
        Ok(self.lock().bury(tag, letter))
    }

    async fn dead_letter_ids(&self, min_age: Duration, max_age: Option<Duration>) -> Result<Vec<String>> {
        Ok(self.lock().graveyard.ids(min_age, max_age))
    }

    async fn dead_letters(&self, ids: &[String]) -> Result<Vec<Dead>> {
        let state = self.lock();
        Ok(ids.iter().filter_map(|id| state.graveyard.find(id).cloned()).collect())
    }

    async fn requeue_dead_letters(&self, ids: &[String]) -> Result<Vec<String>> {
        Ok(self.change(|state, options| ids.iter().filter(|id| state.revive(id, options)).cloned().collect()))
    }

    async fn discard_dead_letters(&self, ids: &[String]) -> Result<usize> {
        let mut state = self.lock();
        Ok(ids.iter().filter(|id| state.graveyard.discard(id)).count())
    }

    async fn trim_dead_letters(&self, older: Option<Duration>, most: usize) -> Result<usize> {
        Ok(self.lock().graveyard.trim(older, most))
    }

    async fn settle(&self, settlements: &[Settlement], backend: Option<&Location>) -> Vec<Result<Settled>> {
        if backend.is_some_and(|backend| *backend != self.location) {
            let refuse = || Err(Error::config("the backend is not on this memory broker"));
            return settlements.iter().map(|_| refuse()).collect();
        }
        settlements.iter().map(|settlement| self.settle_one(settlement, backend.is_some())).collect()
    }

    async fn parked(&self, queues: &[String], limit: usize) -> Result<Vec<Parked>> {
        Ok(self.lock().parked_of(queues, limit))
    }

    async fn broadcast(&self, exchange: &str, routing_key: &str, envelope: &str) -> Result<usize> {
        Ok(self.lock().exchanges.broadcast(exchange, routing_key, envelope))
    }

    async fn listen(&self, exchange: &str, routing_key: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(self.lock().exchanges.listen(exchange, routing_key)))
    }

    async fn reply(&self, exchange: &str, routing_key: &str, envelope: &str, expires: Duration) -> Result<usize> {
        Ok(self.change(|state, options| state.reply((exchange, routing_key), envelope, expires, options)))
    }

    async fn bind(&self, exchange: &str, routing_key: &str, queue: &str, expires: Duration) -> Result<()> {
        self.lock().exchanges.bind(binding(exchange, routing_key, queue), Some(expires));
        Ok(())
    }

    async fn forget_bindings(&self) -> Result<usize> {
        Ok(self.lock().exchanges.forget())
    }

    async fn replies(&self, queue: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(MemoryReplies::new(self.clone(), queue)))
    }

    async fn unbind(&self, exchange: &str, routing_key: &str, queue: &str) -> Result<()> {
        let mut state = self.lock();
        state.exchanges.unbind(&binding(exchange, routing_key, queue));
        state.purge(queue);
        Ok(())
    }

    async fn keep(&self, set: &str, texts: &[String], expires: Duration, most: usize) -> Result<()> {
        self.lock().sets.keep(set, texts, expires, most);
        Ok(())
    }

    async fn kept(&self, set: &str, since: u64, expires: Duration, most: usize) -> Result<Kept> {
        Ok(self.lock().sets.kept(set, since, expires, most))
    }

    async fn queue_len(&self, queue: &str) -> Result<usize> {
        Ok(self.lock().queue_len(queue))
    }

    async fn by_priority(&self, queue: &str) -> Result<Vec<(u8, usize)>> {
        let lengths = self.lock().lengths(queue);
        let lengths = lengths.into_iter().chain(std::iter::repeat(0));
        Ok(self.options.priority_steps.iter().copied().zip(lengths).collect())
    }

    async fn depth(&self, queue: &str) -> Result<Depth> {
        Ok(self.lock().depth(queue))
    }

    async fn waiting(&self, queue: &str) -> Result<Vec<Waiting>> {
        Ok(self.lock().waiting(queue, &self.options))
    }

    async fn vitals(&self) -> Result<Vitals> {
        Ok(Vitals { dead_letters: self.lock().graveyard.letters().len(), ..Vitals::default() })
    }

    async fn purge(&self, queue: &str) -> Result<usize> {
        Ok(self.lock().purge(queue))
    }

    async fn eviction(&self) -> Result<Option<Eviction>> {
        Ok(None)
    }

    async fn location(&self) -> Result<Location> {
        Ok(self.location.clone())
    }

    fn sibling(&self) -> Result<Arc<dyn Broker>> {
        Ok(Arc::new(self.clone()))
    }
}
