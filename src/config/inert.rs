//! Settings of Celery that change nothing here: known by name, so that they are not taken for typos, each with the reason.
//!
//! # Celery
//! With [`super::Settings`] this is every name of `celery.app.defaults` of 5.7.

/// Names that have no effect, for one reason.
#[derive(Clone, Copy, Debug)]
pub struct Inert {
    /// Why.
    pub reason: &'static str,
    /// The names; one that ends in `*` stands for all that begin so.
    pub names: &'static [&'static str],
}

/// All of them.
pub const INERT: &[Inert] = &[
    Inert {
        reason: "results are kept in Redis or in memory",
        names: &[
            "arangodb_*",
            "azureblockblob_*",
            "cache_*",
            "cassandra_*",
            "cosmosdbsql_*",
            "couchbase_*",
            "couchdb_*",
            "database_*",
            "dynamodb_*",
            "elasticsearch_*",
            "gcs_*",
            "mongodb_*",
            "s3_*",
        ],
    },
    Inert { reason: "tasks are part of the program, there is no module to import", names: &["imports", "include"] },
    Inert {
        reason: "only RabbitMQ has it",
        names: &[
            "broker_channel_error_retry",
            "broker_heartbeat",
            "broker_heartbeat_checkrate",
            "broker_login_method",
            "broker_native_delayed_delivery_queue_type",
            "control_queue_durable",
            "control_queue_exclusive",
            "event_queue_durable",
            "event_queue_exclusive",
            "result_exchange",
            "result_exchange_type",
            "result_persistent",
            "task_create_missing_queue_exchange_type",
            "task_create_missing_queue_type",
            "task_default_delivery_mode",
            "task_default_queue_type",
            "task_queue_max_priority",
            "worker_detect_quorum_queues",
        ],
    },
    Inert {
        reason: "write one `broker_url` instead",
        names: &["broker_host", "broker_password", "broker_port", "broker_transport", "broker_user", "broker_vhost"],
    },
    Inert {
        reason: "write one `result_backend` URL instead",
        names: &["redis_db", "redis_host", "redis_password", "redis_port", "redis_username"],
    },
    Inert {
        reason: "the runtime keeps two connections of its own",
        names: &[
            "broker_pool_acquire_timeout",
            "broker_pool_limit",
            "redis_backend_health_check_interval",
            "redis_max_connections",
            "redis_retry_on_timeout",
            "redis_socket_keepalive",
            "redis_client_name",
            "redis_backend_credential_provider",
        ],
    },
    Inert { reason: "several URLs are tried in turn", names: &["broker_failover_strategy"] },
    Inert {
        reason: "a result is written in one step with the acknowledgement, and repeated until it is there",
        names: &[
            "result_backend_always_retry",
            "result_backend_base_sleep_between_retries_ms",
            "result_backend_max_retries",
            "result_backend_max_sleep_between_retries_ms",
            "result_backend_thread_safe",
            "result_cache_max",
            "result_chord_retry_interval",
        ],
    },
    Inert {
        reason: "messages are not signed; use TLS and a password",
        names: &["security_cert_store", "security_certificate", "security_digest", "security_key", "security_key_password"],
    },
    Inert {
        reason: "Python's own",
        names: &[
            "task_always_eager",
            "task_eager_propagates",
            "task_remote_tracebacks",
            "task_repr_maxlevels",
            "task_store_eager_result",
            "worker_agent",
            "worker_autoscaler",
            "worker_consumer",
            "worker_enable_prefetch_count_reduction",
            "worker_hijack_root_logger",
            "worker_pool_putlocks",
            "worker_pool_start_method",
            "worker_proc_alive_timeout",
            "worker_redirect_stdouts",
            "worker_redirect_stdouts_level",
            "worker_timer",
            "worker_timer_precision",
        ],
    },
    Inert { reason: "revoked ids are kept in memory until the worker ends", names: &["worker_state_db"] },
    Inert {
        reason: "the log has Celery's form; see `celeriac.log_format`",
        names: &[
            "worker_log_color",
            "worker_log_datefmt",
            "worker_log_format",
            "worker_task_log_datefmt",
            "worker_task_log_format",
        ],
    },
    Inert { reason: "always the wire format of Celery", names: &["event_queue_prefix", "event_serializer"] },
    Inert {
        reason: "the scheduler keeps what it knows with the broker, and writes each run there in the step that sends it",
        names: &["beat_schedule_filename", "beat_scheduler", "beat_sync_every"],
    },
];

/// Why a name has no effect, if it is one of them.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let known = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *pattern == name,
    };
    INERT.iter().find(|group| group.names.iter().any(known)).map(|group| group.reason)
}
