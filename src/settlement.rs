//! A settlement is everything that follows from one delivery, as one value; this file holds the data only.
//!
//! It stands below brokers and backends because both carry parts of it out: where they live on one server a broker does the
//! whole in one step, elsewhere [`crate::worker`]'s settle role takes it apart in the safe order (writes, part, publish, ack).
//!
//! # Celery
//! `app/trace.py` and `backends/base.py` do these steps one by one, with a window between each two of them.

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// A message on its way into a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The queue's name, without its priority step.
    pub queue: String,
    /// The priority as in `properties.priority`; the broker chooses the step (0 is served first).
    pub priority: i64,
    /// The whole envelope as JSON text.
    pub envelope: String,
}

/// What is written into the backend's database. Every write may be repeated without harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Stores a state under `key` and announces it on the channel of the same name.
    State {
        /// The whole key, without a key prefix: `celery-task-meta-<id>` or `celery-taskset-meta-<id>`.
        key: String,
        /// The serialized meta.
        value: Vec<u8>,
        /// Seconds until it expires; `None` keeps it for ever.
        ttl: Option<u64>,
    },
    /// Opens a chord: forgets an old claim (`.c`) and sets its size (`.s`).
    ChordStart {
        /// The header's group id.
        group_id: String,
        /// How many parts it waits for.
        size: u64,
        /// Seconds until its keys expire.
        ttl: Option<u64>,
    },
    /// Closes a chord if `token` still holds its claim: deletes its keys and leaves `done` in `.c`. In a settlement it comes after the
    /// publishing; if the claim is another's by then, nothing is published and the answer is [`Settled::ChordBusy`].
    ChordClose {
        /// The header's group id.
        group_id: String,
        /// The claim, as [`Settled::ChordComplete`] gave it.
        token: String,
    },
    /// Lets a chord wait for one more part (`.t`); the same part twice counts once.
    ChordGrow {
        /// The header's group id.
        group_id: String,
        /// The task that will report the part.
        task_id: String,
        /// Seconds until its keys expire.
        ttl: Option<u64>,
    },
    /// Ends a chord whose header failed, if `token` still holds its claim: deletes `.s`; the other keys stay until they expire. It is
    /// fenced as [`Write::ChordClose`] is, so that errbacks are published once.
    ChordFail {
        /// The header's group id.
        group_id: String,
        /// The claim, as [`Settled::ChordComplete`] gave it.
        token: String,
    },
}

impl Write {
    /// The key of a state.
    pub fn state_key(&self) -> Option<&str> {
        match self {
            Self::State { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The group id and claim of a chord that this write ends, well or badly. It is done after the publishing: a body or errback that was
    /// not published must be tried again.
    pub fn closes(&self) -> Option<(&str, &str)> {
        match self {
            Self::ChordClose { group_id, token } | Self::ChordFail { group_id, token } => Some((group_id, token)),
            Self::State { .. } | Self::ChordStart { .. } | Self::ChordGrow { .. } => None,
        }
    }
}

/// One finished part of a chord's header.
#[derive(Debug, Clone, PartialEq)]
pub struct ChordPart {
    /// The header's group id.
    pub group_id: String,
    /// The task that finished.
    pub task_id: String,
    /// Its place in the header; `None` counts as last.
    pub group_index: Option<i64>,
    /// `[1, "<task id>", "<status>", <result>]` as JSON.
    pub entry: Vec<u8>,
    /// Seconds until the chord's keys expire.
    pub ttl: Option<u64>,
    /// A fresh random text: what claims the chord if this part completes it.
    pub token: String,
    /// Seconds the claim lasts.
    pub claim_s: u64,
    /// `result_chord_ordered`: results by index (a sorted set) or by arrival (a list). All workers must agree.
    pub ordered: bool,
}

/// What a chord looks like after a part was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChordState {
    /// Parts are still missing, or the chord is already closed: nothing more to do.
    Counted,
    /// All parts are in and we hold the claim: the caller must publish the body, then close.
    Complete,
    /// All parts are in and another holds the claim, but the chord is not closed: ask again later.
    Busy,
}

/// Why a message will not be run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// One sentence for the person who looks.
    pub reason: String,
    /// The node that gave it up.
    pub nodename: String,
    /// How often it was delivered.
    pub deliveries: u32,
}

/// A message that was given up: kept for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// What it is known by: the tag of its last delivery.
    pub id: String,
    /// The queue it came from.
    pub queue: String,
    /// The message as it was delivered.
    pub envelope: Bytes,
    /// Why, by whom, after how many deliveries.
    pub letter: DeadLetter,
    /// When.
    pub time: DateTime<Utc>,
}

