//! The metrics by name: those of celery-exporter, and ours.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Step;

pub(crate) type Labels = Vec<(&'static str, String)>;
pub(super) type Counters = Family<Labels, Counter>;
pub(super) type Number = Gauge<f64, AtomicU64>;
pub(super) type Gauges = Family<Labels, Number>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// One label.
pub(crate) fn labels(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

pub(super) fn gauge(gauges: &Gauges, labels: &Labels, value: f64) {
    gauges.get_or_create(labels).set(value);
}

/// The default buckets of Python's client, which celery-exporter uses.
fn runtimes() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0])
}

/// celery-exporter's.
#[derive(Debug)]
pub(super) struct Celery {
    pub(super) steps: Vec<(Step, Counters)>,
    pub(super) runtime: Histograms,
    pub(super) up: Gauges,
    pub(super) active: Gauges,
    pub(super) queue_length: Gauges,
    pub(super) workers: Gauges,
    pub(super) processes: Gauges,
}

impl Celery {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let step = |(step, name, help)| {
            let counters = Counters::default();
            registry.register(format!("celery_task_{name}"), help, counters.clone());
            (step, counters)
        };
        let steps = Step::ALL.map(step).to_vec();
        let runtime = Histograms::new_with_constructor(runtimes);
        registry.register("celery_task_runtime", "Histogram of task runtime measurements", runtime.clone());
        let mut gauges = |name: &str, help: &str| added(registry, name, help, Gauges::default());
        Self {
            steps,
            runtime,
            up: gauges("celery_worker_up", "Indicates if a worker has recently sent a heartbeat"),
            active: gauges("celery_worker_tasks_active", "The number of tasks the worker is currently processing"),
            queue_length: gauges("celery_queue_length", "The number of message in broker queue"),
            workers: gauges("celery_active_worker_count", "The number of active workers in broker queue"),
            processes: gauges("celery_active_process_count", "The number of active processes in broker queue"),
        }
    }
}

/// Ours.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) processes: Gauges,
    pub(super) slots: Gauges,
    pub(super) restarts: Counters,
    pub(super) autoscale: Counters,
    pub(super) dlq_length: Number,
    pub(super) redis_up: Number,
    pub(super) redis_latency: Number,
    pub(super) redis_memory: Number,
    pub(super) eviction_ok: Number,
}

impl Own {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let version = Info::new(labels("version", env!("CARGO_PKG_VERSION")));
        registry.register("celeriac_build", "What runs", version);
        let restarts = added(registry, "celeriac_child_restarts", "Child processes that ended, by the reason", Counters::default());
        let autoscale = added(registry, "celeriac_autoscale", "Changes of the pool's size by itself", Counters::default());
        let processes = added(registry, "celeriac_pool_processes", "Child processes", Gauges::default());
        let slots = added(registry, "celeriac_slots", "How many tasks may run at once", Gauges::default());
        let mut number = |name: &str, help: &str| added(registry, name, help, Number::default());
        Self {
            processes,
            slots,
            restarts,
            autoscale,
            dlq_length: number("celeriac_dlq_length", "Messages that were given up"),
            redis_up: number("celeriac_redis_up", "Whether the broker answers"),
            redis_latency: number("celeriac_redis_latency_seconds", "How long the broker took to answer"),
            redis_memory: number("celeriac_redis_memory_bytes", "Memory the broker uses"),
            eviction_ok: number("celeriac_redis_eviction_policy_ok", "Whether the broker never throws messages away (noeviction)"),
        }
    }
}

pub(super) fn added<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}
