//! Waiting for results: everybody who waits shares one connection's subscriptions.
//!
//! # Celery
//! `backends/redis.py`, `ResultConsumer`: SUBSCRIBE first, then GET, then the messages. Difference: a slow GET besides, for a message
//! that was lost with its connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::connection::{Link, command};
use crate::error::{Error, Result};

/// How long a wait trusts its subscription.
const SAFETY: Duration = Duration::from_secs(5);
/// How many messages a channel holds for who is slow; who misses some reads the key.
const BACKLOG: usize = 16;

/// `None` says that messages may have been missed.
type Announced = Option<Arc<[u8]>>;

/// Who waits for which channel.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    channels: Mutex<HashMap<String, broadcast::Sender<Announced>>>,
    /// Held over each (UN)SUBSCRIBE with its change of `channels`, so that they happen in the same order.
    order: tokio::sync::Mutex<()>,
}

impl Subscriptions {
    /// Takes what the server sends unasked.
    pub(super) fn receive(&self, push: PushInfo) {
        match (push.kind, push.data.as_slice()) {
            (PushKind::Disconnection, _) => self.lock().values().for_each(|channel| drop(channel.send(None))),
            (PushKind::Message, [Value::BulkString(channel), Value::BulkString(value), ..]) => {
                let channels = self.lock();
                if let Some(channel) = std::str::from_utf8(channel).ok().and_then(|channel| channels.get(channel)) {
                    drop(channel.send(Some(value.as_slice().into())));
                }
            }
            _ => {}
        }
    }

    /// Waits without end for a value that satisfies `done`. May be dropped at any time.
    pub(super) async fn wait(
        &self,
        link: &Link,
        key: &str,
        done: &(dyn for<'a> Fn(&'a [u8]) -> bool + Send + Sync),
    ) -> Result<Vec<u8>> {
        let mut messages = self.enter(key);
        let answer = loop {
            match self.attend(link, key, &mut messages, done).await {
                Ok(Some(value)) => break Ok(value),
                // Messages may have been missed: subscribe and read again.
                Ok(None) => {}
                Err(lost) if lost.is_transient() => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(refused) => break Err(refused),
            }
        };
        drop(messages);
        self.sweep(link).await;
        answer
    }

    async fn attend(
        &self,
        link: &Link,
        key: &str,
        messages: &mut broadcast::Receiver<Announced>,
        done: &(dyn for<'a> Fn(&'a [u8]) -> bool + Send + Sync),
    ) -> Result<Option<Vec<u8>>> {
        {
            let _order = self.order.lock().await;
            link.subscribe(key).await?;
        }
        let stored: Option<Vec<u8>> = link.query("reading a result", &command("GET", &[key])).await?;
        if let Some(value) = stored.filter(|value| done(value)) {
            return Ok(Some(value));
        }
        loop {
            match tokio::time::timeout(SAFETY, messages.recv()).await {
                Ok(Ok(Some(value))) if done(&value) => return Ok(Some(value.to_vec())),
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None) | Err(RecvError::Lagged(_))) | Err(_) => return Ok(None),
                Ok(Err(RecvError::Closed)) => return Err(Error::Shutdown),
            }
        }
    }

    fn enter(&self, key: &str) -> broadcast::Receiver<Announced> {
        match self.lock().entry(key.to_owned()) {
            Entry::Occupied(channel) => channel.get().subscribe(),
            Entry::Vacant(place) => {
                let (sender, messages) = broadcast::channel(BACKLOG);
                place.insert(sender);
                messages
            }
        }
    }

    /// Gives up the channels nobody waits for any more; those of dropped waits too.
    async fn sweep(&self, link: &Link) {
        let _order = self.order.lock().await;
        let left: Vec<String> = {
            let mut channels = self.lock();
            let left = channels.iter().filter(|(_, channel)| channel.receiver_count() == 0).map(|(key, _)| key.clone()).collect();
            channels.retain(|_, channel| channel.receiver_count() > 0);
            left
        };
        if !left.is_empty() {
            // If this fails the connection is gone, and the subscriptions with it.
            drop(link.unsubscribe(&left).await);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<Announced>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
