//! Redis: reached, of a version that works, and keeping what it is given.

use std::collections::BTreeMap;
use std::time::Duration;

use celeriac::broker::{SentinelOptions, server_info};
use celeriac::cli::exit::chain;
use celeriac::config::{Loaded, Origin, redact};

use super::Check;

/// Older servers lack what the scripts need.
const OLDEST: (u32, u32) = (6, 2);
/// Two thousand page images in a queue of base64 are about this much.
const MUCH_MEMORY: u64 = 2_000_000_000;
const START: &str = "start one (redis-server, or docker run -p 6379:6379 redis:7), or set CELERY_BROKER_URL; `process` needs none";

/// The broker, and the result backend where it is another server.
pub(super) async fn checks(loaded: &Loaded) -> Vec<Check> {
    let settings = &loaded.settings;
    let broker = settings.broker_url.clone().unwrap_or_default();
    let results = settings.result_backend.clone().unwrap_or_default();
    let (here, there) = ((&settings.broker_transport_options).into(), (&settings.result_backend_transport_options).into());
    let mut checks = server("redis", "broker_url", &broker, &here, loaded).await;
    if results != broker {
        checks.extend(server("results", "result_backend", &results, &there, loaded).await);
    }
    checks
}

async fn server(name: &'static str, setting: &str, url: &str, sentinel: &SentinelOptions, loaded: &Loaded) -> Vec<Check> {
    let shown = redact::text(url);
    if url.starts_with("memory:") {
        return vec![Check::ok(name, "not used: messages stay in this process")];
    }
    let failed = |why: String| {
        // Nobody asked for a Redis on this machine: then its absence is no failure, for `process` needs none.
        let default = loaded.get(setting).is_none_or(|value| value.origin == Origin::Default);
        let detail = format!("{shown}: {why}");
        vec![if default { Check::warn(name, detail, START) } else { Check::fail(name, detail, START) }]
    };
    match tokio::time::timeout(Duration::from_secs(5), server_info(url, sentinel)).await {
        Ok(Ok(info)) => judge(name, &shown, &info),
        Ok(Err(error)) => failed(redact::text(&chain(&error))),
        Err(_) => failed("no answer within 5 s".into()),
    }
}

/// One line for the server, and one for each thing that is wrong with it.
fn judge(name: &'static str, shown: &str, info: &BTreeMap<String, String>) -> Vec<Check> {
    let get = |field: &str| info.get(field).map_or("", String::as_str);
    let software = if get("server_name") == "valkey" { "Valkey" } else { "Redis" };
    let version = if get("valkey_version").is_empty() { get("redis_version") } else { get("valkey_version") };
    let policy = get("maxmemory_policy");
    let detail = format!("{software} {version} at {shown}, {policy}, {} in use", get("used_memory_human"));
    let mut checks = vec![if number(get("redis_version")) < OLDEST {
        Check::fail(name, detail, format!("upgrade to Redis {}.{} or newer", OLDEST.0, OLDEST.1))
    } else {
        Check::ok(name, detail)
    }];
    checks.extend(eviction(policy));
    if get("redis_mode") == "cluster" {
        let detail = "this is a node of a Redis Cluster: workers and clients refuse it";
        checks.push(Check::fail(
            "cluster",
            detail,
            "name a Redis without cluster mode, or your provider's endpoint with cluster mode disabled",
        ));
    }
    let limit = get("maxmemory").parse::<u64>().unwrap_or(0);
    if limit > 0 && limit < MUCH_MEMORY {
        let detail = format!("maxmemory is {}; large documents sent as base64 want 2 GB", get("maxmemory_human"));
        checks.push(Check::warn("memory", detail, "raise maxmemory, or send documents by path, URL or store key"));
    }
    if get("aof_enabled") == "0" {
        let detail = "append-only file is off: a crash of Redis loses what came after its last snapshot";
        checks.push(Check::warn("persistence", detail, "redis-cli CONFIG SET appendonly yes, and the same in redis.conf"));
    }
    checks
}

/// A server that evicts throws messages and results away without a word.
fn eviction(policy: &str) -> Option<Check> {
    const FIX: &str = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or at your provider";
    match policy {
        "noeviction" | "" => None,
        policy if policy.starts_with("volatile-") => {
            Some(Check::warn("eviction", format!("{policy}: results vanish when memory is full, before they expire"), FIX))
        }
        policy => Some(Check::fail("eviction", format!("{policy}: queued tasks and results VANISH when memory is full"), FIX)),
    }
}

fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn statuses(fields: &[(&str, &str)]) -> Vec<(&'static str, Status)> {
        let info = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        judge("redis", "redis://r", &info).into_iter().map(|check| (check.name, check.status)).collect()
    }

    #[test]
    fn only_a_server_that_keeps_everything_is_well() {
        let well = [("redis_version", "7.0.15"), ("maxmemory_policy", "noeviction"), ("aof_enabled", "1"), ("maxmemory", "0")];
        assert_eq!(statuses(&well), [("redis", Status::Ok)]);
        let with = |name, value| statuses(&[&well[..], &[(name, value)]].concat()).last().copied();
        assert_eq!(with("maxmemory_policy", "allkeys-lru"), Some(("eviction", Status::Fail)));
        assert_eq!(with("maxmemory_policy", "volatile-ttl"), Some(("eviction", Status::Warn)));
        assert_eq!(with("maxmemory", "100000000"), Some(("memory", Status::Warn)));
        assert_eq!(with("aof_enabled", "0"), Some(("persistence", Status::Warn)));
        assert_eq!(with("redis_mode", "cluster"), Some(("cluster", Status::Fail)));
        assert_eq!(with("redis_version", "5.0.14"), Some(("redis", Status::Fail)));
    }
}
