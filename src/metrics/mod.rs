//! Metrics in Prometheus's form: what a worker counts of its tasks under celery-exporter's names, and figures of its own.
//!
//! Tasks are counted where their steps happen, whether events are sent or not. Figures that somebody else keeps (queues, Redis, the process)
//! are read when they are asked for ([`crate::worker`]'s scrape). No metric has a label with an id in it.
//!
//! # Celery
//! celery-exporter 0.11 reads the same of events; its names, labels and buckets are kept. Differences: each worker tells of itself alone, so
//! that numbers of several are to be added up; there is no `celery_active_consumer_count`, as there is none there on Redis.

mod families;
pub(crate) mod http;
mod process;

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::families::{Celery, Counters, Gauges, Own, gauge};
pub(crate) use self::families::{Labels, labels};
pub use self::process::Process;

/// What happened to a task, as celery-exporter counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Sent,
    Received,
    Started,
    Succeeded,
    Failed,
    Rejected,
    Revoked,
    Retried,
}

impl Step {
    pub(super) const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Sent, "sent", "Sent when a task message is published"),
        (Self::Received, "received", "Sent when the worker receives a task"),
        (Self::Started, "started", "Sent just before the worker executes the task"),
        (Self::Succeeded, "succeeded", "Sent if the task executed successfully"),
        (Self::Failed, "failed", "Sent if the execution of the task failed"),
        (
            Self::Rejected,
            "rejected",
            "The task was rejected by the worker, possibly to be re-queued or moved to a dead letter queue",
        ),
        (Self::Revoked, "revoked", "Sent if the task has been revoked"),
        (Self::Retried, "retried", "Sent if the task failed, but will be retried in the future"),
    ];
}

/// Of which task, where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskLabels<'a> {
    pub(crate) name: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) queue: &'a str,
}

impl TaskLabels<'_> {
    fn labels(&self, exception: Option<&str>) -> Labels {
        let (name, host, queue) = (self.name.to_owned(), host(self.hostname).to_owned(), self.queue.to_owned());
        let mut labels = vec![("name", name), ("hostname", host), ("queue_name", queue)];
        labels.extend(exception.map(|exception| ("exception", exception.to_owned())));
        labels
    }
}

/// The part of a node's name after the `@`: what celery-exporter calls the host.
pub(crate) fn host(nodename: &str) -> &str {
    nodename.split_once('@').map_or(nodename, |(_, host)| host)
}

/// The name of an exception's class, as celery-exporter reads it from its representation.
pub(crate) fn exception_class(shown: &str) -> &str {
    let word = shown.split_once('(').map(|(word, _)| word);
    word.filter(|word| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_')).unwrap_or("UnknownException")
}

/// What a worker says of itself when it is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// `celery@host`.
    pub(crate) nodename: String,
    /// How many tasks run.
    pub(crate) active: usize,
    pub(crate) slots: usize,
    /// The queues it serves, each with its length where that is known.
    pub(crate) queues: Vec<(String, Option<usize>)>,
    /// Children that work, and that wait.
    pub(crate) children: (usize, usize),
    /// How often children ended, by the reason.
    pub(crate) restarts: Vec<(&'static str, u64)>,
    /// What the broker says; `None`: it does not answer.
    pub(crate) vitals: Option<(crate::broker::Vitals, Duration)>,
}

/// All metrics of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    celery: Option<Celery>,
    own: Own,
    process: Process,
}

impl Metrics {
    /// With celery-exporter's metrics or without, and with what `others` enters.
    pub(crate) fn new(celery: bool, others: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::default();
        others(&mut registry);
        let celery = celery.then(|| Celery::register(&mut registry));
        let own = Own::register(&mut registry);
        let process = Process::register(&mut registry);
        Self { registry, celery, own, process }
    }

    /// Counts a step of a task; for a failure with the exception's class.
    pub(crate) fn count(&self, step: Step, task: TaskLabels<'_>, exception: Option<&str>) {
        let Some(celery) = &self.celery else { return };
        if step != Step::Sent {
            // What never happened is shown as 0, so that a first failure is an increase.
            for (other, counter) in &celery.steps {
                let exception = (*other == Step::Failed && step != Step::Failed).then_some("");
                if *other != Step::Failed || step != Step::Failed {
                    let _at_zero = counter.get_or_create(&task.labels(exception));
                }
            }
        }
        if let Some((_, counter)) = celery.steps.iter().find(|(counted, _)| *counted == step) {
            counter.get_or_create(&task.labels(exception)).inc();
        }
    }

    /// How long a task that succeeded ran.
    pub(crate) fn ran(&self, task: TaskLabels<'_>, runtime: Duration) {
        if let Some(celery) = &self.celery {
            celery.runtime.get_or_create(&task.labels(None)).observe(runtime.as_secs_f64());
        }
    }

