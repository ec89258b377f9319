//! Fanout and direct exchanges in memory.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::MemoryBroker;
use crate::broker::{Listener, Queue};
use crate::error::Result;

/// How many envelopes may wait to be read by one listener; more are lost, as on a server.
const WAITING: usize = 8192;

/// Who listens, and what is bound.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    listeners: Vec<(String, mpsc::Sender<Bytes>)>,
    /// Each with when it is forgotten, if it is.
    bindings: Vec<(Queue, Option<Instant>)>,
}

/// How long a binding is kept at least, as in Redis.
const LEAST: Duration = Duration::from_secs(3600);

impl Exchanges {
    /// How many listen.
    pub(super) fn broadcast(&mut self, exchange: &str, routing_key: &str, envelope: &str) -> usize {
        let (channel, envelope) = (channel(exchange, routing_key), Bytes::from(envelope.to_owned()));
        self.listeners.retain(|(_, listener)| !listener.is_closed());
        let fitting = self.listeners.iter().filter(|(pattern, _)| matches(pattern, &channel));
        fitting.map(|(_, listener)| drop(listener.try_send(envelope.clone()))).count()
    }

    pub(super) fn listen(&mut self, exchange: &str, routing_key: &str) -> MemoryListener {
        let (sender, heard) = mpsc::channel(WAITING);
        self.listeners.push((channel(exchange, routing_key), sender));
        MemoryListener { heard }
    }

    /// Binds a queue: one that expires, or one that stays.
    pub(super) fn bind(&mut self, queue: Queue, expires: Option<Duration>) {
        self.unbind(&queue);
        self.bindings.push((queue, expires.map(|expires| Instant::now() + expires.saturating_mul(2).max(LEAST))));
    }

    pub(super) fn unbind(&mut self, queue: &Queue) {
        self.bindings.retain(|(bound, _)| bound != queue);
    }

    /// How many are forgotten, because their time is over.
    pub(super) fn forget(&mut self) -> usize {
        let (now, before) = (Instant::now(), self.bindings.len());
        self.bindings.retain(|(_, until)| until.is_none_or(|until| until > now));
        before - self.bindings.len()
    }

    fn all(&self) -> impl Iterator<Item = &Queue> {
        self.bindings.iter().map(|(queue, _)| queue)
    }

    /// What is bound to an exchange, by queue.
    pub(super) fn bindings(&self, exchange: &str) -> Vec<Queue> {
        let mut found: Vec<Queue> = self.all().filter(|queue| queue.exchange == exchange).cloned().collect();
        found.sort_by(|a, b| (&a.name, &a.routing_key).cmp(&(&b.name, &b.routing_key)));
        found
    }

    /// The queues that a message to this exchange goes to.
    pub(super) fn bound(&self, exchange: &str, routing_key: &str) -> Vec<String> {
        let fitting = self.all().filter(|queue| queue.exchange == exchange && queue.takes(routing_key));
        fitting.map(|queue| queue.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// A queue bound to a direct exchange.
pub(super) fn binding(exchange: &str, routing_key: &str, queue: &str) -> Queue {
    Queue { exchange: exchange.to_owned(), routing_key: routing_key.to_owned(), ..Queue::named(queue) }
}

fn channel(exchange: &str, routing_key: &str) -> String {
    if routing_key.is_empty() { exchange.to_owned() } else { format!("{exchange}/{routing_key}") }
}

/// Whether a channel fits a pattern, in which one `#` stands for anything.
fn matches(pattern: &str, channel: &str) -> bool {
    match pattern.split_once('#') {
        Some((head, tail)) => channel.strip_prefix(head).is_some_and(|rest| rest.ends_with(tail)),
        None => pattern == channel,
    }
}

/// One listener.
#[derive(Debug)]
pub(super) struct MemoryListener {
    heard: mpsc::Receiver<Bytes>,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.heard.recv().await)
    }
}

/// One reader of a queue of replies.
#[derive(Debug)]
pub(super) struct MemoryReplies {
    broker: MemoryBroker,
    queue: String,
}

impl MemoryReplies {
    pub(super) fn new(broker: MemoryBroker, queue: &str) -> Self {
        Self { broker, queue: queue.to_owned() }
    }
}

#[async_trait]
impl Listener for MemoryReplies {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            // Made before the look, so that what arrives in between wakes it.
            let arrival = self.broker.arrived.notified();
            if let Some(envelope) = self.broker.lock().pop(&self.queue) {
                return Ok(Some(envelope));
            }
            arrival.await;
        }
    }
}
