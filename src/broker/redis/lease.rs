//! Leases after the fetch: renewing them, putting messages back, finding those of dead workers.
//!
//! # Celery
//! kombu's `QoS.restore_visible` and `restore_by_tag`. Differences: Python's tags are left to Python; the oldest message is put back
//! last and so served first; the push comes before the removal, in one script.

use std::time::Duration;

use redis::FromRedisValue;
use tokio::time::Instant;

use super::Shared;
use super::keys::entry_end;
use crate::broker::envelope::{self, Entry};
use crate::broker::tag::{MARK, age};
use crate::broker::{DeadLetter, Delivery};
use crate::error::Result;

/// How many tags one call carries.
const PAGE: usize = 500;
/// How many pages of other people's tags one scan for orphans looks at.
const PAGES: usize = 200;

impl Shared {
    pub(super) async fn renew(&self, tags: &[String]) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        for page in tags.chunks(PAGE) {
            let call = self.scripts.renew.call(&[&self.keys.unacked_index]).arg(page);
            lost.extend(self.link.call::<Vec<String>>("renewing leases", &call).await?);
        }
        Ok(lost)
    }

    pub(super) async fn run_alone(&self, delivery: &Delivery) -> Result<bool> {
        let mut entry = vec![b'['];
        entry.extend_from_slice(&envelope::running_alone(&delivery.envelope));
        entry.extend_from_slice(entry_end(&delivery.queue).as_bytes());
        let call = self.scripts.rewrite.call(&[&self.keys.unacked]).arg(&delivery.tag).arg(entry);
        self.link.call("marking a suspect", &call).await
    }

    pub(super) async fn put_back(&self, tags: &[String], raise_count: bool) -> Result<usize> {
        let mut count = 0;
        // From the last to the first: what is pushed last is served first.
        for page in tags.rchunks(PAGE) {
            let entries = self.entries(page).await?;
            let found = page.iter().zip(entries).rev().filter_map(|(tag, entry)| Some((tag.clone(), entry?)));
            let rows: Vec<_> = found.map(|(tag, entry)| self.marked(tag, &entry, raise_count)).collect();
            count += self.restore([&self.keys.unacked, &self.keys.unacked_index], None, &rows).await?;
        }
        Ok(count)
    }

    pub(super) async fn restore_orphans(&self, lease: Duration) -> Result<usize> {
        let live = self.link.get().await?;
        if live.generation > 1 && live.since.elapsed() < lease {
            // Nobody could renew while the server was away: first let everybody who is alive do so.
            return Ok(0);
        }
        let keys = [&self.keys.unacked, &self.keys.unacked_index];
        let (mut count, mut offset) = (0, 0);
        for _ in 0..PAGES {
            let asked = Instant::now();
            let page = self.page(keys, lease, MARK, offset, PAGE).await?;
            if asked.elapsed() > lease / 4 {
                // The server, or this process, stood still: the same.
                break;
            }
            let mut found = page.rows;
            found.sort_by(|(a, _), (b, _)| age(b).cmp(&age(a)));
            let (rows, torn): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, entry)| entry.is_empty() || is_whole(entry));
            for (tag, entry) in torn {
                let Entry { envelope, routing_key, .. } = envelope::torn_entry(&entry);
                self.bury(&tag, &envelope, &routing_key, &DeadLetter::no_envelope(age(&tag).0)).await?;
            }
            let rows: Vec<_> = rows.into_iter().map(|(tag, entry)| self.marked(tag, &entry, true)).collect();
            // What is put back leaves the set, so the next page begins that much earlier.
            let restored = self.restore(keys, Some(lease), &rows).await?;
            count += restored;
            offset += page.seen - restored.min(page.seen);
            if page.seen < PAGE {
                break;
            }
        }
        Ok(count)
    }

    /// A leased message as it goes back to the head of its queue. Without an entry only its tag remains to be dropped.
    fn marked(&self, tag: String, entry: &[u8], raise_count: bool) -> Row {
        match envelope::entry(entry) {
            Some(Entry { envelope, routing_key, .. }) => {
                let list = self.keys.list(&routing_key, envelope::priority(&envelope));
                (tag, list, envelope::redelivered(&envelope, raise_count))
            }
            None => (tag, String::new(), Vec::new()),
        }
    }

    /// Pushes rows to the heads of their lists and removes them from hash and set: what is gone meanwhile, or was renewed, is left.
    pub(super) async fn restore(&self, keys: [&String; 2], older: Option<Duration>, rows: &[Row]) -> Result<usize> {
        if rows.is_empty() {
            return Ok(0);
        }
        let older = older.map(|age| age.as_secs_f64().to_string()).unwrap_or_default();
        let mut call = self.scripts.restore.call(&keys).arg(older);
        for (tag, list, text) in rows {
            call = call.arg(tag).arg(list).arg(text);
        }
        self.link.call("putting messages back", &call).await
    }

    /// One page of leased messages whose score lies `older` in the past.
    pub(super) async fn page(&self, keys: [&String; 2], older: Duration, mark: &str, offset: usize, limit: usize) -> Result<Page> {
        let call = self.scripts.page.call(&keys).arg(older.as_secs_f64()).arg(mark).arg(offset).arg(limit);
        let (seen, rest) = split("page.lua", self.link.call("reading leases", &call).await?)?;
        Ok(Page { seen, rows: pairs(rest) })
    }
}

fn is_whole(entry: &[u8]) -> bool {
    envelope::entry(entry).is_some_and(|entry| envelope::is_envelope(&entry.envelope))
}

/// Tag, list and text of a message on its way back.
pub(super) type Row = (String, String, Vec<u8>);

/// One page of a sorted set.
pub(super) struct Page {
    /// How many rows were looked at.
    pub(super) seen: usize,
    /// Tag and entry of those that fit.
    pub(super) rows: Vec<(String, Vec<u8>)>,
}

/// The number that a script's answer begins with, and what follows it.
pub(super) fn split<N: FromRedisValue>(script: &str, answer: Vec<redis::Value>) -> Result<(N, Vec<Vec<u8>>)> {
    let unexpected = |cause: redis::ParsingError| crate::Error::protocol(format!("an answer of {script}: {cause}"));
    let mut answer = answer.into_iter();
    let number = redis::from_redis_value(answer.next().unwrap_or(redis::Value::Nil)).map_err(unexpected)?;
    let rest = answer.map(redis::from_redis_value).collect::<Result<_, _>>().map_err(unexpected)?;
    Ok((number, rest))
}

/// Tags and entries, which follow each other.
pub(super) fn pairs(texts: Vec<Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    let (mut texts, mut pairs) = (texts.into_iter(), Vec::new());
    while let (Some(tag), Some(entry)) = (texts.next(), texts.next()) {
        pairs.push((String::from_utf8_lossy(&tag).into_owned(), entry));
    }
    pairs
}