    /// The pool was made larger or smaller by itself.
    pub(crate) fn scaled(&self, direction: &str) {
        self.own.autoscale.get_or_create(&labels("direction", direction)).inc();
    }

    /// Everything as text, with what the worker says of itself now.
    pub(crate) fn render(&self, snapshot: &Snapshot) -> String {
        self.celery(snapshot);
        self.own(snapshot);
        self.process.read();
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn celery(&self, snapshot: &Snapshot) {
        let Some(celery) = &self.celery else { return };
        let host = labels("hostname", host(&snapshot.nodename));
        // Who answers lives.
        gauge(&celery.up, &host, 1.0);
        gauge(&celery.active, &host, snapshot.active as f64);
        // A queue that is served no more has no line any more.
        [&celery.queue_length, &celery.workers, &celery.processes].into_iter().for_each(Gauges::clear);
        for (queue, length) in &snapshot.queues {
            let queue = labels("queue_name", queue);
            gauge(&celery.workers, &queue, 1.0);
            gauge(&celery.processes, &queue, snapshot.slots as f64);
            if let Some(length) = length {
                gauge(&celery.queue_length, &queue, *length as f64);
            }
        }
    }

    fn own(&self, snapshot: &Snapshot) {
        let own = &self.own;
        let (busy, idle) = snapshot.children;
        for (state, count) in [("busy", busy), ("idle", idle)] {
            gauge(&own.processes, &labels("state", state), count as f64);
        }
        let used = snapshot.active.min(snapshot.slots);
        for (state, count) in [("busy", used), ("free", snapshot.slots - used)] {
            gauge(&own.slots, &labels("state", state), count as f64);
        }
        for (reason, count) in &snapshot.restarts {
            set(&own.restarts, &labels("reason", reason), *count);
        }
        own.redis_up.set(f64::from(u8::from(snapshot.vitals.is_some())));
        if let Some((vitals, latency)) = &snapshot.vitals {
            own.dlq_length.set(vitals.dead_letters as f64);
            own.redis_latency.set(latency.as_secs_f64());
            if let Some(bytes) = vitals.memory_bytes {
                own.redis_memory.set(bytes as f64);
            }
            if let Some(ok) = vitals.keeps_everything {
                own.eviction_ok.set(f64::from(u8::from(ok)));
            }
        }
    }
}

/// Sets a counter that somebody else counts.
fn set(counters: &Counters, labels: &Labels, count: u64) {
    counters.get_or_create(labels).inner().store(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskLabels<'_> = TaskLabels { name: "proj.add", hostname: "celery@host", queue: "q" };
    const LABELS: &str = r#"name="proj.add",hostname="host",queue_name="q""#;

    fn lines(metrics: &Metrics) -> Vec<String> {
        metrics.render(&Snapshot::default()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn steps_are_counted_under_the_names_of_celery_exporter() {
        let metrics = Metrics::new(true, |_| {});
        metrics.count(Step::Received, TASK, None);
        metrics.count(Step::Failed, TASK, Some("ValueError"));
        metrics.count(Step::Succeeded, TASK, None);
        metrics.ran(TASK, Duration::from_millis(80));
        let lines = lines(&metrics);
        for expected in [
            format!("celery_task_received_total{{{LABELS}}} 1"),
            format!("celery_task_started_total{{{LABELS}}} 0"),
            format!("celery_task_failed_total{{{LABELS},exception=\"\"}} 0"),
            format!("celery_task_failed_total{{{LABELS},exception=\"ValueError\"}} 1"),
            format!("celery_task_runtime_bucket{{le=\"0.075\",{LABELS}}} 0"),
            format!("celery_task_runtime_bucket{{le=\"0.1\",{LABELS}}} 1"),
            format!("celery_task_runtime_count{{{LABELS}}} 1"),
        ] {
            assert!(lines.contains(&expected), "{expected}\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn without_celery_exporters_names_nothing_begins_with_celery() {
        let metrics = Metrics::new(false, |_| {});
        metrics.count(Step::Received, TASK, None);
        let lines = lines(&metrics);
        assert!(lines.iter().all(|line| !line.contains("celery_")), "{}", lines.join("\n"));
        assert!(lines.iter().any(|line| line.starts_with("celeriac_build_info{")));
        assert!(lines.iter().any(|line| line.starts_with("process_resident_memory_bytes ")));
    }

    #[test]
    fn an_exception_is_known_by_its_class() {
        assert_eq!(exception_class("ValueError('a (b)')"), "ValueError");
        assert_eq!(exception_class("no exception (at all)"), "UnknownException");
        assert_eq!(exception_class(""), "UnknownException");
    }
}
