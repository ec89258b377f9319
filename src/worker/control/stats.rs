//! What a worker measures of itself.
//!
//! # Celery
//! `WorkController.stats`, `TaskPool._get_info` and `utils/debug.py`. Differences: `processes` has one entry a slot, which is a child
//! process for as many slots as have one and this process for the others; `writes` says that slots share alike, as all of them take from
//! one line; what the system does not tell of its resources is 0; `failed`, `loadavg` and `version` are ours.

use url::Url;

use super::{Panel, object};
use crate::config::Seconds;
use crate::protocol::value::{Map, Value};
use crate::worker::heart::load_average;

/// Clock ticks of Linux a second, as `/proc` counts them.
const TICKS: f64 = 100.0;
/// What Celery shows for `broker_heartbeat`, which nothing on Redis uses.
const BROKER_HEARTBEAT: f64 = 120.0;

impl Panel {
    pub(super) async fn stats(&self) -> Value {
        let state = &self.shared.state;
        let totals: Map = state.requests.totals().into_iter().map(|(name, count)| (name, count.into())).collect();
        let concurrency = self.shared.window.slots.size();
        let mut stats = object([
            ("total", Value::Map(totals)),
            ("pid", std::process::id().into()),
            ("clock", state.clock.value().to_string().into()),
            ("uptime", state.uptime().as_secs().into()),
            ("pool", self.pool(concurrency, state.requests.totals().values().sum()).await),
            ("broker", self.broker()),
            ("prefetch_count", self.reserved_now(concurrency).into()),
            ("rusage", rusage().await),
            ("failed", state.requests.ended_so_far().failures.into()),
            ("loadavg", load_average().await.map(Value::Float).into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
        ]);
        let Some(shown) = stats.as_map_mut() else { return stats };
        shown.extend(self.shared.app.facts().figures());
        if let Some(bounds) = &self.shared.autoscale {
            let bounds = bounds.get();
            let scaler = [("max", bounds.max), ("min", bounds.min), ("current", concurrency), ("qty", state.requests.len())];
            shown.insert("autoscaler".to_owned(), object(scaler.map(|(name, count)| (name, count.into()))));
        }
        stats
    }

    async fn pool(&self, concurrency: usize, runs: u64) -> Value {
        let settings = self.shared.app.settings();
        // One entry a slot: their number is what exporters count.
        let mut processes: Vec<u32> = match self.shared.window.children() {
            Some(pool) => pool.children().await.into_iter().map(|child| child.pid).collect(),
            None => Vec::new(),
        };
        if processes.len() < concurrency {
            processes.resize(concurrency, std::process::id());
        }
        let per_child = settings.worker_max_tasks_per_child.map_or_else(|| "N/A".into(), Value::from);
        let limit = |limit: Option<Seconds>| limit.map_or(Value::Int(0), |limit| number(limit.as_f64()));
        object([
            ("implementation", "celeriac".into()),
            ("max-concurrency", concurrency.into()),
            ("processes", processes.into()),
            ("max-tasks-per-child", per_child),
            ("put-guarded-by-semaphore", true.into()),
            ("timeouts", Value::List(vec![limit(settings.task_soft_time_limit), limit(settings.task_time_limit)])),
            ("writes", writes(concurrency, runs)),
        ])
    }

    fn broker(&self) -> Value {
        let url = self.shared.app.settings().broker_url.as_deref().and_then(|url| Url::parse(url).ok());
        let url = url.as_ref();
        let userid = url.map(Url::username).filter(|name| !name.is_empty()).map(str::to_owned);
        let port = url.map(|url| url.port().unwrap_or(6379));
        object([
            ("hostname", url.and_then(Url::host_str).map(str::to_owned).into()),
            ("userid", userid.into()),
            ("virtual_host", url.map(|url| url.path().trim_start_matches('/').to_owned()).into()),
            ("port", port.into()),
            ("insist", false.into()),
            ("ssl", url.is_some_and(|url| url.scheme() == "rediss").into()),
            ("transport", url.map(|url| url.scheme().to_owned()).into()),
            ("connect_timeout", number(self.shared.app.settings().broker_connection_timeout.as_f64())),
            ("transport_options", Value::map()),
            ("login_method", Value::Null),
            ("uri_prefix", Value::Null),
            ("heartbeat", Value::Float(BROKER_HEARTBEAT)),
            ("failover_strategy", "round-robin".into()),
            ("alternates", Value::List(Vec::new())),
            ("credential_provider", Value::Null),
        ])
    }

    fn reserved_now(&self, concurrency: usize) -> usize {
        concurrency.saturating_mul(self.shared.app.settings().worker_prefetch_multiplier as usize)
    }
}

/// Seconds as Python shows those that were written as a whole number.
fn number(seconds: f64) -> Value {
    if seconds.fract() == 0.0 { Value::Int(seconds as i64) } else { Value::Float(seconds) }
}

/// How runs are spread over the slots.
fn writes(slots: usize, runs: u64) -> Value {
    let slots = slots.max(1) as u64;
    let raw: Vec<u64> = (0..slots).map(|slot| runs / slots + u64::from(slot < runs % slots)).collect();
    let share = |part: f64| format!("{:.2}", if runs == 0 { 0.0 } else { part / runs as f64 });
    let joined = |texts: Vec<String>| texts.join(", ");
    object([
        ("total", runs.into()),
        ("avg", share(runs as f64 / slots as f64).into()),
        ("all", joined(raw.iter().map(|part| share(*part as f64)).collect()).into()),
        ("raw", joined(raw.iter().map(u64::to_string).collect()).into()),
        ("strategy", "fair".into()),
        ("inqueues", object([("total", slots.into()), ("active", Value::Int(0))])),
    ])
}

/// The memory of this process in megabytes, as Celery writes it; null where the system does not say.
pub(super) async fn memsample() -> Value {
    resident().await.into()
}

/// What was measured, which is the present only.
pub(super) async fn memdump() -> Value {
    match resident().await {
        Some(now) => format!("- rss (sample):\n-    > {now},\n- rss (end): {now}.\n").into(),
        None => "- rss: (psutil not installed).\n".into(),
    }
}

async fn resident() -> Option<String> {
    let status = tokio::fs::read_to_string("/proc/self/status").await.ok()?;
    Some(format!("{:.2}MB", field(&status, "VmRSS:")? / 1024.0))
}

/// The first number after a name in a file of `/proc`.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What `getrusage` would tell, from `/proc`.
async fn rusage() -> Value {
    let read = async |name: &str| tokio::fs::read_to_string(format!("/proc/self/{name}")).await.unwrap_or_default();
    let (stat, status, io) = (read("stat").await, read("status").await, read("io").await);
    // The name in brackets may hold anything, the fields after it are numbers; the third is the first of these.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let number = |place: usize| fields.get(place - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let whole = |value: f64| Value::Int(value as i64);
    let of = |text: &str, name: &str| whole(field(text, name).unwrap_or(0.0));
    let blocks = |name: &str| whole(field(&io, name).unwrap_or(0.0) / 512.0);
    object([
        ("utime", Value::Float(number(14) / TICKS)),
        ("stime", Value::Float(number(15) / TICKS)),
        ("maxrss", of(&status, "VmHWM:")),
        ("ixrss", Value::Int(0)),
        ("idrss", Value::Int(0)),
        ("isrss", Value::Int(0)),
        ("minflt", whole(number(10))),
        ("majflt", whole(number(12))),
        ("nswap", Value::Int(0)),
        ("inblock", blocks("read_bytes:")),
        ("oublock", blocks("write_bytes:")),
        ("msgsnd", Value::Int(0)),
        ("msgrcv", Value::Int(0)),
        ("nsignals", Value::Int(0)),
        ("nvcsw", of(&status, "voluntary_ctxt_switches:")),
        ("nivcsw", of(&status, "nonvoluntary_ctxt_switches:")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_shown_as_spread_alike_in_celery_s_figures() {
        // As ctl_inspect_stats has it for two runs on two processes.
        let shown = writes(2, 2);
        let field = |name: &str| shown.get(name).and_then(Value::as_str).unwrap().to_owned();
        assert_eq!((field("avg"), field("all"), field("raw")), ("0.50".into(), "0.50, 0.50".into(), "1, 1".into()));
        assert_eq!(writes(2, 3).get("raw"), Some(&"2, 1".into()));
        assert_eq!(writes(2, 0).get("avg"), Some(&"0.00".into()));
    }
}