/// How the delivery itself ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    /// Its message is removed.
    Ack,
    /// Its message goes to the tail of its queue, marked as redelivered (reject with requeue).
    Requeue {
        /// Counts as a delivery whose process died.
        raise_count: bool,
    },
    /// Its message is kept as a dead letter, also one that was acked before it ran.
    DeadLetter(Box<Dead>),
}

/// What becomes of a unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFate {
    /// Its holder's message is acked and its run begins: held while the worker renews the delivery's lease.
    Run,
    /// Its holder's message goes back to a queue: held until it comes again.
    Keep,
    /// Its holder has ended.
    Free,
}

/// A unique key that a delivery may hold. It changes with the delivery's settlement if it is still the holder's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldKey {
    /// The key.
    pub name: String,
    /// Who holds it, as it was taken.
    pub holder: String,
    /// The delivery under which it was taken.
    pub tag: String,
    /// What becomes of it.
    pub fate: KeyFate,
}

/// Everything that follows from one delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The delivery's tag. Without one (its message was acked early) nothing is fenced and nothing is acked.
    pub tag: Option<String>,
    /// What is stored, in this order.
    pub writes: Vec<Write>,
    /// The chord part it reports.
    pub chord_part: Option<ChordPart>,
    /// What is published after that, in this order.
    pub publish: Vec<Outgoing>,
    /// What becomes of the message, last of all.
    pub disposal: Disposal,
    /// The unique key it holds.
    pub key: Option<HeldKey>,
}

impl Settlement {
    /// A settlement that only acks.
    pub fn ack(tag: impl Into<String>) -> Self {
        Self {
            tag: Some(tag.into()),
            writes: Vec::new(),
            chord_part: None,
            publish: Vec::new(),
            disposal: Disposal::Ack,
            key: None,
        }
    }

    /// The tag, where all there is to do is to ack it.
    pub fn plain_ack(&self) -> Option<&str> {
        let alone = self.writes.is_empty() && self.chord_part.is_none() && self.publish.is_empty() && self.key.is_none();
        self.tag.as_deref().filter(|_| alone && self.disposal == Disposal::Ack)
    }

    /// True when there is nothing to carry out: the message was acked early, and nothing follows.
    pub fn is_empty(&self) -> bool {
        let kept = matches!(self.disposal, Disposal::DeadLetter(_));
        self.tag.is_none()
            && self.writes.is_empty()
            && self.chord_part.is_none()
            && self.publish.is_empty()
            && self.key.is_none()
            && !kept
    }
}

/// What a settlement came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// All of it is done.
    Done,
    /// The delivery is not ours any more, or was settled before by a call whose reply was lost: nothing was done.
    Lost,
    /// The writes are done and its part completes the chord, which we now hold with the part's token. Nothing was published and
    /// the delivery is still leased: settle again with the body and [`Write::ChordClose`], without the part.
    ChordComplete,
    /// The writes are done; another holds the claim of the complete chord. Nothing was published and the delivery is still leased:
    /// settle again a little later, with the part.
    ChordBusy,
}

/// A server that throws data away when its memory is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// What it throws away first: Redis's `maxmemory-policy`.
    pub policy: String,
    /// At how many bytes.
    pub max_bytes: u64,
}

/// Where a broker or backend keeps its data: two that have the same server can be changed in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Identifies the server: `memory:<n>` or `redis:<run id>`.
    pub server: String,
    /// The database on it.
    pub db: i64,
    /// The prefix of every key there.
    pub key_prefix: String,
}
