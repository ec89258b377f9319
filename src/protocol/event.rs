//! Events: what a worker or a sender tells whoever listens, and how it lies on the wire.
//!
//! # Celery
//! `events/event.py`, `events/dispatcher.py`, and the `send_event` calls of `worker/`. Several events of tasks travel as one list under
//! the routing key `task.multi`, as a Python worker sends them.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::envelope::Envelope;
use super::headers::Headers;
use super::message::Message;
use super::value::{Map, Value};
use super::{json, repr};

/// The routing key of a list of events.
pub const TASK_MULTI: &str = "task.multi";

/// An event: its type and the fields that belong to the type.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Such as `task-received`.
    pub kind: Cow<'static, str>,
    /// What it tells.
    pub fields: Vec<(Cow<'static, str>, Value)>,
}

/// Who sends an event, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp<'a> {
    /// The node's name.
    pub hostname: &'a str,
    /// Its process.
    pub pid: u32,
    /// Its logical clock, already raised for this event.
    pub clock: u64,
    /// The time.
    pub time: DateTime<Utc>,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulse {
    /// Seconds between two heartbeats.
    pub freq: f64,
    /// How many tasks run.
    pub active: usize,
    /// How many it has begun since its start.
    pub processed: u64,
    /// The machine's load over one, five and fifteen minutes.
    pub loadavg: [f64; 3],
}

/// What a worker is made of: the last fields of its own events.
pub fn software() -> [(&'static str, Value); 3] {
    [("sw_ident", "celeriac".into()), ("sw_ver", env!("CARGO_PKG_VERSION").into()), ("sw_sys", system().into())]
}

/// The system's name as Python's `platform.system()` spells it.
pub fn system() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        other => other,
    }
}

impl Event {
    /// An event of any type.
    pub fn new(kind: impl Into<Cow<'static, str>>, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self { kind: kind.into(), fields: fields.into_iter().map(|(name, value)| (name.into(), value)).collect() }
    }

    /// `worker-online`, `worker-heartbeat` or `worker-offline`.
    pub fn worker(kind: &'static str, pulse: &Pulse) -> Self {
        let Pulse { freq, active, processed, loadavg } = pulse;
        let fields = [
            ("freq", (*freq).into()),
            ("active", (*active).into()),
            ("processed", (*processed).into()),
            ("loadavg", loadavg.map(Value::Float).into()),
        ];
        Self::new(kind, fields.into_iter().chain(software()))
    }

    /// The heartbeat that is sent on demand, which says nothing of tasks.
    pub fn heartbeat_on_demand() -> Self {
        Self::new("worker-heartbeat", [("freq", Value::Int(5))].into_iter().chain(software()))
    }

    /// `task-sent`, from whoever publishes a task.
    pub fn task_sent(message: &Message, exchange: &str, routing_key: &str, queue: &str) -> Self {
        let Headers { id, root_id, parent_id, retries, .. } = &message.headers;
        let [args, kwargs] = reprs(message);
        let [eta, expires] = times(&message.headers);
        Self::new(
            "task-sent",
            [
                ("uuid", Value::from(id)),
                ("root_id", root_id.clone().into()),
                ("parent_id", parent_id.clone().into()),
                ("name", message.headers.shown_name().into()),
                args,
                kwargs,
                ("retries", (*retries).into()),
                eta,
                expires,
                ("queue", queue.into()),
                ("exchange", exchange.into()),
                ("routing_key", routing_key.into()),
            ],
        )
    }

    /// `task-received`: a worker has the message, and has not begun.
    pub fn task_received(message: &Message) -> Self {
        let Headers { id, root_id, parent_id, retries, .. } = &message.headers;
        let [args, kwargs] = reprs(message);
        let [eta, expires] = times(&message.headers);
        Self::new(
            "task-received",
            [
                ("uuid", Value::from(id)),
                ("name", message.headers.shown_name().into()),
                args,
                kwargs,
                ("root_id", root_id.clone().into()),
                ("parent_id", parent_id.clone().into()),
                ("retries", (*retries).into()),
                eta,
                expires,
            ],
        )
    }

    /// `task-started`.
    pub fn task_started(uuid: &str) -> Self {
        Self::new("task-started", [("uuid", uuid.into())])
    }

