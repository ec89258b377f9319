//! The contract of a result backend: where states and results are kept and announced, and where chords are counted.
//!
//! # Contract
//! - A stored `SUCCESS` is never overwritten, and what is not stored is not announced.
//! - Every operation may be repeated: a part counts once however often it is reported.
//! - Keys are whole and without prefix; values are opaque bytes. A backend knows no broker.
//!
//! # Celery
//! `backends/redis.py` and `backends/base.py`. Difference: a state's check, store and announcement are one step.

pub mod memory;
mod open;
mod redis;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::settlement::{ChordPart, ChordState, Eviction, Location, Write};

pub use self::open::{Options, SentinelOptions, open};

/// What [`Backend::watch`] shall do after a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Show later values of this key, too.
    Open,
    /// This key needs no more.
    Settled,
    /// No key needs more.
    Enough,
}

/// Who looks at the values of [`Backend::watch`]: the place of a key among those watched, and what is stored under it.
pub type Look<'a> = &'a mut (dyn for<'b> FnMut(usize, &'b [u8]) -> Seen + Send);

/// The keys of a watch that are still open, and its end.
#[derive(Debug)]
struct Open {
    places: Vec<bool>,
    left: usize,
}

impl Open {
    fn new(keys: usize) -> Self {
        Self { places: vec![true; keys], left: keys }
    }

    /// Shows a value of an open key.
    fn show(&mut self, look: Look<'_>, place: usize, value: &[u8]) {
        if !self.places.get(place).copied().unwrap_or(false) {
            return;
        }
        match look(place, value) {
            Seen::Open => {}
            Seen::Settled => {
                self.places[place] = false;
                self.left -= 1;
            }
            Seen::Enough => self.left = 0,
        }
    }

    /// True when nothing is watched any more.
    fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The places that are still open.
    fn places(&self) -> impl Iterator<Item = usize> {
        self.places.iter().enumerate().filter(|(_, open)| **open).map(|(place, _)| place)
    }
}

/// A result backend.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// The same backend over connections of its own, which belong to the runtime that uses it first.
    fn sibling(&self) -> Result<Arc<dyn Backend>>;

    /// Carries out writes, in order.
    async fn apply(&self, writes: &[Write]) -> Result<()>;

    /// Counts one part of a chord, and claims the chord if that completes it. A part of a chord that was closed completes nothing; it is kept a
    /// while, since it may be the first of the same chord applied again.
    async fn chord_part(&self, part: &ChordPart) -> Result<ChordState>;

    /// The entries of a chord, in order of their index (or of arrival).
    async fn chord_entries(&self, group_id: &str, ordered: bool) -> Result<Vec<Vec<u8>>>;

    /// Extends our claim of a chord by `claim_s`; false: it is not ours any more.
    async fn extend_claim(&self, group_id: &str, token: &str, claim_s: u64) -> Result<bool>;

    /// The values under `keys`, in their order.
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>>;

    /// Shows `look` the values under `keys`, each with the key's place: first what is stored, in their order, then each change, by
    /// subscription. A value may be shown twice, and one that was overtaken by a later one not at all. Ends when `look` has settled every
    /// key or had [`Seen::Enough`]; a timeout error after `timeout`.
    async fn watch(&self, keys: &[String], timeout: Duration, look: Look<'_>) -> Result<()>;

    /// Waits until a value under `key` satisfies `done`, by subscription; the value, or a timeout error.
    async fn wait(&self, key: &str, timeout: Duration, done: &(dyn for<'a> Fn(&'a [u8]) -> bool + Send + Sync)) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        let mut look = |_: usize, value: &[u8]| match done(value) {
            true => {
                found = value.to_vec();
                Seen::Enough
            }
            false => Seen::Open,
        };
        self.watch(&[key.to_owned()], timeout, &mut look).await?;
        Ok(found)
    }

    /// Sets single bytes of the row under `key` (what was never set reads as 0 bytes) and returns the whole row. It is how many
    /// workers share the progress of one piece of work: a mark is set, not counted, so setting it twice changes nothing.
    async fn mark(&self, key: &str, marks: &[(usize, u8)], ttl: Option<u64>) -> Result<Vec<u8>>;

    /// Removes values.
    async fn forget(&self, keys: &[String]) -> Result<()>;

    /// How its server throws data away when its memory is full; `None`: it does not, or does not say.
    async fn eviction(&self) -> Result<Option<Eviction>>;

    /// Where the data lies.
    async fn location(&self) -> Result<Location>;
}

/// True for the serialized meta of a success, which is kept for ever: JSON of both spellings, and msgpack, whose maps of up to 15 entries
/// begin with one byte and longer ones with three. Of a compressed one nothing can be seen; [`crate::worker`] looks before it stores.
fn is_success(meta: &[u8]) -> bool {
    let msgpack = |from: usize| meta.get(from..).is_some_and(|rest| rest.starts_with(b"\xa6status\xa7SUCCESS"));
    meta.starts_with(br#"{"status": "SUCCESS""#) || meta.starts_with(br#"{"status":"SUCCESS""#) || msgpack(1) || msgpack(3)
}
