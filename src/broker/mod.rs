//! The contract of a broker: where messages travel, and how a message is leased and given up.
//!
//! # Contract
//! - **Nothing is ever only in a socket.** [`Consumer::fetch`] takes messages out of their queues and leases them in one step.
//! - A lease lasts [`ConsumerOptions::lease`] beyond its last renewal. A message whose lease ran out goes back to the **head** of its
//!   queue by [`Broker::restore_orphans`], with the redelivered marks and `x-delivery-count` raised by one.
//! - Every operation on a tag that is no longer ours changes nothing and says so.
//! - Queue, tag and message are opaque text here: a broker knows no task.
//!
//! # Celery
//! kombu's `transport/redis.py`. Differences: fetch is atomic (kombu pops, then writes `unacked`), leases are renewed, messages with a
//! far ETA are parked in the server and not in memory.

pub(crate) mod envelope;
pub mod memory;
mod open;
mod options;
mod queue;
mod redis;
mod rotation;
pub(crate) mod tag;
mod timetable;
mod unique;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::settlement::{Eviction, Location, Outgoing, Settled, Settlement};

pub use self::open::open;
pub use self::options::{Options, QueueOrder, SentinelOptions};
pub use self::queue::{ExchangeType, Queue};
pub use self::redis::server_info;
pub use self::timetable::{Lead, Tick, Ticked, Timetable};
pub use self::unique::{KeyTaken, UniqueKey};
pub use crate::settlement::{Dead, DeadLetter};

/// A message taken from a queue, leased to us under `tag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the lease is known by.
    pub tag: String,
    /// The queue it came from, without its priority step.
    pub queue: String,
    /// The envelope exactly as it lay in the queue.
    pub envelope: Bytes,
}

/// How to consume.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// The queues, in the order they are served within one priority step.
    pub queues: Vec<String>,
    /// Our node name, a part of every tag.
    pub nodename: String,
    /// At most so many bytes of messages in one fetch (overshot by a few messages at most).
    pub max_bytes: usize,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// Tells a waiting fetch to return what it has: stopping is told, never a dropped future.
    pub stop: CancellationToken,
}

impl DeadLetter {
    /// For text from a queue that is no envelope: left in `unacked` it would break a Python peer's sweep.
    pub(crate) fn no_envelope(nodename: &str) -> Self {
        Self { reason: "not an envelope: no JSON object".to_owned(), nodename: nodename.to_owned(), deliveries: 0 }
    }
}

/// What [`Broker::release_due`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    /// How many messages went back to their queues.
    pub count: usize,
    /// How long until the next one is due, by the broker's clock.
    pub next_in: Option<Duration>,
}

/// A message that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// When it goes back to its queue.
    pub due: DateTime<Utc>,
    /// The queue it came from.
    pub queue: String,
    /// Its envelope.
    pub envelope: Bytes,
}

/// How many messages of a queue nobody has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Those that can be fetched, over all priority steps.
    pub waiting: usize,
    /// Those that wait for a turn of a rate limit.
    pub limited: usize,
    /// Those that wait for their time.
    pub parked: usize,
}

impl Depth {
    /// All of them.
    pub fn total(&self) -> usize {
        self.waiting + self.limited + self.parked
    }
}

/// What waits at one priority step of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The step: the smallest is served first.
    pub step: u8,
    /// How many messages.
    pub count: usize,
    /// The envelope of the one that is taken next; none: it is large.
    pub next: Option<Bytes>,
}

/// Messages larger than this are not read only to look at them.
const LOOKED_AT: usize = 64 * 1024;

/// A rate limit, and whose turns it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit<'a> {
    /// What is limited.
    pub name: &'a str,
    /// Whose turns these are: the same for all who share them.
    pub owner: &'a str,
    /// The time between two turns; none: there are as many as one wants.
    pub every: Duration,
}

/// What [`Broker::take_turn`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The message may go on.
    Taken,
    /// It waits, and is ours no more.
    Deferred,
    /// It was not ours any more.
    Lost,
}

/// What [`Broker::admit`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Admitted {
    /// How many messages went back to their queues.
    pub count: usize,
    /// How long until the next one may; `None`: none waits.
    pub next_in: Option<Duration>,
}

/// What [`Broker::kept`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// The broker's clock in milliseconds: what is asked since then next time is what was kept after this look, or at its very moment.
    pub now: u64,
    /// The texts, oldest first, each with how long ago it was last kept.
    pub texts: Vec<(String, Duration)>,
}

/// What a broker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// How many messages were given up.
    pub dead_letters: usize,
    /// The memory its server uses.
    pub memory_bytes: Option<u64>,
    /// Whether its server never throws data away to make room (`maxmemory-policy noeviction`).
    pub keeps_everything: Option<bool>,
}

