//! The table `[celeriac]`: settings of the runtime that Celery has no name for.

use indexmap::IndexMap;

use super::env::autoscale;
use super::table::{Kind, Var};
use super::values::{Autoscale, Seconds};

crate::settings! {
    /// Ours.
    pub struct Celeriac at "celeriac" {
        /// Which queues a worker serves; none: `task_queues`, or the default queue.
        queues: Vec<String> = Vec::new(), Kind::Names, env: &[Var::Is("CELERY_WORKER_QUEUES"), Var::Is("CELERY_QUEUES")];
        /// Which of them it leaves out.
        exclude_queues: Vec<String> = Vec::new(), Kind::Names, env: &[Var::Is("CELERY_WORKER_EXCLUDE_QUEUES")];
        /// How many messages a queue gives for one of another, while both have some: `[celeriac.queue_weights] pages = 3`; others give 1.
        /// In place of `queue_order_strategy`.
        queue_weights: IndexMap<String, u32> = IndexMap::new(), Kind::Mapping;
        /// After how many seconds a priority step that had no turn gives one message for twenty of others, so that none starves; 0: it waits,
        /// as in Celery.
        priority_ageing: Seconds = Seconds::new(10.0), Kind::Seconds;
        /// The worker's name; `%h` is the host with its domain, `%n` its name, `%d` its domain.
        hostname: Option<String> = None, Kind::Text, env: &[Var::Is("CELERY_WORKER_HOSTNAME")];
        /// After how many seconds without a sign of life a worker's messages go to another; renewed every quarter of it.
        lease: Seconds = Seconds::new(12.0), Kind::Seconds;
        /// How many seconds after the first signal a worker has left at the latest, as the platform grants them; what then still runs is
        /// cut off early enough to be handed back. None: a warm stop takes as long as its tasks.
        shutdown_grace: Option<Seconds> = None, Kind::Seconds;
        /// How often a message may be delivered before it goes to the dead letters; 0: without end.
        max_deliveries: u32 = 5, Kind::Integer(0, 1_000_000);
        /// Whether a task whose retries are used up is kept as a dead letter, too; a task and an annotation may say so for themselves.
        dead_letter_exhausted: bool = false, Kind::Flag;
        /// How long dead letters are kept; 0: until there are too many.
        dead_letters_expires: Seconds = Seconds::new(2_592_000.0), Kind::Seconds;
        /// How many dead letters are kept; of more the youngest.
        dead_letters_max: usize = 100_000, Kind::Integer(1, 100_000_000);
        /// Remote control commands that a worker does not obey: `["shutdown", "pool_grow"]`.
        control_disabled: Vec<String> = Vec::new(), Kind::Names;
        /// Who may command workers: with a key, a worker obeys only what bears a signature made with it, apart from commands that merely look;
        /// and `celeriac control` and `App::control()` sign. At least 16 characters.
        control_key: Option<String> = None, Kind::Text, secret: true;
        /// How many bytes a message may have as it lies in its queue, whether it is sent or received.
        max_message_bytes: usize = 192 * 1024 * 1024, Kind::Integer(4096, 512 * 1024 * 1024);
        /// How many bytes a message's body may have after it is unpacked.
        max_body_bytes: usize = 128 * 1024 * 1024, Kind::Integer(1024, 1 << 32);
        /// How many bytes a result may have as it is stored. Redis cuts off who waits for more than 32 MiB at once.
        max_result_bytes: usize = 16 * 1024 * 1024, Kind::Integer(1024, 256 * 1024 * 1024);
        /// What becomes of a larger one: `fail`, its task has failed; `spill`, it lies in `result_store` and the backend has a reference to it.
        large_results: String = "fail".into(), Kind::Choice(&["fail", "spill"]);
        /// The directory for them, as a path or a `file:///` URL: the same for workers and for who reads results.
        result_store: Option<String> = None, Kind::Text;
        /// How many parts a chord that is sent here may have; no canvas comes to more than 100,000 messages at once, whatever this says.
        max_chord_parts: u64 = 100_000, Kind::Integer(1, 100_000);
        /// How long a revoked task stays revoked, on the broker and in each worker; 0: on the broker not at all.
        revoke_expires: Seconds = Seconds::new(10_800.0), Kind::Seconds, env: &[Var::Is("CELERY_WORKER_REVOKE_EXPIRES")];
        /// How many revoked tasks are remembered; the youngest.
        revokes_max: usize = 50_000, Kind::Integer(1, 10_000_000), env: &[Var::Is("CELERY_WORKER_REVOKES_MAX")];
        /// Whether a worker asks the others when it starts what was revoked (`--without-mingle`).
        mingle: bool = true, Kind::Flag;
        /// Whether a worker listens to what the others tell of themselves (`--without-gossip`); without, it still votes in elections.
        gossip: bool = true, Kind::Flag;
        /// Whether a worker says that it lives (`--without-heartbeat`).
        heartbeat: bool = true, Kind::Flag;
        /// How often it says so; who hears nothing for twice as long takes it for dead.
        heartbeat_interval: Seconds = Seconds::new(2.0), Kind::Seconds;
        /// The most slots a worker ever has.
        max_workers: usize = 50, Kind::Integer(1, 10_000), env: &[Var::Is("MAX_WORKERS")], old: &["max_workers"];
        /// Between how many slots a worker sizes its pool by itself: `max,min`.
        autoscale: Option<Autoscale> = None, Kind::Autoscale,
            env: &[Var::Is("CELERY_WORKER_AUTOSCALE"), Var::Composed(autoscale)];
        /// Above which share of its processors in use such a pool does not grow.
        autoscale_cpu_limit: f64 = 0.9, Kind::Number;
        /// For how long less must have been needed before such a pool shrinks; it grows within a second.
        autoscaling_interval: Seconds = Seconds::new(60.0), Kind::Seconds, env: &[Var::Is("AUTOSCALING_INTERVAL")];
        /// Above which share of failures among the last tasks such a pool does not grow.
        max_error_rate: f64 = 0.1, Kind::Number, env: &[Var::Is("MAX_ERROR_RATE")];
        /// How many messages may wait before a submission is refused.
        max_queue_size: u64 = 10_000, Kind::Integer(1, i64::MAX), env: &[Var::Is("MAX_QUEUE_SIZE")];
        /// How often the health of workers was looked at.
        health_check_interval: Seconds = Seconds::new(30.0), Kind::Seconds, env: &[Var::Is("HEALTH_CHECK_INTERVAL")],
            inert: "health is looked at when it is asked for";
        /// Other names under which tasks are called, too: `[celeriac.task_aliases] "their.task" = "tasks.ours"`. Options, limits and routes
        /// are the task's own; results and events bear the name that was called.
        task_aliases: IndexMap<String, String> = IndexMap::new(), Kind::Mapping;
        /// From which level on the log is written.
        log_level: String = "info".into(), Kind::Choice(&["debug", "info", "warning", "error", "critical", "fatal", "trace", "warn"]),
            env: &[Var::Is("CELERY_WORKER_LOGLEVEL"), Var::Is("CELERY_LOG_LEVEL"), Var::Is("LOG_LEVEL")];
        /// How the log is written: as text in Celery's form, or one JSON object a line.
        log_format: String = "text".into(), Kind::Choice(&["text", "json"]), env: &[Var::Is("LOG_FORMAT")];
        /// Where the worker answers `/metrics` (Prometheus), `/livez` and `/readyz`, as `host:port`; none: nowhere.
        metrics_addr: Option<String> = None, Kind::Text;
        /// Whether `/metrics` also tells of tasks under celery-exporter's names; off where a celery-exporter runs.
        metrics_celery_compat: bool = true, Kind::Flag;
        /// Whether `/metrics` tells how long the worker's queues are: on in one worker of each queue is enough.
        metrics_queues: bool = true, Kind::Flag;
        /// How often a worker writes what it did into its log (`Performance metrics: …`); 0: not at all.
        performance_interval: Seconds = Seconds::new(60.0), Kind::Seconds;
        /// The file the log is written to; none: standard error.
        log_file: Option<String> = None, Kind::Text, env: &[Var::Is("CELERY_WORKER_LOGFILE")];
    }
}
