//! The tables of transport options: what kombu and the result backend are told beside their URL.
//!
//! # Celery
//! Answers to `broker_transport_options` as kombu's Redis transport reads it, to `result_backend_transport_options` and to
//! `task_publish_retry_policy`. Options of redis-py's connection pool are known and without effect.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::sentinel::SentinelKwargs;
use super::table::Kind;
use super::values::Seconds;

const LATER: &str = "it comes with later versions";
const POOL: &str = "an option of the Python client's connection pool; the runtime keeps two connections of its own";

/// In which order the queues of a worker are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOrder {
    /// In turn: a queue that gave a message goes to the end.
    #[default]
    RoundRobin,
    /// As they were named, always: an earlier queue is emptied first.
    Priority,
    /// By name, always.
    Sorted,
}

/// Whether channels of the fanout exchanges carry a prefix, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FanoutPrefix {
    /// `/{db}.`, or none.
    Enabled(bool),
    /// This one.
    Text(String),
}

crate::settings! {
    /// What changes the wire on the broker's side.
    pub struct BrokerTransportOptions at "broker_transport_options" {
        /// The priorities that have lists of their own, 0 first.
        priority_steps: Vec<u8> = vec![0, 3, 6, 9], Kind::Integers;
        /// What stands between a queue's name and its priority, and between the parts of a binding.
        sep: String = "\u{6}\u{16}".into(), Kind::Text;
        /// In which order queues are asked.
        queue_order_strategy: QueueOrder = QueueOrder::RoundRobin, Kind::Choice(&["round_robin", "priority", "sorted"]);
        /// Put before every key and channel of the broker.
        global_keyprefix: String = String::new(), Kind::Text;
        /// The prefix of fanout channels.
        fanout_prefix: FanoutPrefix = FanoutPrefix::Enabled(true), Kind::Any;
        /// Whether fanout channels carry the routing key.
        fanout_patterns: bool = true, Kind::Flag;
        /// After how many seconds a Python worker's unacknowledged message is given to another.
        visibility_timeout: Seconds = Seconds::new(3600.0), Kind::Seconds, inert: "messages here are leased; Python workers have a setting of their own";
        /// The hash of unacknowledged messages.
        unacked_key: String = "unacked".into(), Kind::Text;
        /// Their times.
        unacked_index_key: String = "unacked_index".into(), Kind::Text;
        /// The lock of the one who restores them.
        unacked_mutex_key: String = "unacked_mutex".into(), Kind::Text, inert: "messages here are leased; Python workers have a setting of their own";
        /// How long that lock lives.
        unacked_mutex_expire: Seconds = Seconds::new(300.0), Kind::Seconds, inert: "messages here are leased; Python workers have a setting of their own";
        /// How many messages one sweep restores; none: all.
        unacked_restore_limit: Option<u64> = None, Kind::Integer(1, i64::MAX), inert: "messages here are leased; Python workers have a setting of their own";
        /// How bodies are written.
        body_encoding: String = "base64".into(), Kind::Choice(&["base64"]);
        /// How often an idle connection is asked whether it lives.
        health_check_interval: Seconds = Seconds::new(25.0), Kind::Seconds, inert: "every command has a deadline of its own";
        /// The name of the connection as `CLIENT LIST` shows it.
        client_name: Option<String> = None, Kind::Text, inert: LATER;
        /// The name of the master that the sentinels of a `sentinel://` URL watch.
        master_name: Option<String> = None, Kind::Text;
        /// How the sentinels are spoken to: `username`, `password`, `ssl`, `ssl_cert_reqs`, `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`,
        /// `socket_timeout`. The login of the URL is the master's.
        sentinel_kwargs: Option<SentinelKwargs> = None, Kind::Mapping;
        /// How many other sentinels a sentinel must know to be believed.
        min_other_sentinels: u32 = 0, Kind::Integer(0, 1000);
        /// Whether the channel of kombu before 5.4 is used too.
        sentinel_fanout_compat: bool = false, Kind::Flag, inert: LATER;
        /// The queue of messages that match no binding.
        deadletter_queue: Option<String> = None, Kind::Text, inert: LATER;
        /// Seconds a Python worker's BRPOP waits.
        polling_interval: Option<Seconds> = None, Kind::Seconds, inert: "an idle worker is woken by the server, it does not poll";
        /// How often kombu looks for messages to restore.
        unacked_restore_interval: Option<Seconds> = None, Kind::Seconds, inert: "dead workers' messages come back by their lease";
        /// Every how many looks kombu restores.
        unacked_restore_throttle: Option<u64> = None, Kind::Integer(1, i64::MAX), inert: "dead workers' messages come back by their lease";
        /// Whether unacknowledged messages are kept at all.
        ack_emulation: bool = true, Kind::Flag, inert: "unacknowledged messages are always kept";
        /// Seconds without an answer after which a connection is broken.
        socket_timeout: Option<Seconds> = None, Kind::Seconds, inert: "every command has a deadline of its own";
        /// How long connecting may take.
        socket_connect_timeout: Option<Seconds> = None, Kind::Seconds, inert: "every command has a deadline of its own";
        /// Whether the system keeps idle connections alive.
        socket_keepalive: bool = true, Kind::Flag, inert: POOL;
        /// Options of that.
        socket_keepalive_options: Option<Json> = None, Kind::Mapping, inert: POOL;
        /// How many connections there may be.
        max_connections: Option<u64> = None, Kind::Integer(1, i64::MAX), inert: POOL;
        /// Whether a command that timed out is sent again.
        retry_on_timeout: Option<bool> = None, Kind::Flag, inert: POOL;
        /// How often connecting is tried.
        max_retries: Option<u64> = None, Kind::Integer(0, i64::MAX), inert: "see broker_connection_max_retries";
    }
}

crate::settings! {
    /// What changes the wire on the backend's side.
    pub struct ResultTransportOptions at "result_backend_transport_options" {
        /// Put before every key of the backend, with `_` if it does not end in one of `: _ - .`.
        global_keyprefix: String = String::new(), Kind::Text;
        /// Whether a chord's body gets the results in the order of the header.
        result_chord_ordered: bool = true, Kind::Flag;
        /// The name of the master that the sentinels of a `sentinel://` URL watch.
        master_name: Option<String> = None, Kind::Text;
        /// How the sentinels are spoken to, as for the broker.
        sentinel_kwargs: Option<SentinelKwargs> = None, Kind::Mapping;
        /// How many other sentinels a sentinel must know to be believed.
        min_other_sentinels: u32 = 0, Kind::Integer(0, 1000);
        /// How the Python client repeats commands.
        retry_policy: Option<Json> = None, Kind::Mapping, inert: "commands are repeated with back-off until the broker's deadline";
    }
}

crate::settings! {
    /// How sending is repeated.
    pub struct PublishRetryPolicy at "task_publish_retry_policy" {
        /// How often; none: for ever.
        max_retries: Option<u32> = Some(3), Kind::Integer(0, i64::MAX);
        /// The first pause.
        interval_start: Seconds = Seconds::new(0.0), Kind::Seconds;
        /// By how much each pause is longer than the one before.
        interval_step: Seconds = Seconds::new(0.2), Kind::Seconds;
        /// The longest pause.
        interval_max: Seconds = Seconds::new(1.0), Kind::Seconds;
    }
}
