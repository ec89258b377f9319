//! How much of its machine a worker uses, as far as the system tells (Linux); where it does not, as little as can be.
//!
//! # Celery
//! Has no such thing; its autoscaler looks at nothing but its tasks.

use tokio::fs::read_to_string;
use tokio::time::Instant;

use crate::pool::ChildPool;

/// Clock ticks of Linux a second, as `/proc` counts them.
const TICKS: f64 = 100.0;

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Load {
    last: Option<(Instant, f64)>,
}

impl Load {
    /// The share of the processors that this process and its children used since the last look.
    pub(super) async fn cpu(&mut self, children: Option<&ChildPool>) -> f64 {
        // With its children that have ended, which are counted in its own time.
        let mut used = seconds("self", 4).await;
        if let Some(children) = children {
            for child in children.children().await {
                used += seconds(&child.pid.to_string(), 2).await;
            }
        }
        let now = Instant::now();
        let Some((then, before)) = self.last.replace((now, used)) else { return 0.0 };
        let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        // A child that ended may have been counted twice or not at all.
        ((used - before) / (now - then).as_secs_f64().max(1e-3) / processors).clamp(0.0, 1.0)
    }

    /// The share of memory that is free: of the container's, where it has a limit, or of the machine's.
    pub(super) async fn memory(&self) -> f64 {
        let number = async |path: &str| read_to_string(path).await.ok()?.trim().parse::<f64>().ok();
        let (limit, used) = (number("/sys/fs/cgroup/memory.max").await, number("/sys/fs/cgroup/memory.current").await);
        if let (Some(limit @ 1.0..), Some(used)) = (limit, used) {
            return 1.0 - used / limit;
        }
        let text = read_to_string("/proc/meminfo").await.unwrap_or_default();
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
        match (field("MemAvailable:"), field("MemTotal:")) {
            (Some(available), Some(total @ 1.0..)) => available / total,
            _ => 1.0,
        }
    }
}

/// The processor time of a process: its own in user and system mode, and, with four fields, that of its children that have ended.
async fn seconds(process: &str, fields: usize) -> f64 {
    let stat = read_to_string(format!("/proc/{process}/stat")).await.unwrap_or_default();
    // The name in brackets may hold anything; the fields after it begin with the third.
    let times = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(fields);
    times.filter_map(|time| time.parse::<f64>().ok()).sum::<f64>() / TICKS
}
