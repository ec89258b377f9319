//! The queues and the workers.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::answer;
use super::place::Shell;
use super::words::{NOTHING, count, size, spell};
use crate::jobs::{Stats, WorkerView};

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) waiting: String,
    pub(super) delayed: String,
    pub(super) reserved: u32,
    pub(super) active: u32,
    pub(super) workers: u32,
    pub(super) slots: u32,
}

/// All of them; one with work that nobody takes stands out.
pub(super) fn queues(stats: &Stats) -> Vec<Queue> {
    let queue = |(name, queue): (&String, &crate::jobs::QueueStats)| {
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
    queues: Vec<String>,
    active: u32,
    slots: u32,
    /// The same, at least 1: what a bar is full at.
    most: u32,
    reserved: u32,
    total: String,
    memory: String,
    uptime: String,
    pid: String,
}

impl From<&WorkerView> for Worker {
    fn from(worker: &WorkerView) -> Self {
        Self {
            name: worker.name.clone(),
            queues: worker.queues.clone(),
            active: worker.active,
            slots: worker.slots,
            most: worker.slots.max(1),
            reserved: worker.reserved,
            total: count(worker.total.values().sum()),
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
    let page = page.map(|fleet| Workers { shell: &shell, workers: fleet.workers.iter().map(Worker::from).collect() });
    answer(&shell, page)
}
