//! The Redis broker: kombu's keys, one script a step.
//!
//! One connection carries everything but fetching; each consumer has one of its own, which waits.
//!
//! # Celery
//! kombu's `transport/redis.py`: the same lists, `unacked`, `unacked_index` and binding sets. Differences: messages are fetched and
//! leased in one step, leases are renewed, parked and dead messages lie in keys of our own, `x-expires` queues are not declared.

mod binding;
mod clock;
mod collector;
mod consumer;
mod dead;
mod depth;
mod fanout;
mod info;
mod kept;
mod keys;
mod lease;
mod park;
mod replies;
mod settle;
mod timetable;
mod turns;
mod unique;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use redis::pipe;

use self::clock::ServerClock;
use self::collector::Collector;
use self::consumer::RedisConsumer;
use self::fanout::RedisListener;
pub use self::info::server_info;
use self::keys::Keys;
use self::replies::RedisReplies;
use super::{
    Admitted, Broker, Consumer, ConsumerOptions, Dead, DeadLetter, Delivery, Depth, Kept, KeyTaken, Listener, Options, Parked,
    Queue, RateLimit, Released, Turn, UniqueKey, Vitals, Waiting,
};
use crate::connection::{Link, Script, Server, command, eviction, locate};
use crate::error::Result;
use crate::settlement::{Eviction, Location, Outgoing, Settled, Settlement};

/// A broker on a Redis server.
#[derive(Debug)]
pub(super) struct RedisBroker {
    shared: Arc<Shared>,
    collector: Collector,
}

/// What the broker and its consumers use.
#[derive(Debug)]
struct Shared {
    link: Link,
    db: i64,
    keys: Keys,
    scripts: Scripts,
    clock: ServerClock,
}

#[derive(Debug)]
struct Scripts {
    fetch: Script,
    heads: Script,
    renew: Script,
    page: Script,
    restore: Script,
    rewrite: Script,
    relocate: Script,
    due: Script,
    turn: Script,
    unique: Script,
    keep: Script,
    kept: Script,
    settle: Script,
    ack: Script,
    requeue: Script,
    trim: Script,
    sweep: Script,
    timetable: timetable::Scripts,
}

impl RedisBroker {
    /// A broker; it connects at its first use.
    pub(super) fn new(server: &Server, options: Options) -> Result<Self> {
        let scripts = Scripts {
            fetch: Script::new(include_str!("fetch.lua")),
            heads: Script::new(include_str!("heads.lua")),
            renew: Script::new(include_str!("renew.lua")),
            page: Script::new(include_str!("page.lua")),
            restore: Script::new(include_str!("restore.lua")),
            rewrite: Script::new(include_str!("rewrite.lua")),
            relocate: Script::new(include_str!("move.lua")),
            due: Script::new(include_str!("due.lua")),
            turn: Script::new(include_str!("turn.lua")),
            unique: Script::new(include_str!("unique.lua")),
            keep: Script::new(include_str!("keep.lua")),
            kept: Script::new(include_str!("kept.lua")),
            settle: Script::new(settle::SCRIPT),
            ack: Script::new(include_str!("ack.lua")),
            requeue: Script::new(include_str!("requeue.lua")),
            trim: Script::new(include_str!("trim.lua")),
            sweep: Script::new(include_str!("sweep.lua")),
            timetable: timetable::Scripts::new(),
        };
        let shared = Arc::new(Shared {
            link: Link::new(server, None)?,
            db: server.db(),
            keys: Keys::new(options),
            scripts,
            clock: ServerClock::default(),
        });
        Ok(Self { collector: Collector::new(shared.clone()), shared })
    }
}

