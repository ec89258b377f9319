//! Unique keys: what one holds while its message is queued or running, so that its duplicates are refused.
//!
//! # Celery
//! Has no such thing; celery-once and celery-singleton lock when a call is sent, and a lock outlives a worker that dies.

use std::time::Duration;

/// A key, and who wants to hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueKey<'a> {
    /// The key.
    pub name: &'a str,
    /// Who, by a text that is the same through all deliveries and retries.
    pub holder: &'a str,
    /// How long it is held at the longest.
    pub lasts: Duration,
    /// How long a lease lasts: a holder whose message is acked while it runs, and that renewed nothing for so long, holds nothing any more.
    pub lease: Duration,
    /// A holder that was revoked, whose key is taken over unless its message is leased: it will not run, when that comes.
    pub revoked: Option<&'a str>,
}

/// What [`super::Broker::take_key`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyTaken {
    /// The message's holder has it.
    Ours,
    /// This one has.
    Held(String),
    /// The message's holder has it by another delivery, which is leased.
    Copy,
    /// The message was not ours any more.
    Lost,
}