    /// `task-succeeded`, after so many seconds.
    pub fn task_succeeded(uuid: &str, result: &Value, runtime: f64) -> Self {
        let result = repr::value(result, repr::MAX_LENGTH);
        Self::new("task-succeeded", [("uuid", uuid.into()), ("result", result.into()), ("runtime", Value::Float(runtime))])
    }

    /// `task-failed`; without a traceback where no code ran.
    pub fn task_failed(uuid: &str, exception: &str, traceback: Option<&str>) -> Self {
        let traceback = traceback.map(|text| ("traceback", text.into()));
        Self::new("task-failed", [("uuid", uuid.into()), ("exception", exception.into())].into_iter().chain(traceback))
    }

    /// `task-retried`.
    pub fn task_retried(uuid: &str, exception: &str, traceback: Option<&str>) -> Self {
        let traceback = traceback.map(str::to_owned).into();
        Self::new("task-retried", [("uuid", uuid.into()), ("exception", exception.into()), ("traceback", traceback)])
    }

    /// `task-rejected`.
    pub fn task_rejected(uuid: &str, requeue: bool) -> Self {
        Self::new("task-rejected", [("uuid", uuid.into()), ("requeue", Value::Bool(requeue))])
    }

    /// `task-cancelled`: its run was cut off, and may begin again elsewhere.
    pub fn task_cancelled(uuid: &str) -> Self {
        Self::new("task-cancelled", [("uuid", uuid.into())])
    }

    /// `task-revoked`; `signum` is the signal that a running task was terminated with.
    pub fn task_revoked(uuid: &str, signum: Option<i64>, expired: bool) -> Self {
        let fields = [
            ("uuid", uuid.into()),
            ("terminated", Value::Bool(signum.is_some())),
            ("signum", signum.into()),
            ("expired", Value::Bool(expired)),
        ];
        Self::new("task-revoked", fields)
    }

    /// What stands before the first dash: `worker` or `task`.
    pub fn group(&self) -> &str {
        self.kind.split('-').next().unwrap_or_default()
    }

    /// The routing key when it travels alone.
    pub fn routing_key(&self) -> String {
        self.kind.replace('-', ".")
    }

    /// The whole event as JSON, its fields in Python's order.
    pub fn write(&self, stamp: &Stamp<'_>) -> String {
        let Stamp { hostname, pid, clock, time } = stamp;
        let mut out = String::with_capacity(384);
        out.push_str("{\"hostname\": ");
        json::write_string(&mut out, hostname);
        let _ = write!(out, ", \"utcoffset\": 0.0, \"pid\": {pid}, \"clock\": {clock}");
        for (name, value) in &self.fields {
            out.push_str(", ");
            json::write_string(&mut out, name);
            out.push_str(": ");
            json::write_value(&mut out, value);
        }
        out.push_str(", \"timestamp\": ");
        json::write_value(&mut out, &Value::Float(seconds(*time)));
        out.push_str(", \"type\": ");
        json::write_string(&mut out, &self.kind);
        out.push('}');
        out
    }
}

/// The envelope of one event, or of a list of them; `body` is JSON.
pub fn envelope(exchange: &str, routing_key: &str, hostname: &str, body: &str, delivery_tag: String) -> Envelope {
    let headers = Map::from_iter([("hostname".to_owned(), Value::from(hostname))]);
    Envelope::transient(exchange, routing_key, headers, body, delivery_tag)
}

/// A time as Python's `time.time()` gives it.
pub fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_micros() as f64 / 1e6
}

fn reprs(message: &Message) -> [(&'static str, Value); 2] {
    let args = message.headers.argsrepr.clone().unwrap_or_else(|| repr::args(&message.args));
    let kwargs = message.headers.kwargsrepr.clone().unwrap_or_else(|| repr::kwargs(&message.kwargs));
    [("args", args.into()), ("kwargs", kwargs.into())]
}

fn times(headers: &Headers) -> [(&'static str, Value); 2] {
    let text = |time: Option<super::time::Timestamp>| time.map(|time| time.to_string()).into();
    [("eta", text(headers.eta)), ("expires", text(headers.expires))]
}