/// A broker.
#[async_trait]
pub trait Broker: Timetable + Debug + Send + Sync {
    /// The broker's clock, as far as it is known: workers judge ETAs and expiries by it, so that it does not matter how wrong theirs are.
    fn now(&self) -> DateTime<Utc>;

    /// Makes the queues known (their binding sets), so that peers find them.
    async fn declare(&self, queues: &[Queue]) -> Result<()>;

    /// The queues that are bound to this exchange.
    async fn bindings(&self, exchange: &str) -> Result<Vec<Queue>>;

    /// The queues that a message to this exchange under this routing key goes to.
    async fn bound(&self, exchange: &str, routing_key: &str) -> Result<Vec<String>>;

    /// Appends each message to the tail of its queue.
    async fn publish(&self, messages: &[Outgoing]) -> Result<()>;

    /// Begins to consume.
    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>>;

    /// Renews the leases of `tags`, and returns those that were lost.
    async fn renew(&self, tags: &[String]) -> Result<Vec<String>>;

    /// Puts messages we have not begun back to the head of their queues, so that the first of `tags` is the next to be served.
    /// `raise_count` is for a message whose run died with its process.
    async fn put_back(&self, tags: &[String], raise_count: bool) -> Result<usize>;

    /// Puts back messages whose celeriac worker renewed nothing for `lease`; looks at a bounded number and returns how many it put back.
    async fn restore_orphans(&self, lease: Duration) -> Result<usize>;

    /// Writes down on a leased message that it runs from now on, and nothing beside it that may kill its process. It bears the header
    /// `x-run-alone` if that then dies. False: it was not ours any more.
    async fn run_alone(&self, delivery: &Delivery) -> Result<bool>;

    /// Moves a leased message out of memory until `due`. False: it was not ours any more.
    async fn park(&self, tag: &str, due: DateTime<Utc>) -> Result<bool>;

    /// Returns parked messages that are due to the head of their queues, at most `limit`.
    async fn release_due(&self, limit: usize) -> Result<Released>;

