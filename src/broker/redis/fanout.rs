//! Listening to a fanout exchange: a pattern subscription that is made again on every new connection.
//!
//! # Celery
//! kombu's `_subscribe` and `_receive`: PSUBSCRIBE, with `*` for `#`. Difference: a connection for each listener, so that a full
//! stream of one never holds up another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{Notify, mpsc};

use crate::broker::Listener;
use crate::connection::Link;
use crate::error::Result;

/// How many envelopes may wait to be read; more are lost, as pub/sub may lose them anyway.
const WAITING: usize = 8192;
/// How long a server that refuses for the moment is left alone.
const PAUSE: Duration = Duration::from_millis(100);

/// One subscription.
#[derive(Debug)]
pub(super) struct RedisListener {
    link: Link,
    pattern: String,
    heard: mpsc::Receiver<Heard>,
    /// The connection on which the subscription was made.
    subscribed: Option<u64>,
    resumed: Arc<Notify>,
}

#[derive(Debug)]
enum Heard {
    Envelope(Vec<u8>),
    Broken,
}

impl RedisListener {
    /// A subscription over a connection of its own to the same server.
    pub(super) async fn open(link: &Link, channel: &str) -> Result<Self> {
        let (sender, heard) = mpsc::channel(WAITING);
        let forward = move |push: PushInfo| {
            let heard = match (push.kind, push.data.into_iter().nth(2)) {
                (PushKind::PMessage, Some(Value::BulkString(envelope))) => Heard::Envelope(envelope),
                (PushKind::Disconnection, _) => Heard::Broken,
                _ => return,
            };
            drop(sender.try_send(heard));
        };
        let link = link.sibling(Some(Arc::new(forward)));
        let mut listener = Self { link, pattern: channel.replace('#', "*"), heard, subscribed: None, resumed: Arc::default() };
        listener.subscribe().await?;
        Ok(listener)
    }

    async fn subscribe(&mut self) -> Result<()> {
        let live = self.link.get().await?;
        if self.subscribed != Some(live.generation) {
            live.psubscribe(&self.pattern).await?;
            if self.subscribed.replace(live.generation).is_some() {
                self.resumed.notify_one();
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Listener for RedisListener {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.subscribe().await {
                Ok(()) => {}
                Err(lost) if lost.is_transient() => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(refused) => return Err(refused),
            }
            match self.heard.recv().await {
                Some(Heard::Envelope(envelope)) => return Ok(Some(envelope.into())),
                Some(Heard::Broken) => {}
                None => return Ok(None),
            }
        }
    }

    fn resumed(&self) -> Arc<Notify> {
        Arc::clone(&self.resumed)
    }
}