#[async_trait]
impl Broker for RedisBroker {
    fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }

    async fn declare(&self, queues: &[Queue]) -> Result<()> {
        let mut pipeline = pipe();
        pipeline.atomic();
        for queue in queues {
            let member = self.shared.keys.binding_of(queue);
            for set in self.shared.keys.binding_sets(&queue.exchange) {
                pipeline.cmd("SADD").arg(set).arg(&member).ignore();
            }
        }
        self.shared.link.pipeline("declaring queues", &pipeline).await
    }

    async fn bindings(&self, exchange: &str) -> Result<Vec<Queue>> {
        self.shared.bindings(exchange).await
    }

    async fn bound(&self, exchange: &str, routing_key: &str) -> Result<Vec<String>> {
        self.shared.bound(exchange, routing_key).await
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut pipeline = pipe();
        for message in messages {
            let list = self.shared.keys.list(&message.queue, message.priority);
            pipeline.cmd("LPUSH").arg(list).arg(&message.envelope).ignore();
        }
        self.shared.link.pipeline("publishing", &pipeline).await
    }

    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(RedisConsumer::new(self.shared.clone(), options)?))
    }

    async fn renew(&self, tags: &[String]) -> Result<Vec<String>> {
        self.shared.renew(tags).await
    }

    async fn put_back(&self, tags: &[String], raise_count: bool) -> Result<usize> {
        self.shared.put_back(tags, raise_count).await
    }

    async fn restore_orphans(&self, lease: Duration) -> Result<usize> {
        self.shared.restore_orphans(lease).await
    }

    async fn run_alone(&self, delivery: &Delivery) -> Result<bool> {
        self.shared.run_alone(delivery).await
    }

    async fn park(&self, tag: &str, due: DateTime<Utc>) -> Result<bool> {
        self.shared.park(tag, due).await
    }

    async fn release_due(&self, limit: usize) -> Result<Released> {
        self.shared.release_due(limit).await
    }

    async fn take_turn(&self, delivery: &Delivery, limit: &RateLimit<'_>) -> Result<Turn> {
        self.shared.take_turn(delivery, limit).await
    }

    async fn admit(&self, limit: &RateLimit<'_>, queues: &[String], most: usize) -> Result<Admitted> {
        self.shared.admit(limit, queues, most).await
    }

    async fn limited(&self) -> Result<Vec<String>> {
        self.shared.limited().await
    }

    async fn take_key(&self, tag: &str, key: &UniqueKey<'_>) -> Result<KeyTaken> {
        self.shared.take_key(tag, key).await
    }

    async fn dead_letter(&self, tag: &str, letter: &DeadLetter) -> Result<bool> {
        self.shared.dead_letter(tag, letter).await
    }

    async fn dead_letter_ids(&self, min_age: Duration, max_age: Option<Duration>) -> Result<Vec<String>> {
        self.shared.dead_letter_ids(min_age, max_age).await
    }

    async fn dead_letters(&self, ids: &[String]) -> Result<Vec<Dead>> {
        self.shared.dead_letters(ids).await
    }

    async fn requeue_dead_letters(&self, ids: &[String]) -> Result<Vec<String>> {
        self.shared.requeue_dead_letters(ids).await
    }

    async fn discard_dead_letters(&self, ids: &[String]) -> Result<usize> {
        self.shared.discard_dead_letters(ids).await
    }

    async fn trim_dead_letters(&self, older: Option<Duration>, most: usize) -> Result<usize> {
        self.shared.trim_dead_letters(older, most).await
    }

    async fn settle(&self, settlements: &[Settlement], backend: Option<&Location>) -> Vec<Result<Settled>> {
        self.collector.settle(settlements, backend).await
    }

    async fn parked(&self, queues: &[String], limit: usize) -> Result<Vec<Parked>> {
        self.shared.parked(queues, limit).await
    }

    async fn broadcast(&self, exchange: &str, routing_key: &str, envelope: &str) -> Result<usize> {
        let channel = self.shared.keys.channel(self.shared.db, exchange, routing_key);
        self.shared.link.query("broadcasting", &command("PUBLISH", &[&channel, envelope])).await
    }

    async fn listen(&self, exchange: &str, routing_key: &str) -> Result<Box<dyn Listener>> {
        let channel = self.shared.keys.channel(self.shared.db, exchange, routing_key);
        Ok(Box::new(RedisListener::open(&self.shared.link, &channel).await?))
    }

    async fn reply(&self, exchange: &str, routing_key: &str, envelope: &str, expires: Duration) -> Result<usize> {
        self.shared.reply(exchange, routing_key, envelope, expires).await
    }

    async fn bind(&self, exchange: &str, routing_key: &str, queue: &str, expires: Duration) -> Result<()> {
        self.shared.bind(exchange, routing_key, queue, expires).await
    }

    async fn forget_bindings(&self) -> Result<usize> {
        self.shared.forget_bindings().await
    }

    async fn replies(&self, queue: &str) -> Result<Box<dyn Listener>> {
        Ok(Box::new(RedisReplies::new(&self.shared.link, self.shared.keys.lists(queue))?))
    }

    async fn unbind(&self, exchange: &str, routing_key: &str, queue: &str) -> Result<()> {
        self.shared.unbind(exchange, routing_key, queue).await
    }

    async fn keep(&self, set: &str, texts: &[String], expires: Duration, most: usize) -> Result<()> {
        self.shared.keep(set, texts, expires, most).await
    }

    async fn kept(&self, set: &str, since: u64, expires: Duration, most: usize) -> Result<Kept> {
        self.shared.kept(set, since, expires, most).await
    }

    async fn queue_len(&self, queue: &str) -> Result<usize> {
        self.shared.queue_len(queue).await
    }

    async fn by_priority(&self, queue: &str) -> Result<Vec<(u8, usize)>> {
        self.shared.by_priority(queue).await
    }

    async fn depth(&self, queue: &str) -> Result<Depth> {
        self.shared.depth(queue).await
    }

    async fn waiting(&self, queue: &str) -> Result<Vec<Waiting>> {
        self.shared.waiting(queue).await
    }

    async fn vitals(&self) -> Result<Vitals> {
        self.shared.vitals().await
    }

    async fn purge(&self, queue: &str) -> Result<usize> {
        self.shared.purge(queue).await
    }

    async fn eviction(&self) -> Result<Option<Eviction>> {
        eviction(&self.shared.link).await
    }

    async fn location(&self) -> Result<Location> {
        locate(&self.shared.link, self.shared.db, &self.shared.keys.options().global_keyprefix).await
    }

    fn sibling(&self) -> Result<Arc<dyn Broker>> {
        Ok(Arc::new(Self::new(self.shared.link.server(), self.shared.keys.options().clone())?))
    }
}

impl Shared {
    /// The entries of `unacked` under these tags.
    async fn entries(&self, tags: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut read = command("HMGET", &[&self.keys.unacked]);
        read.arg(tags);
        self.link.query("reading leased messages", &read).await
    }
}