    /// Takes a turn for a leased message, or puts it behind those that wait for one. It bears the header `x-rate-limit-turn` when it comes
    /// back: a turn was given to it then, which it keeps until it is requeued.
    async fn take_turn(&self, delivery: &Delivery, limit: &RateLimit<'_>) -> Result<Turn>;

    /// Returns messages of these queues that wait for a turn to the heads of their queues: as many as there are turns, `most` at most.
    async fn admit(&self, limit: &RateLimit<'_>, queues: &[String], most: usize) -> Result<Admitted>;

    /// The names of limits for which messages wait, or did once.
    async fn limited(&self) -> Result<Vec<String>>;

    /// Takes a unique key for a leased message, unless another holds it: from now on until a settlement frees it, through all that happens
    /// to the holder's message, and no longer than [`UniqueKey::lasts`] after it was last taken for this holder.
    async fn take_key(&self, tag: &str, key: &UniqueKey<'_>) -> Result<KeyTaken>;

    /// Moves a leased message to the dead-letter list. False: it was not ours any more.
    async fn dead_letter(&self, tag: &str, letter: &DeadLetter) -> Result<bool>;

    /// The ids of the dead letters of at least and at most these ages, oldest first.
    async fn dead_letter_ids(&self, min_age: Duration, max_age: Option<Duration>) -> Result<Vec<String>>;

    /// The dead letters under these ids, in their order; those that are gone are left out.
    async fn dead_letters(&self, ids: &[String]) -> Result<Vec<Dead>>;

    /// Appends dead letters to the tails of their queues as if they were new: without redelivered marks, counts of deliveries and
    /// retries. Push and removal of a letter are one step. Returns the ids of those that went; what is gone, is no envelope, or whose
    /// queue is no queue stays as it is.
    async fn requeue_dead_letters(&self, ids: &[String]) -> Result<Vec<String>>;

    /// Removes dead letters for ever, and returns how many there were.
    async fn discard_dead_letters(&self, ids: &[String]) -> Result<usize>;

    /// Removes dead letters that are older, and of more than `most` the oldest; a bounded number at a time. Returns how many.
    async fn trim_dead_letters(&self, older: Option<Duration>, most: usize) -> Result<usize>;

    /// Carries settlements out, each by itself; `backend` says where their writes go and is on this broker's server.
    /// With `None` their `writes` and `chord_part` are already done and are ignored here.
    async fn settle(&self, settlements: &[Settlement], backend: Option<&Location>) -> Vec<Result<Settled>>;

    /// Parked messages of these queues, first due first, among the `limit` that are due next, or fewer where they are very large.
    async fn parked(&self, queues: &[String], limit: usize) -> Result<Vec<Parked>>;

    /// Sends an envelope to everybody who listens to a fanout exchange at this moment, and returns how many these are. Nobody keeps it.
    async fn broadcast(&self, exchange: &str, routing_key: &str, envelope: &str) -> Result<usize>;

    /// Listens to a fanout exchange: to what is broadcast under this routing key, in which `#` stands for anything. What is broadcast
    /// after this returned is heard.
    async fn listen(&self, exchange: &str, routing_key: &str) -> Result<Box<dyn Listener>>;

    /// Appends an envelope to every queue that is bound to a direct exchange under this routing key, and returns how many these are:
    /// none if nobody waits any more. A queue that nobody reads for `expires` vanishes.
    async fn reply(&self, exchange: &str, routing_key: &str, envelope: &str, expires: Duration) -> Result<usize>;

    /// Binds a queue that lives as long as its owner, and is forgotten some time after `expires` (an hour at least) when the owner vanished; one
    /// that lives longer binds it again from time to time.
    async fn bind(&self, exchange: &str, routing_key: &str, queue: &str, expires: Duration) -> Result<()>;

    /// Forgets such bindings whose time is over, a bounded number at a time. Returns how many.
    async fn forget_bindings(&self) -> Result<usize>;

    /// Listens to what is replied to such a queue, to what lies in it already first. What was heard is gone.
    async fn replies(&self, queue: &str) -> Result<Box<dyn Listener>>;

    /// Takes such a binding back, and removes the queue's messages.
    async fn unbind(&self, exchange: &str, routing_key: &str, queue: &str) -> Result<()>;

    /// Keeps texts in a set that all peers share: each for `expires` after it was last kept, and of more than `most` the youngest.
    async fn keep(&self, set: &str, texts: &[String], expires: Duration, most: usize) -> Result<()>;

    /// What was kept in such a set since a time of the broker's clock ([`Kept::now`]; 0: ever) and within `expires`, at most `most` of it,
    /// the youngest.
    async fn kept(&self, set: &str, since: u64, expires: Duration, most: usize) -> Result<Kept>;

    /// How many messages wait in a queue, over all its priority steps.
    async fn queue_len(&self, queue: &str) -> Result<usize>;

    /// The same by priority step, the first taken first.
    async fn by_priority(&self, queue: &str) -> Result<Vec<(u8, usize)>>;

    /// How its server throws data away when its memory is full; `None`: it does not, or does not say.
    async fn eviction(&self) -> Result<Option<Eviction>>;

    /// How it is.
    async fn vitals(&self) -> Result<Vitals>;

    /// How many messages of a queue nobody has taken, and what they wait for. It reads every parked message.
    async fn depth(&self, queue: &str) -> Result<Depth>;

    /// What can be fetched from a queue, by the priority steps at which something waits, those served first before the others.
    async fn waiting(&self, queue: &str) -> Result<Vec<Waiting>>;

    /// Removes the messages of a queue that nobody has taken, whatever they wait for, and returns how many there were.
    async fn purge(&self, queue: &str) -> Result<usize>;

    /// Where the data lies.
    async fn location(&self) -> Result<Location>;

    /// The same broker over connections of its own, which belong to the runtime that uses it first.
    fn sibling(&self) -> Result<Arc<dyn Broker>>;
}

/// A stream of deliveries. One task owns it; a fetch is awaited to its end and never dropped.
#[async_trait]
pub trait Consumer: Debug + Send {
    /// Waits until messages are there, then leases up to `limit` of them. Empty only after a stop. Connection errors are waited out inside,
    /// with the first failure and the recovery logged.
    async fn fetch(&mut self, limit: usize) -> Result<Vec<Delivery>>;

    /// Changes the queues from the next fetch on.
    fn set_queues(&mut self, queues: Vec<String>);
}

/// What is heard of a fanout exchange or of a queue of replies. It has a connection of its own, and dropped, it listens no more.
#[async_trait]
pub trait Listener: Debug + Send {
    /// Waits for the next envelope; may be dropped while it waits. Outages are waited out inside, and what was broadcast meanwhile is
    /// lost, as is what comes while thousands wait to be read. `None`: the broker is gone.
    async fn next(&mut self) -> Result<Option<Bytes>>;

    /// Told when it listens again after an outage in which broadcasts were lost, while somebody waits in [`Self::next`]; once for any
    /// number of outages. A listener that has none never tells.
    fn resumed(&self) -> Arc<Notify> {
        Arc::default()
    }
}
