//! What a server says of itself (`INFO`), and what follows from it.

use std::collections::BTreeMap;

use super::{Link, command};
use crate::error::{Error, Result};
use crate::settlement::Eviction;

/// Why a Redis Cluster will not do, for whoever named one.
pub(super) const CLUSTER: &str = "this server is a node of a Redis Cluster, which spreads keys over several servers: name a Redis (or Valkey) without \
                                  cluster mode, or your provider's endpoint with cluster mode disabled";

/// One section of what it says, or all; nothing where it may not be asked (an ACL).
pub(crate) async fn info(link: &Link, section: &[&str]) -> Result<BTreeMap<String, String>> {
    match link.query::<String>("asking the server about itself", &command("INFO", section)).await {
        Err(refused @ Error::Refused { .. }) => {
            tracing::debug!(error = %refused, "the server says nothing of itself");
            Ok(BTreeMap::new())
        }
        text => Ok(fields(&text?)),
    }
}

/// Whether it throws data away to make room.
pub(crate) async fn eviction(link: &Link) -> Result<Option<Eviction>> {
    Ok(evicts(&info(link, &["memory"]).await?))
}

/// A policy does nothing before there is a limit.
fn evicts(info: &BTreeMap<String, String>) -> Option<Eviction> {
    let max_bytes = info.get("maxmemory")?.parse().ok().filter(|bytes| *bytes > 0)?;
    let policy = info.get("maxmemory_policy").filter(|policy| *policy != "noeviction")?.clone();
    Some(Eviction { policy, max_bytes })
}

/// Refuses a node of a cluster: scripts and transactions need their keys on one server.
pub(super) fn refuse_cluster(info: &BTreeMap<String, String>) -> Result<()> {
    let mode = info.get("redis_mode").or_else(|| info.get("server_mode"));
    if mode.is_some_and(|mode| mode == "cluster") { Err(Error::config(CLUSTER)) } else { Ok(()) }
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_the_lines_that_are_no_headings() {
        let info = fields("# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n");
        assert_eq!(info.len(), 2);
        assert_eq!(info["redis_version"], "7.0.15");
    }

    #[test]
    fn a_server_evicts_when_it_has_a_limit_and_a_policy() {
        let evicts = |text: &str| evicts(&fields(text)).map(|found| (found.policy, found.max_bytes));
        assert_eq!(evicts("maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n"), Some(("allkeys-lru".to_owned(), 100)));
        for text in ["", "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "maxmemory:100\r\nmaxmemory_policy:noeviction\r\n"] {
            assert_eq!(evicts(text), None, "{text}");
        }
    }
}
