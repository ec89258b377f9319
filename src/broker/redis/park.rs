//! Messages that leave `unacked` without being run until they are due.
//!
//! # Celery
//! A Python worker keeps tasks with an ETA in its memory and in `unacked`; a parked one lies in `celeriac.parked`, by due time.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Shared;
use super::lease::{Row, pairs, split};
use crate::broker::envelope::{self, Entry};
use crate::broker::{Parked, Released};
use crate::connection::command;
use crate::error::Result;

/// How many parked messages one call reads, to look at them.
const PAGE: usize = 100;
/// After how many bytes no more of them are looked at.
const SHOWN_BYTES: usize = 16 << 20;

impl Shared {
    pub(super) async fn park(&self, tag: &str, due: DateTime<Utc>) -> Result<bool> {
        let keys = [&self.keys.unacked, &self.keys.unacked_index, &self.keys.parked, &self.keys.parked_index];
        let call = self.scripts.relocate.call(&keys).arg(tag).arg(seconds(due)).arg("");
        self.link.call("parking a message", &call).await
    }

    pub(super) async fn release_due(&self, limit: usize) -> Result<Released> {
        let keys = [&self.keys.parked, &self.keys.parked_index];
        let answer = self.link.call("reading parked messages", &self.scripts.due.call(&keys).arg(limit)).await?;
        let (next_in, found): (i64, _) = split("due.lua", answer)?;
        // The last due is pushed first, so that the first is the next to be served.
        let rows: Vec<Row> = pairs(found).into_iter().rev().map(|(tag, entry)| self.due(tag, &entry)).collect();
        let count = self.restore(keys, Some(Duration::ZERO), &rows).await?;
        Ok(Released { count, next_in: u64::try_from(next_in).ok().map(Duration::from_micros) })
    }

    pub(super) async fn parked(&self, queues: &[String], limit: usize) -> Result<Vec<Parked>> {
        let mut read = command("ZRANGEBYSCORE", &[&self.keys.parked_index, "-inf", "+inf", "WITHSCORES", "LIMIT", "0"]);
        read.arg(limit);
        let rows: Vec<(String, f64)> = self.link.query("reading parked messages", &read).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (mut found, mut bytes) = (Vec::new(), 0);
        for page in rows.chunks(PAGE) {
            let mut read = command("HMGET", &[&self.keys.parked]);
            read.arg(page.iter().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>());
            let entries: Vec<Option<Vec<u8>>> = self.link.query("reading parked messages", &read).await?;
            bytes += entries.iter().flatten().map(Vec::len).sum::<usize>();
            let message = |((_, due), entry): (&(String, f64), Option<Vec<u8>>)| {
                let Entry { envelope, routing_key: queue, .. } = envelope::entry(&entry?)?;
                let due = DateTime::from_timestamp_micros((due * 1e6).round() as i64)?;
                queues.contains(&queue).then(|| Parked { due, queue, envelope: envelope.into() })
            };
            found.extend(page.iter().zip(entries).filter_map(message));
            if bytes > SHOWN_BYTES {
                break;
            }
        }
        Ok(found)
    }

    /// A parked message as it goes back to its queue: it was never begun, so it bears no mark.
    fn due(&self, tag: String, entry: &[u8]) -> Row {
        match envelope::entry(entry) {
            Some(Entry { envelope, routing_key, .. }) => {
                (tag, self.keys.list(&routing_key, envelope::priority(&envelope)), envelope)
            }
            None => (tag, String::new(), Vec::new()),
        }
    }
}

/// A time as a score: exact to the microsecond.
pub(super) fn seconds(time: DateTime<Utc>) -> String {
    format!("{}.{:06}", time.timestamp(), time.timestamp_subsec_micros())
}
