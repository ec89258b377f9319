//! The settings the runtime acts on, under Celery's lower-case names with Celery's defaults.
//!
//! Settings of Celery without effect here stand in [`super::inert`]; ours stand in [`super::celeriac`].
//!
//! # Celery
//! Answers to `celery.app.defaults` of 5.7. Defaults that differ, because a program without an `app` module needs them
//! so: `broker_url` is a Redis on this machine instead of RabbitMQ; `worker_send_task_events` is on.

use serde_json::Value as Json;

use super::annotations::TaskAnnotations;
use super::beat::BeatSchedule;
use super::celeriac::Celeriac;
use super::env::redis_url;
use super::routes::{TaskQueues, TaskRoutes};
use super::table::{Kind, Var};
use super::transport::{BrokerTransportOptions, PublishRetryPolicy, ResultTransportOptions};
use super::values::{Concurrency, Rate, RateScope, Seconds};
use crate::schedules::Zone;

const LATER: &str = "it comes with later versions";
const ANY: Kind = Kind::Integer(0, i64::MAX);
const COUNT: Kind = Kind::Integer(1, i64::MAX);

crate::settings! {
    /// Celery's settings, as far as the runtime acts on them.
    pub struct Settings at "" {
        /// Where messages travel: `redis://`, `rediss://`, `redis+socket://`, `sentinel://` or `memory://`; several of `redis://`, separated by `;`, are tried in turn.
        broker_url: Option<String> = Some("redis://localhost:6379/0".into()), Kind::Url,
            env: &[Var::Is("CELERY_BROKER_URL"), Var::Is("BROKER_URL"), Var::Is("REDIS_URL"), Var::Composed(redis_url)], old: &["redis_url"];
        /// Another URL for fetching messages; none: `broker_url`.
        broker_read_url: Option<String> = None, Kind::Url, inert: LATER;
        /// Another URL for sending messages; none: `broker_url`.
        broker_write_url: Option<String> = None, Kind::Url, inert: LATER;
        /// TLS to the broker: `true`, or a table of `ssl_cert_reqs`, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`.
        broker_use_ssl: Json = Json::Bool(false), Kind::Any, inert: "write rediss:// in the URL, with ssl_cert_reqs and the rest behind a question mark; a sentinel:// URL needs these alone";
        /// How long connecting may take.
        broker_connection_timeout: Seconds = Seconds::new(4.0), Kind::Seconds, inert: "every command has a deadline of its own";
        /// Whether to reconnect by itself.
        broker_connection_retry: bool = true, Kind::Flag, inert: "the connection comes back by itself, for as long as it takes";
        /// Whether to keep trying when the broker is away at the start; none: yes.
        broker_connection_retry_on_startup: Option<bool> = None, Kind::Flag;
        /// How often to try at the start; 0 or none: for ever.
        broker_connection_max_retries: Option<u64> = Some(100), ANY;

        /// Where results are kept: one URL of these kinds (several sentinels are one); none: nowhere.
        result_backend: Option<String> = None, Kind::Url,
            env: &[Var::Is("CELERY_RESULT_BACKEND"), Var::Is("REDIS_URL"), Var::Composed(redis_url)];
        /// How long a result is kept; 0 or none: for ever.
        result_expires: Option<Seconds> = Some(Seconds::new(86400.0)), Kind::Seconds, old: &["celery_task_result_expires"];
        /// How long a failure is kept; none: as `result_expires`.
        result_failure_expires: Option<Seconds> = None, Kind::Seconds;
        /// How long the parts of a chord are kept; none: as `result_expires`.
        result_chord_expires: Option<Seconds> = None, Kind::Seconds;
        /// How long the last part of a chord may take to collect the others.
        result_chord_join_timeout: Seconds = Seconds::new(3.0), Kind::Seconds;
        /// Whether a result also says its task's name, arguments, queue and worker.
        result_extended: bool = false, Kind::Flag;
        /// How results are written.
        result_serializer: String = "json".into(), Kind::Choice(SERIALIZERS);
        /// How results are compressed; none: not.
        result_compression: Option<String> = None, Kind::Choice(COMPRESSIONS);
        /// Which content types of results are read; none: as `accept_content`.
        result_accept_content: Option<Vec<String>> = None, Kind::Names, inert: "JSON is what is read";
        /// TLS to the result backend.
        redis_backend_use_ssl: Option<Json> = None, Kind::Any, inert: "write rediss:// in the URL, with ssl_cert_reqs and the rest behind a question mark; a sentinel:// URL needs these alone";
        /// How long the result backend may take to answer.
        redis_socket_timeout: Option<Seconds> = Some(Seconds::new(120.0)), Kind::Seconds, inert: "every command has a deadline of its own";
        /// How long connecting to the result backend may take; none: as `redis_socket_timeout`.
        redis_socket_connect_timeout: Option<Seconds> = None, Kind::Seconds, inert: "every command has a deadline of its own";

        /// Which content types of messages are read.
        accept_content: Vec<String> = vec!["json".into()], Kind::Names;
        /// How arguments are written.
        task_serializer: String = "json".into(), Kind::Choice(SERIALIZERS);
        /// How messages are compressed; none: not.
        task_compression: Option<String> = None, Kind::Choice(COMPRESSIONS), old: &["celery_message_compression"];
        /// Which version of the message protocol is written; both are read.
        task_protocol: u8 = 2, Kind::Integer(1, 2), inert: "version 2 is written; both are read";
        /// The zone in which the crontabs of `beat_schedule` are meant; none: UTC. Times in messages and results are in UTC, always.
        timezone: Option<Zone> = None, Kind::Text;
        /// Whether times are written in UTC.
        enable_utc: bool = true, Kind::Flag, inert: "times are written in UTC";

        /// The queue of a task that no route names.
        task_default_queue: String = "celery".into(), Kind::Text;
        /// The exchange of a queue that names none; none: the name of `task_default_queue`.
        task_default_exchange: Option<String> = None, Kind::Text;
        /// The type of a queue's exchange that names none.
        task_default_exchange_type: String = "direct".into(), Kind::Choice(&["direct", "topic"]);
        /// The routing key of the default queue; none: its name.
        task_default_routing_key: Option<String> = None, Kind::Text;
        /// The priority of a message without one; 0 is taken first.
        task_default_priority: Option<u8> = None, Kind::Integer(0, 255);
        /// Queues with exchange, routing key and options of their own.
        task_queues: TaskQueues = TaskQueues::default(), Kind::Any;
        /// Which queue a task goes to, by its name or a pattern such as `reports.*`.
        task_routes: TaskRoutes = TaskRoutes::default(), Kind::Any;
        /// Whether a queue nobody declared may be used.
        task_create_missing_queues: bool = true, Kind::Flag, inert: "any queue may be used";
        /// Whether each worker also has a queue of its own, `<nodename>.dq`.
        worker_direct: bool = false, Kind::Flag, inert: LATER;

        /// Options of tasks, by name or `*` for all: `rate_limit`, `max_retries`, `time_limit`, `unique` and so on.
        task_annotations: TaskAnnotations = TaskAnnotations::default(), Kind::Any;
        /// Whether a message is acknowledged after its task ran, instead of before.
        task_acks_late: bool = false, Kind::Flag;
        /// Whether a late acknowledgement also follows a failure or a time limit.
        task_acks_on_failure_or_timeout: bool = true, Kind::Flag;
        /// Whether it follows a failure; none: as `task_acks_on_failure_or_timeout`.
        task_acks_on_failure: Option<bool> = None, Kind::Flag, inert: "on Redis a refused message is gone, as an acknowledged one is";
        /// Whether it follows a time limit; none: as `task_acks_on_failure_or_timeout`.
        task_acks_on_timeout: Option<bool> = None, Kind::Flag;
        /// Whether a task with late acknowledgement goes back to its queue when its child process dies.
        task_reject_on_worker_lost: Option<bool> = None, Kind::Flag;
        /// Whether it is retried with a new message instead.
        task_retry_on_worker_lost: bool = false, Kind::Flag;
        /// Whether a running task is shown as `STARTED`.
        task_track_started: bool = false, Kind::Flag;
        /// Whether results are thrown away.
        task_ignore_result: bool = false, Kind::Flag;
        /// Whether errors are kept even so.
        task_store_errors_even_if_ignored: bool = false, Kind::Flag;
        /// After how many seconds a task is killed.
        task_time_limit: Option<Seconds> = None, Kind::Seconds,
            env: &[Var::Is("CELERY_WORKER_TIME_LIMIT"), Var::Is("WORKER_TIMEOUT")];
        /// After how many seconds a task is asked to stop.
        task_soft_time_limit: Option<Seconds> = None, Kind::Seconds,
            env: &[Var::Is("CELERY_WORKER_SOFT_TIME_LIMIT")];
        /// The rate limit of a task without one of its own.
        task_default_rate_limit: Option<Rate> = None, Kind::Rate;
        /// Whose runs a rate limit counts: those of each `worker`, as in Celery, or those of the whole `cluster`. A task's annotation
        /// `rate_limit_scope` ranks above it.
        task_rate_limit_scope: RateScope = RateScope::Worker, Kind::Choice(&["worker", "cluster"]);
        /// Whether what a task calls gets its priority.
        task_inherit_parent_priority: bool = false, Kind::Flag;
        /// Whether sending is tried again when the connection breaks.
        task_publish_retry: bool = true, Kind::Flag;
        /// Whether a sender announces each task.
        task_send_sent_event: bool = false, Kind::Flag, old: &["celery_send_task_sent_event"];
        /// Whether the parts of a chord's header get its error callbacks too.
        task_allow_error_cb_on_chord_header: bool = false, Kind::Flag;

        /// How many tasks run at once; none: as many as there are processors.
        worker_concurrency: Option<Concurrency> = None, Kind::Concurrency,
            env: &[Var::Is("CELERY_WORKER_CONCURRENCY"), Var::Is("CELERY_CONCURRENCY"), Var::Is("JOB_CONCURRENCY")];
        /// How many messages may be held for each slot while tasks are short; 0: without limit. A long task's worker holds what it runs.
        worker_prefetch_multiplier: u32 = 4, Kind::Integer(0, 100_000);
        /// Whether a message is fetched only when a slot is free.
        worker_disable_prefetch: bool = false, Kind::Flag;
        /// Whether `control pool_restart` may replace the child processes.
        worker_pool_restarts: bool = false, Kind::Flag;
        /// How tasks run: `prefork` in child processes, `threads` in this one, `solo` one at a time.
        worker_pool: String = "prefork".into(), Kind::Choice(POOLS);
        /// After how many runs a child process is replaced; none: never.
        worker_max_tasks_per_child: Option<u64> = None, COUNT;
        /// Above how many KiB of memory a child process is replaced after its run; none: never.
        worker_max_memory_per_child: Option<u64> = None, COUNT,
            env: &[Var::Is("CELERY_WORKER_MAX_MEMORY_PER_CHILD"), Var::Megabytes("MAX_MEMORY_PER_WORKER")];
        /// How long running tasks may still take when a cold stop begins.
        worker_soft_shutdown_timeout: Seconds = Seconds::new(0.0), Kind::Seconds;
        /// Whether that time is also given to an idle worker.
        worker_enable_soft_shutdown_on_idle: bool = false, Kind::Flag;
        /// Whether the worker announces what its tasks do.
        worker_send_task_events: bool = true, Kind::Flag, old: &["celery_send_events"],
            env: &[Var::Is("CELERY_WORKER_TASK_EVENTS")];
        /// Whether the worker answers `inspect` and `control`.
        worker_enable_remote_control: bool = true, Kind::Flag;
        /// Whether rate limits are left aside.
        worker_disable_rate_limits: bool = false, Kind::Flag;
        /// How many tasks with an ETA a worker holds itself; none: as many as come.
        worker_eta_task_limit: Option<u64> = None, COUNT, inert: "tasks with a far ETA are parked in the server";
        /// Whether a redelivered task that already succeeded is not run again.
        worker_deduplicate_successful_tasks: bool = false, Kind::Flag;
        /// Whether running tasks with late acknowledgement are cancelled when the connection breaks.
        worker_cancel_long_running_tasks_on_connection_loss: bool = false, Kind::Flag;
        /// How long a dead child's last words are waited for.
        worker_lost_wait: Seconds = Seconds::new(10.0), Kind::Seconds, inert: "a dead child is noticed at once";

        /// How long an event waits for a listener.
        event_queue_ttl: Seconds = Seconds::new(5.0), Kind::Seconds, inert: LATER;
        /// How long a listener's queue outlives it.
        event_queue_expires: Seconds = Seconds::new(60.0), Kind::Seconds, inert: LATER;
        /// The exchange of events.
        event_exchange: String = "celeryev".into(), Kind::Text;
        /// The exchange of remote control.
        control_exchange: String = "celery".into(), Kind::Text;
        /// How long a remote control command is waited for.
        control_queue_ttl: Seconds = Seconds::new(300.0), Kind::Seconds, inert: LATER;
        /// How long an unused remote control queue is kept.
        control_queue_expires: Seconds = Seconds::new(10.0), Kind::Seconds;

        /// What the scheduler sends when: a table of entries with `task`, `schedule`, `args`, `kwargs`, `options`, `relative` and `timezone`.
        beat_schedule: BeatSchedule = BeatSchedule::default(), Kind::Mapping;
        /// How long the scheduler sleeps at most; 0: 5 minutes.
        beat_max_loop_interval: Seconds = Seconds::new(0.0), Kind::Seconds;
        /// How late a crontab's run may still be sent after the scheduler was away; none: however late, once.
        beat_cron_starting_deadline: Option<Seconds> = None, Kind::Seconds;
        /// Whether the scheduler answers `celery inspect ping`.
        beat_enable_remote_control: bool = false, Kind::Flag;
        /// After how long without a look at its schedule the scheduler answers no more; 0: it always answers; none: twice the longest sleep, and a minute at least.
        beat_remote_control_max_tick_age: Option<Seconds> = None, Kind::Seconds;
    }
    with {
        /// `[broker_transport_options]`.
        broker_transport_options: BrokerTransportOptions,
        /// `[result_backend_transport_options]`.
        result_backend_transport_options: ResultTransportOptions,
        /// `[task_publish_retry_policy]`.
        task_publish_retry_policy: PublishRetryPolicy,
        /// `[celeriac]`: what Celery has no name for.
        celeriac: Celeriac,
    }
}

