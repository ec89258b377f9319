//! What a server says of itself, for people who look after it.

use std::collections::BTreeMap;

use super::Shared;
use crate::broker::Vitals;
use crate::connection::{Link, SentinelOptions, Server, command, info};
use crate::error::Result;

/// The fields of Redis's `INFO`: `redis_version`, `maxmemory_policy`, `aof_enabled` and the rest. One connection, closed afterwards.
pub async fn server_info(url: &str, sentinel: &SentinelOptions) -> Result<BTreeMap<String, String>> {
    info(&Link::new(&Server::parse(url, "url", sentinel)?, None)?, &[]).await
}

impl Shared {
    pub(super) async fn vitals(&self) -> Result<Vitals> {
        let dead_letters = self.link.query("counting dead letters", &command("HLEN", &[&self.keys.dead])).await?;
        let info = info(&self.link, &["memory"]).await?;
        let memory_bytes = info.get("used_memory").and_then(|bytes| bytes.parse().ok());
        let keeps_everything = info.get("maxmemory_policy").map(|policy| policy == "noeviction");
        Ok(Vitals { dead_letters, memory_bytes, keeps_everything })
    }
}
