//! The whole cluster as it is when it is asked for: queues, workers of both languages, jobs by state, Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use super::{Gauges, Number, added, label};
use crate::jobs::{Desk, Stats, WorkerView, open_circuits};

/// How long a worker that is not heard of any more is told as down.
const REMEMBERED: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Cluster {
    celery: Option<Celery>,
    jobs: Gauges,
    circuits: Gauges,
    queue_messages: Gauges,
    pages_per_minute: Number,
    dlq_length: Number,
    redis_up: Number,
    redis_latency: Number,
    redis_memory: Number,
    eviction_ok: Number,
    /// Hosts of workers, and when each was last heard of.
    hosts: Mutex<BTreeMap<String, Instant>>,
}

/// Under celery-exporter's names.
#[derive(Debug)]
struct Celery {
    up: Gauges,
    active: Gauges,
    queue_length: Gauges,
    workers: Gauges,
    processes: Gauges,
}

impl Celery {
    fn register(registry: &mut Registry) -> Self {
        let mut gauges = |name: &str, help: &str| added(registry, name, help, Gauges::default());
        Self {
            up: gauges("celery_worker_up", "Indicates if a worker has recently answered"),
            active: gauges("celery_worker_tasks_active", "The number of tasks the worker is currently processing"),
            queue_length: gauges("celery_queue_length", "The number of message in broker queue"),
            workers: gauges("celery_active_worker_count", "The number of active workers in broker queue"),
            processes: gauges("celery_active_process_count", "The number of active processes in broker queue"),
        }
    }

    fn set(&self, stats: &Stats, hosts: &BTreeMap<String, Instant>) {
        for gauges in [&self.up, &self.active, &self.queue_length, &self.workers, &self.processes] {
            gauges.clear();
        }
        let mut active: BTreeMap<&str, u32> = BTreeMap::new();
        for worker in &stats.workers {
            *active.entry(host(worker)).or_default() += worker.active;
        }
        for name in hosts.keys() {
            let here = active.get(name.as_str());
            set(&self.up, "hostname", name, if here.is_some() { 1.0 } else { 0.0 });
            set(&self.active, "hostname", name, f64::from(here.copied().unwrap_or(0)));
        }
        let served: BTreeSet<&String> = stats.workers.iter().flat_map(|worker| &worker.queues).chain(stats.queues.keys()).collect();
        for queue in served {
            let serving = || stats.workers.iter().filter(|worker| worker.queues.contains(queue));
            set(&self.workers, "queue_name", queue, serving().count() as f64);
            set(&self.processes, "queue_name", queue, serving().map(|worker| f64::from(worker.slots)).sum());
        }
        for (name, queue) in &stats.queues {
            set(&self.queue_length, "queue_name", name, queue.waiting as f64);
        }
    }
}

impl Cluster {
    pub(super) fn register(registry: &mut Registry, celery: bool) -> Self {
        let celery = celery.then(|| Celery::register(registry));
        let jobs = added(registry, "celeriac_jobs", "Jobs by state, as far back as they are kept", Gauges::default());
        let open = "Whether a provider of models is left alone by some worker now, because it fails";
        let circuits = added(registry, "celeriac_circuit_open", open, Gauges::default());
        let queue_messages = "Messages that nobody has taken, by priority step (0 is taken first)";
        let queue_messages = added(registry, "celeriac_queue_messages", queue_messages, Gauges::default());
        let mut number = |name: &str, help: &str| added(registry, name, help, Number::default());
        Self {
            celery,
            jobs,
            circuits,
            queue_messages,
            pages_per_minute: number("celeriac_pages_per_minute", "Pages that ended well in the last minute"),
            dlq_length: number("celeriac_dlq_length", "Messages that were given up"),
            redis_up: number("celeriac_redis_up", "Whether the broker answers"),
            redis_latency: number("celeriac_redis_latency_seconds", "How long the broker took to answer"),
            redis_memory: number("celeriac_redis_memory_bytes", "Memory the broker uses"),
            eviction_ok: number("celeriac_redis_eviction_policy_ok", "Whether the broker never throws messages away (noeviction)"),
            hosts: Mutex::default(),
        }
    }

