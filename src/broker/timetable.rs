//! The contract of a timetable: which of several schedulers leads, when each entry last ran, and a tick as one step.
//!
//! # Contract
//! - At any moment at most one candidate holds the lead, by the broker's clock. Every time the lead changes hands, or ends and begins again,
//!   its token is another: whoever held it before changes nothing any more.
//! - [`Timetable::tick`] publishes and records in one step, or does neither.
//! - The states of entries are opaque text here.
//!
//! # Celery
//! Answers to the file `celerybeat-schedule` of `beat.py: PersistentScheduler`, which one process has for itself: Celery has no lead, two
//! schedulers send everything twice. Difference: it writes the file some time after it sent.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::settlement::Outgoing;

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// What the lead is known by, if it is the candidate's.
    pub token: Option<String>,
    /// The broker's clock.
    pub now: DateTime<Utc>,
    /// How long it lasts unless it is renewed, whosever it is.
    pub expires_in: Duration,
}

/// One run of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// The lead it is sent under.
    pub token: String,
    /// The entry's name.
    pub entry: String,
    /// The entry's state as it was read: any other one means that this tick was decided on what is no longer so.
    pub before: String,
    /// Its state from now on.
    pub after: String,
    /// What is published; nothing, to record alone.
    pub messages: Vec<Outgoing>,
}

/// What came of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticked {
    /// It is published and recorded.
    Sent,
    /// The entry's state is another: nothing was done. Perhaps the same tick was sent before, and its answer was lost.
    Stale,
    /// The lead is not ours any more: nothing was done.
    NotLeader,
}

/// Where schedulers keep what they know.
#[async_trait]
pub trait Timetable {
    /// Takes the lead for `candidate` if nobody has it, or keeps it, for `lease` from now.
    async fn lead(&self, candidate: &str, lease: Duration) -> Result<Lead>;

    /// Gives the lead up, if it is ours, so that another need not wait for its end.
    async fn resign(&self, token: &str) -> Result<()>;

    /// The states of these entries, and of no others: who is new begins with `fresh`, who is not named is forgotten. `None`: the lead is
    /// not ours.
    async fn entries(&self, token: &str, names: &[String], fresh: &str) -> Result<Option<HashMap<String, String>>>;

    /// Publishes a run's messages and records it.
    async fn tick(&self, tick: &Tick) -> Result<Ticked>;
}
