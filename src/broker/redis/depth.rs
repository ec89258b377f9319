//! What waits in a queue: how many messages nobody has taken, which is next, and throwing them away.
//!
//! # Celery
//! kombu's `_size` and `_purge`, over the lists of all priority steps. Difference: what waits for its time or for a turn belongs to its
//! queue, too; a Python worker holds such messages itself.

use std::collections::HashSet;

use bytes::Bytes;
use redis::pipe;

use super::Shared;
use crate::broker::{Depth, LOOKED_AT, Waiting, envelope};
use crate::connection::command;
use crate::error::Result;

/// How many parked messages are looked at in one step.
const PAGE: &str = "500";

impl Shared {
    pub(super) async fn queue_len(&self, queue: &str) -> Result<usize> {
        Ok(self.lengths(self.keys.lists(queue)).await?.iter().sum())
    }

    pub(super) async fn by_priority(&self, queue: &str) -> Result<Vec<(u8, usize)>> {
        let lengths = self.lengths(self.keys.lists(queue)).await?;
        Ok(self.keys.options().priority_steps.iter().copied().zip(lengths).collect())
    }

    pub(super) async fn depth(&self, queue: &str) -> Result<Depth> {
        let waiting = self.queue_len(queue).await?;
        let limited = self.lengths(self.limited_lists(queue).await?).await?.iter().sum();
        let mut parked = HashSet::new();
        let mut cursor = 0;
        loop {
            let (next, tags) = self.parked_page(queue, cursor).await?;
            // The server may show one twice.
            parked.extend(tags);
            if next == 0 {
                return Ok(Depth { waiting, limited, parked: parked.len() });
            }
            cursor = next;
        }
    }

    pub(super) async fn waiting(&self, queue: &str) -> Result<Vec<Waiting>> {
        let call = self.scripts.heads.call(&self.keys.lists(queue)).arg(LOOKED_AT);
        // (redis reads a flat list into pairs.)
        let found: Vec<(usize, Vec<u8>)> = self.link.call("looking at what waits", &call).await?;
        let steps = self.keys.options().priority_steps.iter().zip(found).filter(|(_, (count, _))| *count > 0);
        let waiting = |(step, (count, next)): (&u8, (usize, Vec<u8>))| {
            let next = (!next.is_empty()).then(|| Bytes::from(next));
            Waiting { step: *step, count, next }
        };
        Ok(steps.map(waiting).collect())
    }

    pub(super) async fn purge(&self, queue: &str) -> Result<usize> {
        let mut pipeline = pipe();
        pipeline.atomic();
        for list in self.keys.lists(queue).into_iter().chain(self.limited_lists(queue).await?) {
            pipeline.cmd("LLEN").arg(&list).cmd("DEL").arg(&list).ignore();
        }
        let lengths: Vec<usize> = self.link.pipeline("purging", &pipeline).await?;
        Ok(lengths.iter().sum::<usize>() + self.purge_parked(queue).await?)
    }

    async fn purge_parked(&self, queue: &str) -> Result<usize> {
        let (mut removed, mut cursor) = (0, 0);
        loop {
            let (next, tags) = self.parked_page(queue, cursor).await?;
            if !tags.is_empty() {
                let mut pipeline = pipe();
                pipeline.atomic();
                pipeline.cmd("ZREM").arg(&self.keys.parked_index).arg(&tags).ignore();
                pipeline.cmd("HDEL").arg(&self.keys.parked).arg(&tags);
                let (count,): (usize,) = self.link.pipeline("purging parked messages", &pipeline).await?;
                removed += count;
            }
            if next == 0 {
                return Ok(removed);
            }
            cursor = next;
        }
    }

    /// Some of the parked messages of a queue, and where to look on; 0: these were the last.
    async fn parked_page(&self, queue: &str, cursor: u64) -> Result<(u64, Vec<String>)> {
        let scan = command("HSCAN", &[&self.keys.parked, &cursor.to_string(), "COUNT", PAGE]);
        let (next, entries): (u64, Vec<(String, Vec<u8>)>) = self.link.query("reading parked messages", &scan).await?;
        let ours = |entry: &[u8]| envelope::entry(entry).is_some_and(|entry| entry.routing_key == queue);
        Ok((next, entries.into_iter().filter(|(_, entry)| ours(entry)).map(|(tag, _)| tag).collect()))
    }

    /// The lists in which messages of a queue wait for turns.
    async fn limited_lists(&self, queue: &str) -> Result<Vec<String>> {
        let limits = self.limited().await?;
        let lists = |limit: &String| {
            let waiting = self.keys.waiting(limit);
            self.keys.lists(queue).into_iter().map(move |list| list + &waiting)
        };
        Ok(limits.iter().flat_map(lists).collect())
    }

    async fn lengths(&self, lists: Vec<String>) -> Result<Vec<usize>> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for list in lists {
            pipeline.cmd("LLEN").arg(list);
        }
        self.link.pipeline("counting messages", &pipeline).await
    }
}
