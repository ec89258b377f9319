//! What a worker measures of itself.
//!
//! # Celery
//! `WorkController.stats` and `utils/debug.py`. Differences: `processes` are the isolated children, or this process where there are none;
//! what the system does not tell of its resources is 0.

use url::Url;

use super::{Panel, object};
use crate::protocol::value::{Map, Value};

/// Clock ticks of Linux a second, as `/proc` counts them.
const TICKS: f64 = 100.0;

impl Panel {
    pub(super) async fn stats(&self) -> Value {
        let state = &self.shared.state;
        let totals: Map = state.requests.totals().into_iter().map(|(name, count)| (name, count.into())).collect();
        let concurrency = self.shared.window.slots.size();
        object([
            ("total", Value::Map(totals)),
            ("pid", std::process::id().into()),
            ("clock", state.clock.value().to_string().into()),
            ("uptime", state.uptime().as_secs().into()),
            ("pool", self.pool(concurrency).await),
            ("broker", self.broker()),
            ("prefetch_count", self.reserved_now(concurrency).into()),
            ("rusage", rusage().await),
        ])
    }

    async fn pool(&self, concurrency: usize) -> Value {
        let settings = self.shared.app.settings();
        let children = match self.shared.window.children() {
            Some(pool) => pool.children().await.into_iter().map(|child| child.pid).collect(),
            None => Vec::new(),
        };
        let processes = if children.is_empty() { vec![std::process::id()] } else { children };
        let per_child = settings.worker_max_tasks_per_child.map_or_else(|| "N/A".into(), Value::from);
        let limit = |limit: Option<crate::config::Seconds>| Value::Float(limit.map_or(0.0, |limit| limit.as_f64()));
        object([
            ("implementation", "celeriac".into()),
            ("max-concurrency", concurrency.into()),
            ("processes", processes.into()),
            ("max-tasks-per-child", per_child),
            ("put-guarded-by-semaphore", true.into()),
            ("timeouts", Value::List(vec![limit(settings.task_soft_time_limit), limit(settings.task_time_limit)])),
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
            ("connect_timeout", self.shared.app.settings().broker_connection_timeout.as_f64().into()),
            ("transport_options", Value::map()),
            ("login_method", Value::Null),
            ("uri_prefix", Value::Null),
            ("heartbeat", Value::Null),
            ("failover_strategy", "round-robin".into()),
            ("alternates", Value::List(Vec::new())),
            ("credential_provider", Value::Null),
        ])
    }

    fn reserved_now(&self, concurrency: usize) -> usize {
        concurrency.saturating_mul(self.shared.app.settings().worker_prefetch_multiplier as usize)
    }
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
