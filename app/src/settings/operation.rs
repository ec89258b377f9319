//! Settings of the deployment: retention, features, and the pools of workers under the names of the sources.

use celeriac::config::{Kind, Seconds};

const LATER: &str = "for the HTTP service and the autoscaler, which come with later versions";

celeriac::settings! {
    /// How long things are kept.
    pub(crate) struct Retention at "celeriac.retention" {
        /// Seconds the record of a finished job is kept in the ledger; the archive keeps it on.
        completed_age: Seconds = Seconds::new(2_592_000.0), Kind::Seconds;
        /// How many finished jobs are kept.
        completed_count: u64 = 10_000, Kind::Integer(0, i64::MAX), inert: LATER;
        /// Seconds the record of a failed or cancelled job is kept in the ledger.
        failed_age: Seconds = Seconds::new(2_592_000.0), Kind::Seconds;
        /// Seconds the events of a job that has ended are kept: for whoever looks at it live, and for its log.
        events_age: Seconds = Seconds::new(3600.0), Kind::Seconds;
        /// Seconds the pages of a job are kept.
        artifacts_age: Seconds = Seconds::new(604_800.0), Kind::Seconds, inert: LATER;
    }
}

celeriac::settings! {
    /// What is switched on.
    pub(crate) struct Features at "features" {
        /// Whether workers size their pools.
        autoscaling: bool = false, Kind::Flag, inert: LATER;
        /// Whether figures are collected.
        monitoring: bool = true, Kind::Flag, inert: LATER;
        /// Whether alerts are sent.
        alerts: bool = false, Kind::Flag, inert: LATER;
    }
}

celeriac::settings! {
    /// The pool of one queue.
    pub(crate) struct WorkerPool at "worker_pools.*" {
        /// The fewest workers.
        min_workers: u32 = 1, Kind::Integer(0, 10_000), inert: LATER;
        /// The most workers.
        max_workers: u32 = 8, Kind::Integer(1, 10_000), inert: LATER;
        /// Megabytes of memory for each.
        memory_limit: u64 = 1024, Kind::Integer(1, i64::MAX), inert: LATER;
        /// The share of the processors above which the pool does not grow.
        cpu_limit: f64 = 0.8, Kind::Number, inert: LATER;
        /// Seconds a task may take.
        timeout: Seconds = Seconds::new(300.0), Kind::Seconds, inert: LATER;
    }
}
