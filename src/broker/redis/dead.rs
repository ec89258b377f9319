//! Dead letters: JSON by id in one hash, and when they were given up in a sorted set.
//!
//! # Celery
//! None: Python's workers keep nothing of what they give up.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use redis::pipe;
use serde_json::{Value, json};

use super::Shared;
use super::park::seconds;
use crate::broker::envelope::{self, Entry};
use crate::broker::{Dead, DeadLetter};
use crate::connection::command;
use crate::error::Result;

/// How many letters one call carries.
const PAGE: usize = 200;
/// How many letters one call removes.
const TRIM: usize = 1000;

impl Shared {
    pub(super) async fn dead_letter(&self, tag: &str, letter: &DeadLetter) -> Result<bool> {
        let entry = self.entries(&[tag.to_owned()]).await?.into_iter().next().flatten();
        let Some(entry) = entry else { return Ok(false) };
        let Entry { envelope, routing_key, .. } = envelope::entry(&entry).unwrap_or_else(|| envelope::torn_entry(&entry));
        self.bury(tag, &envelope, &routing_key, letter).await
    }

    /// Makes a leased message a dead letter.
    pub(super) async fn bury(&self, tag: &str, envelope: &[u8], queue: &str, letter: &DeadLetter) -> Result<bool> {
        let (id, queue, envelope) = (tag.to_owned(), queue.to_owned(), envelope.to_vec().into());
        let dead = Dead { id, queue, envelope, letter: letter.clone(), time: self.clock.now() };
        let keys = [&self.keys.unacked, &self.keys.unacked_index, &self.keys.dead, &self.keys.dead_index];
        let call = self.scripts.relocate.call(&keys).arg(tag).arg(seconds(dead.time)).arg(written(&dead));
        self.link.call("giving a message up", &call).await
    }

    pub(super) async fn dead_letter_ids(&self, min_age: Duration, max_age: Option<Duration>) -> Result<Vec<String>> {
        let (now, micros): (f64, f64) = self.link.query("asking for the time", &command("TIME", &[])).await?;
        let at = |age: Duration| (now + micros / 1e6 - age.as_secs_f64()).to_string();
        // A clock of another machine may be ahead.
        let last = if min_age.is_zero() { "+inf".to_owned() } else { at(min_age) };
        let first = max_age.map_or("-inf".to_owned(), at);
        let read = command("ZRANGEBYSCORE", &[&self.keys.dead_index, &first, &last]);
        self.link.query("listing dead letters", &read).await
    }

    pub(super) async fn dead_letters(&self, ids: &[String]) -> Result<Vec<Dead>> {
        let mut found = Vec::new();
        for page in ids.chunks(PAGE) {
            let mut read = command("HMGET", &[&self.keys.dead]);
            read.arg(page);
            let texts: Vec<Option<Vec<u8>>> = self.link.query("reading dead letters", &read).await?;
            found.extend(page.iter().zip(texts).filter_map(|(id, text)| Some(self.read(id, &text?))));
        }
        Ok(found)
    }

    pub(super) async fn requeue_dead_letters(&self, ids: &[String]) -> Result<Vec<String>> {
        let own = [&self.keys.unacked, &self.keys.unacked_index, &self.keys.parked, &self.keys.parked_index];
        let keys: Vec<&String> = [&self.keys.dead, &self.keys.dead_index].into_iter().chain(own).collect();
        let mut gone = Vec::new();
        for page in ids.chunks(PAGE) {
            let mut call = self.scripts.requeue.call(&keys);
            for dead in self.dead_letters(page).await? {
                if let Some(text) = envelope::renewed(&dead.envelope) {
                    let list = self.keys.list(&dead.queue, envelope::priority(&text));
                    call = call.arg(dead.id).arg(list).arg(text);
                }
            }
            gone.extend(self.link.call::<Vec<String>>("requeueing dead letters", &call).await?);
        }
        Ok(gone)
    }

    pub(super) async fn discard_dead_letters(&self, ids: &[String]) -> Result<usize> {
        let mut count = 0;
        for page in ids.chunks(PAGE) {
            let mut remove = pipe();
            remove.atomic().cmd("HDEL").arg(&self.keys.dead).arg(page).cmd("ZREM").arg(&self.keys.dead_index).arg(page).ignore();
            let (removed,): (usize,) = self.link.pipeline("discarding dead letters", &remove).await?;
            count += removed;
        }
        Ok(count)
    }

    pub(super) async fn trim_dead_letters(&self, older: Option<Duration>, most: usize) -> Result<usize> {
        let older = older.map(|older| older.as_secs_f64().to_string()).unwrap_or_default();
        let keys = [&self.keys.dead, &self.keys.dead_index];
        self.link.call("removing old dead letters", &self.scripts.trim.call(&keys).arg(older).arg(most).arg(TRIM)).await
    }

    /// A letter as it lies; what cannot be read of it is empty, for it must be possible to see and discard it.
    fn read(&self, id: &str, text: &[u8]) -> Dead {
        let json: Value = serde_json::from_slice(text).unwrap_or_default();
        let field = |name: &str| json[name].as_str().map(str::to_owned);
        let encoded = || STANDARD.decode(json["envelope_base64"].as_str()?).ok();
        // settle.lua knows only the list.
        let list = || field("list").map(|list| self.keys.queue_of_list(&list).to_owned());
        let letter = DeadLetter {
            reason: field("reason").unwrap_or_default(),
            nodename: field("nodename").unwrap_or_default(),
            deliveries: json["deliveries"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or_default(),
        };
        let time = field("time").and_then(|time| DateTime::parse_from_rfc3339(&time).ok()).map(|time| time.to_utc());
        let seconds = || DateTime::from_timestamp_micros((json["seconds"].as_f64()? * 1e6) as i64);
        Dead {
            id: id.to_owned(),
            queue: field("queue").or_else(list).unwrap_or_default(),
            envelope: field("envelope").map(String::into_bytes).or_else(encoded).unwrap_or_default().into(),
            letter,
            time: time.or_else(seconds).unwrap_or_default(),
        }
    }
}

/// A letter as JSON: its envelope as text, or in base64 if it is no text.
pub(super) fn written(dead: &Dead) -> String {
    let Dead { queue, letter, time, envelope, .. } = dead;
    let mut value = json!({
        "queue": queue, "reason": letter.reason, "nodename": letter.nodename, "deliveries": letter.deliveries,
        "time": time.to_rfc3339(),
    });
    match std::str::from_utf8(envelope) {
        Ok(text) => value["envelope"] = text.into(),
        Err(_) => value["envelope_base64"] = STANDARD.encode(envelope).into(),
    }
    value.to_string()
}
