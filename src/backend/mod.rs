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
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::settlement::{ChordPart, ChordState, Location, Write};

pub use self::open::{Options, open};

/// A result backend.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// Carries out writes, in order.
    async fn apply(&self, writes: &[Write]) -> Result<()>;

    /// Counts one part of a chord, and claims the chord if that completes it.
    async fn chord_part(&self, part: &ChordPart) -> Result<ChordState>;

    /// The entries of a chord, in order of their index (or of arrival).
    async fn chord_entries(&self, group_id: &str, ordered: bool) -> Result<Vec<Vec<u8>>>;

    /// Extends our claim of a chord by `claim_s`; false: it is not ours any more.
    async fn extend_claim(&self, group_id: &str, token: &str, claim_s: u64) -> Result<bool>;

    /// The values under `keys`, in their order.
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>>;

    /// Waits until a value under `key` satisfies `done`, by subscription; the value, or a timeout error.
    async fn wait(&self, key: &str, timeout: Duration, done: &(dyn for<'a> Fn(&'a [u8]) -> bool + Send + Sync)) -> Result<Vec<u8>>;

    /// Sets single bytes of the row under `key` (what was never set reads as 0 bytes) and returns the whole row. It is how many
    /// workers share the progress of one piece of work: a mark is set, not counted, so setting it twice changes nothing.
    async fn mark(&self, key: &str, marks: &[(usize, u8)], ttl: Option<u64>) -> Result<Vec<u8>>;

    /// Removes values.
    async fn forget(&self, keys: &[String]) -> Result<()>;

    /// Where the data lies.
    async fn location(&self) -> Result<Location>;
}

/// True for the serialized meta of a success, which is kept for ever: JSON of both spellings, and msgpack, whose maps of up to 15 entries
/// begin with one byte and longer ones with three. Of a compressed one nothing can be seen; [`crate::worker`] looks before it stores.
fn is_success(meta: &[u8]) -> bool {
    let msgpack = |from: usize| meta.get(from..).is_some_and(|rest| rest.starts_with(b"\xa6status\xa7SUCCESS"));
    meta.starts_with(br#"{"status": "SUCCESS""#) || meta.starts_with(br#"{"status":"SUCCESS""#) || msgpack(1) || msgpack(3)
}
