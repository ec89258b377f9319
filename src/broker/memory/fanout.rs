//! Fanout and direct exchanges in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::broker::Listener;
use crate::error::Result;

/// How many envelopes may wait to be read by one listener; more are lost, as on a server.
const WAITING: usize = 8192;

/// Who listens, and what is bound.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    listeners: Vec<(String, mpsc::Sender<Bytes>)>,
    /// Exchange, routing key, queue.
    bindings: BTreeSet<(String, String, String)>,
}

impl Exchanges {
    pub(super) fn broadcast(&mut self, exchange: &str, routing_key: &str, envelope: &str) {
        let (channel, envelope) = (channel(exchange, routing_key), Bytes::from(envelope.to_owned()));
        self.listeners.retain(|(_, listener)| !listener.is_closed());
        let fitting = self.listeners.iter().filter(|(pattern, _)| matches(pattern, &channel));
        fitting.for_each(|(_, listener)| drop(listener.try_send(envelope.clone())));
    }

    pub(super) fn listen(&mut self, exchange: &str, routing_key: &str) -> MemoryListener {
        let (sender, heard) = mpsc::channel(WAITING);
        self.listeners.push((channel(exchange, routing_key), sender));
        MemoryListener { heard }
    }

    pub(super) fn bind(&mut self, exchange: &str, routing_key: &str, queue: &str) {
        self.bindings.insert(binding(exchange, routing_key, queue));
    }

    pub(super) fn unbind(&mut self, exchange: &str, routing_key: &str, queue: &str) {
        self.bindings.remove(&binding(exchange, routing_key, queue));
    }

    /// The queues bound to a direct exchange under this routing key.
    pub(super) fn bound(&self, exchange: &str, routing_key: &str) -> Vec<String> {
        let fitting = self.bindings.iter().filter(|(to, key, _)| to == exchange && key == routing_key);
        fitting.map(|(_, _, queue)| queue.clone()).collect()
    }
}

fn binding(exchange: &str, routing_key: &str, queue: &str) -> (String, String, String) {
    (exchange.to_owned(), routing_key.to_owned(), queue.to_owned())
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