    /// Looks; what does not answer in time is told as down, and what is known of it stays as it was.
    pub(super) async fn look(&self, desk: &Desk, patience: Duration) {
        let began = Instant::now();
        let vitals = tokio::time::timeout(patience, desk.app.broker().vitals()).await;
        let up = matches!(vitals, Ok(Ok(_)));
        self.redis_up.set(if up { 1.0 } else { 0.0 });
        if !up {
            return;
        }
        self.redis_latency.set(began.elapsed().as_secs_f64());
        match tokio::time::timeout(patience, desk.stats()).await {
            Ok(Ok(stats)) => self.set(&stats).await,
            Ok(Err(refusal)) => tracing::debug!(reason = refusal.message(), "metrics without the cluster"),
            Err(_) => tracing::debug!("metrics without the cluster: it took too long"),
        }
    }

    async fn set(&self, stats: &Stats) {
        for (status, count) in &stats.jobs {
            set(&self.jobs, "status", status, *count as f64);
        }
        for (name, queue) in &stats.queues {
            for (step, waiting) in &queue.priorities {
                let labels = vec![("queue_name", name.clone()), ("priority", step.clone())];
                self.queue_messages.get_or_create(&labels).set(*waiting as f64);
            }
        }
        self.circuits.clear();
        for (provider, workers) in open_circuits(&stats.workers) {
            set(&self.circuits, "provider", provider, if workers > 0 { 1.0 } else { 0.0 });
        }
        self.pages_per_minute.set(stats.pages.per_min as f64);
        self.dlq_length.set(stats.redis.dead_letters as f64);
        self.redis_memory.set(stats.redis.memory_bytes.unwrap_or(0) as f64);
        self.eviction_ok.set(if stats.redis.eviction_policy_ok == Some(false) { 0.0 } else { 1.0 });
        let mut hosts = self.hosts.lock().await;
        heard(&mut hosts, &stats.workers, Instant::now());
        if let Some(celery) = &self.celery {
            celery.set(stats, &hosts);
        }
    }
}

/// Takes in who answers, and forgets who has not for long.
fn heard(hosts: &mut BTreeMap<String, Instant>, workers: &[WorkerView], now: Instant) {
    hosts.extend(workers.iter().map(|worker| (host(worker).to_owned(), now)));
    hosts.retain(|_, at| now.duration_since(*at) < REMEMBERED);
}

/// The part of a node's name after the `@`: what celery-exporter calls the host.
fn host(worker: &WorkerView) -> &str {
    worker.name.split_once('@').map_or(worker.name.as_str(), |(_, host)| host)
}

fn set(gauges: &Gauges, name: &'static str, value: &str, number: f64) {
    gauges.get_or_create(&label(name, value)).set(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> WorkerView {
        WorkerView {
            name: name.to_owned(),
            queues: Vec::new(),
            slots: 1,
            active: 0,
            reserved: 0,
            total: BTreeMap::new(),
            failed: None,
            load: None,
            version: None,
            uptime: 1,
            pid: None,
            max_rss_bytes: None,
            autoscale: None,
            circuits: BTreeMap::new(),
            queued: BTreeMap::new(),
        }
    }

    #[test]
    fn a_worker_that_is_gone_is_down_for_an_hour_and_then_forgotten() {
        let (mut hosts, now) = (BTreeMap::new(), Instant::now());
        heard(&mut hosts, &[worker("page@a"), worker("audio@a"), worker("celery@b")], now);
        assert_eq!(hosts.keys().collect::<Vec<_>>(), ["a", "b"]);
        heard(&mut hosts, &[worker("celery@b")], now + Duration::from_secs(1800));
        assert_eq!(hosts.len(), 2);
        heard(&mut hosts, &[worker("celery@b")], now + REMEMBERED);
        assert_eq!(hosts.keys().collect::<Vec<_>>(), ["b"]);
    }
}
