//! The Redis consumer: fetches by script, and waits without removing anything.
//!
//! # Celery
//! kombu waits in BRPOP and writes `unacked` afterwards; here a watch tells that a list changed, and pop and lease are one step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{PushInfo, Value};
use tokio::sync::mpsc;

use super::Shared;
use super::keys::entry_end;
use super::waiting::Waiting;
use crate::broker::rotation::{Place, Rotation};
use crate::broker::tag::Tags;
use crate::broker::{Consumer, ConsumerOptions, DeadLetter, Delivery, envelope};
use crate::connection::{Link, Live, command};
use crate::error::{Error, Result};

/// What one script call may bring: `unpack` in Lua holds fewer than 8,000 values.
const MOST: usize = 1000;

#[derive(Debug)]
pub(super) struct RedisConsumer {
    shared: Arc<Shared>,
    /// Our own connection: tracking is on, and no large reply of a fetch stands in front of an ack.
    link: Link,
    options: ConsumerOptions,
    rotation: Rotation,
    tags: Tags,
    waiting: Waiting,
    /// The connection that tracking was asked for, and whether it was granted.
    tracking: Option<(u64, bool)>,
    /// The last fetch emptied the lists and left them watched.
    watched: bool,
}

impl RedisConsumer {
    pub(super) fn new(shared: Arc<Shared>, options: ConsumerOptions) -> Result<Self> {
        let (sender, pushes) = mpsc::unbounded_channel();
        let forward = move |push: PushInfo| drop(sender.send(push));
        let link = shared.link.sibling(Some(Arc::new(forward)));
        let rotation = Rotation::new(options.queues.clone(), shared.keys.options());
        let tags = Tags::new(&options.nodename);
        Ok(Self { shared, link, options, rotation, tags, waiting: Waiting::new(pushes), tracking: None, watched: false })
    }

    /// Our connection, with tracking on where the server allows it.
    async fn connect(&mut self) -> Result<Live> {
        let live = self.link.get().await?;
        if self.tracking.is_none_or(|(generation, _)| generation != live.generation) {
            self.watched = false;
            // Never NOLOOP: our own write would then delete the watch and nobody would be woken by the next.
            let granted = match live.query::<()>("asking for tracking", &command("CLIENT", &["TRACKING", "ON"])).await {
                Ok(()) => true,
                Err(refused @ Error::Refused { .. }) => {
                    tracing::warn!(error = %refused, "the server refuses CLIENT TRACKING: queues are polled");
                    false
                }
                Err(cause) => return Err(cause),
            };
            self.tracking = Some((live.generation, granted));
        }
        Ok(live)
    }

    /// One call of the script. Whatever becomes of it, its tags are never used again.
    async fn take(&mut self, live: &Live, limit: usize) -> Result<Vec<Delivery>> {
        let limit = limit.min(MOST);
        let first = self.tags.take(limit);
        let keys = &self.shared.keys;
        let places = self.rotation.order();
        let lists: Vec<String> = places.iter().map(|(step, queue)| keys.step_list(queue, *step)).collect();
        let mut call = self.shared.scripts.fetch.call(&lists).arg(limit).arg(self.options.max_bytes.max(1));
        call = call.arg(self.tags.prefix()).arg(first).arg(&keys.unacked).arg(&keys.unacked_index);
        for (_, queue) in &places {
            call = call.arg(entry_end(queue));
        }
        let mut answer = live.call::<Vec<Value>>("fetching", &call).await?.into_iter();
        let emptied = answer.next() == Some(Value::Int(1));
        if let Some(Value::BulkString(now)) = answer.next() {
            self.shared.clock.told(&String::from_utf8_lossy(&now));
        }
        self.watched = emptied && self.tracking.is_some_and(|(_, granted)| granted);
        let mut taken = Vec::new();
        let mut served: Vec<&Place> = Vec::new();
        while let (Some(Value::Int(list)), Some(Value::BulkString(text))) = (answer.next(), answer.next()) {
            let Some(place) = usize::try_from(list - 1).ok().and_then(|list| places.get(list)) else { break };
            let tag = self.tags.tag(first + taken.len() as u64);
            taken.push(Delivery { tag, queue: place.1.clone(), envelope: Bytes::from(text) });
            served.push(place);
        }
        self.rotation.delivered(served.into_iter(), emptied);
        Ok(taken)
    }

    /// Takes out what is no envelope: left in `unacked` it would kill a Python worker's sweep.
    async fn sift(&self, taken: Vec<Delivery>) -> Vec<Delivery> {
        let (whole, broken): (Vec<_>, Vec<_>) = taken.into_iter().partition(|delivery| envelope::is_envelope(&delivery.envelope));
        for delivery in broken {
            tracing::warn!(queue = delivery.queue, "a message is no JSON object: made a dead letter");
            let letter = DeadLetter::no_envelope(&self.options.nodename);
            if let Err(cause) = self.shared.bury(&delivery.tag, &delivery.envelope, &delivery.queue, &letter).await {
                tracing::warn!(error = %cause, "it stays leased until the next scan for orphans");
            }
        }
        whole
    }

    /// Waits until a fetch may bring something.
    async fn wait(&mut self) {
        let stop = self.options.stop.clone();
        let waiting = &mut self.waiting;
        let wait = async { if self.watched { waiting.watch().await } else { waiting.poll().await } };
        // Nothing is taken from a queue here: a wait that is dropped loses at most a wake, and we are stopping then.
        tokio::select! {
            () = wait => self.watched = false,
            () = stop.cancelled() => {}
        }
    }

    /// One look at the queues: a wait first if the last one found them empty.
    async fn look(&mut self, limit: usize) -> Result<Vec<Delivery>> {
        if self.watched {
            self.wait().await;
        }
        let stop = self.options.stop.clone();
        // A connection that is being made holds no message.
        let live = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Vec::new()),
            live = self.connect() => live?,
        };
        self.waiting.forget();
        let taken = self.take(&live, limit).await?;
        self.waiting.fetched(!taken.is_empty());
        if taken.is_empty() && !self.watched {
            self.wait().await;
        }
        Ok(self.sift(taken).await)
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn fetch(&mut self, limit: usize) -> Result<Vec<Delivery>> {
        while !self.options.stop.is_cancelled() && limit > 0 {
            if self.rotation.is_empty() {
                self.wait().await;
                continue;
            }
            match self.look(limit).await {
                Ok(taken) if taken.is_empty() => {}
                Err(lost) if lost.is_transient() => {
                    tracing::debug!(error = %lost, "fetching failed");
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..50))).await;
                }
                answer => return answer,
            }
        }
        Ok(Vec::new())
    }

    fn set_queues(&mut self, queues: Vec<String>) {
        self.rotation.replace(queues);
        self.watched = false;
    }
}
