//! The Redis backend: Celery's keys and channels, one script a step.
//!
//! # Celery
//! `backends/redis.py`. Differences: a state's check, store and announcement are one script; who waits shares one connection.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::pipe;

use self::waiting::Subscriptions;
use super::{Backend, Look, Options};
use crate::connection::results::{chord_key, chord_state, encode_part, encode_write, results_script};
use crate::connection::{Link, Script, Server, command, eviction, locate};
use crate::error::{Error, Result};
use crate::settlement::{ChordPart, ChordState, Eviction, Location, Write};

/// A backend on a Redis server.
#[derive(Debug)]
pub(super) struct RedisBackend {
    link: Link,
    db: i64,
    options: Options,
    prefix: String,
    subscriptions: Arc<Subscriptions>,
    apply: Script,
    part: Script,
    claim: Script,
}

impl RedisBackend {
    /// A backend; it connects at its first use.
    pub(super) fn new(server: &Server, options: &Options) -> Result<Self> {
        let subscriptions = Arc::new(Subscriptions::default());
        let pushes = subscriptions.clone();
        Ok(Self {
            link: Link::new(server, Some(Arc::new(move |push| pushes.receive(push))))?,
            db: server.db(),
            options: options.clone(),
            prefix: options.key_prefix(),
            subscriptions,
            apply: Script::new(results_script!("apply.lua")),
            part: Script::new(results_script!("part.lua")),
            claim: Script::new(results_script!("claim.lua")),
        })
    }

    fn keys(&self, keys: &[String]) -> Vec<String> {
        keys.iter().map(|key| format!("{}{key}", self.prefix)).collect()
    }
}

/// A script that declares no key.
const NO_KEYS: [&str; 0] = [];

#[async_trait]
impl Backend for RedisBackend {
    fn sibling(&self) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Self::new(self.link.server(), &self.options)?))
    }

    async fn apply(&self, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut values = Vec::with_capacity(4 * writes.len());
        writes.iter().for_each(|write| encode_write(&mut values, &self.prefix, write));
        self.link.call("storing results", &self.apply.call(&NO_KEYS).arg(values)).await
    }

    async fn chord_part(&self, part: &ChordPart) -> Result<ChordState> {
        let mut values = Vec::with_capacity(8);
        encode_part(&mut values, &self.prefix, part);
        Ok(chord_state(self.link.call("counting a chord part", &self.part.call(&NO_KEYS).arg(values)).await?))
    }

    async fn chord_entries(&self, group_id: &str, ordered: bool) -> Result<Vec<Vec<u8>>> {
        let key = format!("{}.j", chord_key(&self.prefix, group_id));
        let read = command(if ordered { "ZRANGE" } else { "LRANGE" }, &[&key, "0", "-1"]);
        self.link.query("reading chord results", &read).await
    }

    async fn extend_claim(&self, group_id: &str, token: &str, claim_s: u64) -> Result<bool> {
        let call = self.claim.call(&NO_KEYS).arg(chord_key(&self.prefix, group_id)).arg(token).arg(claim_s.max(1));
        self.link.call("extending a chord claim", &call).await
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = command("MGET", &[]);
        read.arg(self.keys(keys));
        self.link.query("reading results", &read).await
    }

    async fn watch(&self, keys: &[String], timeout: Duration, look: Look<'_>) -> Result<()> {
        let keys = self.keys(keys);
        match tokio::time::timeout(timeout, self.subscriptions.watch(&self.link, &keys, look)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout { context: format!("waiting for {}", keys.join(", ")) }),
        }
    }

    async fn mark(&self, key: &str, marks: &[(usize, u8)], ttl: Option<u64>) -> Result<Vec<u8>> {
        let key = format!("{}{key}", self.prefix);
        let mut pipeline = pipe();
        pipeline.atomic();
        for (place, mark) in marks {
            pipeline.cmd("SETRANGE").arg(&key).arg(*place).arg(&[*mark][..]).ignore();
        }
        match ttl.filter(|ttl| *ttl > 0) {
            Some(ttl) => pipeline.cmd("EXPIRE").arg(&key).arg(ttl).ignore(),
            None => pipeline.cmd("PERSIST").arg(&key).ignore(),
        };
        pipeline.cmd("GET").arg(&key);
        let (row,): (Option<Vec<u8>>,) = self.link.pipeline("setting marks", &pipeline).await?;
        Ok(row.unwrap_or_default())
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut delete = command("DEL", &[]);
        delete.arg(self.keys(keys));
        self.link.query("forgetting results", &delete).await
    }

    async fn eviction(&self) -> Result<Option<Eviction>> {
        eviction(&self.link).await
    }

    async fn location(&self) -> Result<Location> {
        locate(&self.link, self.db, &self.prefix).await
    }
}
