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
        let text = async |path: &str| read_to_string(path).await.unwrap_or_default();
        let container = async |name: &str| text(&format!("/sys/fs/cgroup/memory.{name}")).await;
        match free_of_container(&container("max").await, &container("current").await, &container("stat").await) {
            Some(free) => free,
            None => free_of_machine(&text("/proc/meminfo").await).unwrap_or(1.0),
        }
    }
}

/// What is free under the limit of a container, if it has one: what lies in the cache of files and was not read lately can be had at once.
fn free_of_container(limit: &str, current: &str, stat: &str) -> Option<f64> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let (limit, current) = (number(limit).filter(|limit| *limit >= 1.0)?, number(current)?);
    let used = current - field(stat, "inactive_file ").unwrap_or(0.0);
    Some((1.0 - used / limit).clamp(0.0, 1.0))
}

fn free_of_machine(meminfo: &str) -> Option<f64> {
    let total = field(meminfo, "MemTotal:").filter(|total| *total >= 1.0)?;
    Some(field(meminfo, "MemAvailable:")? / total)
}

/// The number behind a name, in a file of one a line.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// The processor time of a process: its own in user and system mode, and, with four fields, that of its children that have ended.
async fn seconds(process: &str, fields: usize) -> f64 {
    let stat = read_to_string(format!("/proc/{process}/stat")).await.unwrap_or_default();
    // The name in brackets may hold anything; the fields after it begin with the third.
    let times = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(fields);
    times.filter_map(|time| time.parse::<f64>().ok()).sum::<f64>() / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_has_read_of_files_counts_as_free() {
        let stat = "anon 300\nfile 650\ninactive_anon 0\ninactive_file 500\nactive_file 150\n";
        assert_eq!(free_of_container("1000\n", "950\n", stat), Some(0.55));
        assert_eq!(free_of_container("1000\n", "250\n", ""), Some(0.75));
        assert_eq!(free_of_container("max\n", "950\n", stat), None, "it has no limit");
        assert_eq!(free_of_container("", "", ""), None, "it is no container");
    }

    #[test]
    fn of_a_machine_its_own_estimate_is_taken() {
        let meminfo = "MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:   1500 kB\n";
        assert_eq!(free_of_machine(meminfo), Some(0.75));
        assert_eq!(free_of_machine(""), None);
    }
}
