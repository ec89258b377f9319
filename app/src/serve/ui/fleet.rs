//! The queues and the workers.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::answer;
use super::place::Shell;
use super::words::{NOTHING, count, segment, size, spell};
use crate::jobs::{Bounds, QueueStats, Stats, WorkerView};

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) waiting: String,
    /// Whether there is something that nobody has taken, also for its time.
    pub(super) waits: bool,
    /// How many at each priority, where there is more than one.
    pub(super) steps: String,
    /// The job that waits longest of those whose turn is next.
    pub(super) oldest: Option<Oldest>,
    pub(super) delayed: String,
    pub(super) reserved: u32,
    pub(super) active: u32,
    pub(super) workers: u32,
    pub(super) slots: u32,
}

/// A job that waits.
#[derive(Debug)]
pub(super) struct Oldest {
    pub(super) segment: String,
    pub(super) name: String,
    pub(super) age: String,
}

/// How many wait at each priority, by the words jobs are handed in with; empty: all are of one.
fn steps(queue: &QueueStats) -> String {
    let word = |step: &str| match step {
        "0" => "high".to_owned(),
        "3" => "normal".to_owned(),
        "6" => "below".to_owned(),
        "9" => "low".to_owned(),
        other => format!("step {other}"),
    };
    let some = queue.priorities.iter().filter(|(_, waiting)| **waiting > 0);
    let named: Vec<String> = some.map(|(step, waiting)| format!("{} {}", count(*waiting), word(step))).collect();
    if named.len() > 1 { named.join(" · ") } else { String::new() }
}

/// All of them; one with work that nobody takes stands out.
pub(super) fn queues(stats: &Stats) -> Vec<Queue> {
    let queue = |(name, queue): (&String, &QueueStats)| {
        let (state, tone) = match () {
            () if queue.workers == 0 && queue.waiting > 0 => ("nobody takes", "failed"),
            () if queue.workers == 0 => ("no worker", "cancelled"),
            () if queue.active > 0 => ("running", "running"),
            () => ("idle", "ok"),
        };
        Queue {
            name: name.clone(),
            state,
            tone,
            waiting: count(queue.waiting),
            waits: queue.waiting + queue.delayed > 0,
            steps: steps(queue),
            oldest: queue.oldest.as_ref().map(|job| Oldest {
                segment: segment(&job.job_id),
                name: job.name.clone(),
                age: spell(i64::try_from(job.seconds).unwrap_or(i64::MAX)),
            }),
            delayed: count(queue.delayed),
            reserved: queue.reserved,
            active: queue.active,
            workers: queue.workers,
            slots: queue.slots,
        }
    };
    stats.queues.iter().map(queue).collect()
}

#[derive(Template)]
#[template(path = "queues.html")]
struct Queues<'a> {
    shell: &'a Shell,
    queues: Vec<Queue>,
}

/// A worker.
#[derive(Debug)]
struct Worker {
    name: String,
    /// The name as a word of an address.
    segment: String,
    /// Whether it is part of this service and ends with it.
    own: bool,
    autoscale: Option<Bounds>,
    queues: Vec<String>,
    active: u32,
    slots: u32,
    /// The same, at least 1: what a bar is full at.
    most: u32,
    reserved: u32,
    total: String,
    failed: Option<String>,
    load: String,
    version: Option<String>,
    memory: String,
    uptime: String,
    pid: String,
}

impl Worker {
    fn of(worker: &WorkerView, own: Option<&str>) -> Self {
        Self {
            name: worker.name.clone(),
            segment: segment(&worker.name),
            own: own == Some(worker.name.as_str()),
            autoscale: worker.autoscale,
            queues: worker.queues.clone(),
            active: worker.active,
            slots: worker.slots,
            most: worker.slots.max(1),
            reserved: worker.reserved,
            total: count(worker.total.values().sum()),
            failed: worker.failed.map(count),
            load: worker.load.map_or_else(|| NOTHING.to_owned(), |load| format!("{load:.2}")),
            version: worker.version.clone(),
            memory: worker.max_rss_bytes.map_or_else(|| NOTHING.to_owned(), size),
            uptime: spell(i64::try_from(worker.uptime).unwrap_or(i64::MAX)),
            pid: worker.pid.map_or_else(|| NOTHING.to_owned(), |pid| pid.to_string()),
        }
    }
}

#[derive(Template)]
#[template(path = "workers.html")]
struct Workers<'a> {
    shell: &'a Shell,
    workers: Vec<Worker>,
}

pub(super) async fn show_queues(State(api): State<Api>, shell: Shell) -> Response {
    let page = api.desk.stats().await.map(|stats| Queues { shell: &shell, queues: queues(&stats) });
    answer(&shell, page)
}

pub(super) async fn show_workers(State(api): State<Api>, shell: Shell) -> Response {
    let page = api.desk.fleet().await;
    let page = page.map(|fleet| Workers {
        shell: &shell,
        workers: fleet.workers.iter().map(|worker| Worker::of(worker, api.own_worker)).collect(),
    });
    answer(&shell, page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_by_priority_where_there_is_more_than_one() {
        let told = |waiting: [u64; 4]| {
            let steps_of = ["0", "3", "6", "9"].map(str::to_owned).into_iter().zip(waiting).collect();
            steps(&QueueStats { priorities: steps_of, ..QueueStats::default() })
        };
        assert_eq!(told([0, 1200, 0, 0]), "");
        assert_eq!(told([2, 1200, 0, 4]), "2 high · 1,200 normal · 4 low");
    }
}
