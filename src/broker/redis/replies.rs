//! Reading a queue of replies: the server is asked to wait, and what it hands over is gone from the queue.
//!
//! # Celery
//! kombu's consumer of the reply queue, which has no acks either (`no_ack`). Difference: a connection for each reader.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::broker::Listener;
use crate::connection::{Link, command};
use crate::error::Result;

/// Seconds that the server waits in one call: shorter than the deadline of any answer.
const WAIT: &str = "5";
/// How long a server that is away for the moment is left alone.
const PAUSE: Duration = Duration::from_millis(100);

/// One reader.
#[derive(Debug)]
pub(super) struct RedisReplies {
    link: Link,
    /// The lists of the queue, one a priority step.
    lists: Vec<String>,
}

impl RedisReplies {
    /// A reader over a connection of its own to the same server.
    pub(super) fn new(link: &Link, lists: Vec<String>) -> Result<Self> {
        Ok(Self { link: link.sibling(None), lists })
    }
}

#[async_trait]
impl Listener for RedisReplies {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut read = command("BRPOP", &[]);
        read.arg(&self.lists).arg(WAIT);
        loop {
            match self.link.query::<Option<(String, Vec<u8>)>>("waiting for replies", &read).await {
                Ok(Some((_, envelope))) => return Ok(Some(envelope.into())),
                Ok(None) => {}
                Err(lost) if lost.is_transient() => tokio::time::sleep(PAUSE).await,
                Err(refused) => return Err(refused),
            }
        }
    }
}