const SERIALIZERS: &[&str] = &["json", "msgpack"];
const COMPRESSIONS: &[&str] = &["gzip", "zlib", "bzip2", "bzip", "lzma", "xz", "brotli", "zstd"];
const POOLS: &[&str] = &["prefork", "processes", "threads", "solo", "gevent", "eventlet"];

impl Settings {
    /// How many slots a worker has on a machine with so many processors, never above `celeriac.max_workers`.
    pub fn concurrency(&self, processors: usize) -> usize {
        let wanted = match self.worker_concurrency {
            Some(Concurrency::Count(count)) => count,
            Some(Concurrency::Auto) | None => processors,
        };
        wanted.clamp(1, self.celeriac.max_workers.max(1))
    }

    /// Whether a late acknowledgement follows a failure.
    pub fn acks_on_failure(&self) -> bool {
        self.task_acks_on_failure.unwrap_or(self.task_acks_on_failure_or_timeout)
    }

    /// Whether a late acknowledgement follows a time limit.
    pub fn acks_on_timeout(&self) -> bool {
        self.task_acks_on_timeout.unwrap_or(self.task_acks_on_failure_or_timeout)
    }

    /// How long a result is kept; none: for ever.
    pub fn result_lifetime(&self) -> Option<std::time::Duration> {
        self.result_expires.and_then(Seconds::limit)
    }

    /// How long a failure is kept; none: for ever.
    pub fn failure_lifetime(&self) -> Option<std::time::Duration> {
        self.result_failure_expires.map_or_else(|| self.result_lifetime(), Seconds::limit)
    }

    /// How long the parts of a chord are kept; none: for ever.
    pub fn chord_lifetime(&self) -> Option<std::time::Duration> {
        self.result_chord_expires.map_or_else(|| self.result_lifetime(), Seconds::limit)
    }
}
