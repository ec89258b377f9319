//! The announcer is responsible for what a worker tells of its tasks: which event each step is, and of which tasks none is sent.
//!
//! # Celery
//! The `send_event` calls of `worker/request.py` and `worker/strategy.py`. Difference: a task whose ETA is far is announced as received
//! when it is parked, and again by the worker that gets it when it is due.

use std::time::Duration;

use crate::events::EventDispatcher;
use crate::protocol::event::Event;
use crate::protocol::exception::Exception;
use crate::protocol::value::Value;
use crate::task::outcome::{Failure, Outcome};
use crate::task::registry::Registry;
use crate::task::request::RequestInfo;

/// Tells of tasks.
#[derive(Debug)]
pub(super) struct Announcer {
    events: EventDispatcher,
    /// The tasks whose author wants no events.
    silent: Vec<String>,
}

impl Announcer {
    pub(super) fn new(events: EventDispatcher, registry: &Registry) -> Self {
        let silent = |name: &&str| registry.get(name).is_some_and(|task| task.options.send_events == Some(false));
        let silent = registry.names().into_iter().filter(silent).map(str::to_owned).collect();
        Self { events, silent }
    }

    /// A worker has the message.
    pub(super) fn received(&self, info: &RequestInfo) {
        if self.speaks_of(info) {
            self.events.send(&Event::task_received(&info.message));
        }
    }

    /// Its run begins.
    pub(super) fn started(&self, info: &RequestInfo) {
        if self.speaks_of(info) {
            self.events.send(&Event::task_started(info.id()));
        }
    }

    /// Its run was cut off, and is not settled.
    pub(super) fn cancelled(&self, info: &RequestInfo) {
        if self.speaks_of(info) {
            self.events.send(&Event::task_cancelled(info.id()));
        }
    }

    /// It is not known here.
    pub(super) fn unknown(&self, info: &RequestInfo, failure: &Failure) {
        self.events.send(&Event::task_failed(info.id(), &failure.exception.to_string(), None));
    }

    /// The events of an end, which are sent when it is settled.
    pub(super) fn ended(&self, info: &RequestInfo, outcome: &Outcome, runtime: Duration, signum: Option<i64>) -> Vec<Event> {
        if !self.speaks_of(info) {
            return Vec::new();
        }
        let id = info.id();
        match outcome {
            Outcome::Success(value) => vec![Event::task_succeeded(id, value, runtime.as_secs_f64())],
            Outcome::Failure(failure) => vec![failed(id, failure)],
            Outcome::Retry(retry) => {
                let cause = retry.cause.as_ref();
                let exception = cause.map_or_else(|| "None".to_owned(), |failure| failure.exception.to_string());
                vec![Event::task_retried(id, &exception, cause.and_then(|failure| failure.traceback.as_deref()))]
            }
            Outcome::Reject { requeue: false, reason } => {
                let failure = Failure::new(Exception::reject(Value::from(reason)));
                vec![failed(id, &failure), Event::task_rejected(id, false)]
            }
            Outcome::Reject { requeue: true, .. } | Outcome::Lost(_) => vec![Event::task_rejected(id, true)],
            Outcome::Revoked(reason) => vec![Event::task_revoked(id, signum, *reason == "expired")],
            Outcome::Ignore | Outcome::Replace(_) | Outcome::Abandoned => Vec::new(),
        }
    }

    /// Sends them.
    pub(super) fn send(&self, events: &[Event]) {
        events.iter().for_each(|event| self.events.send(event));
    }

    fn speaks_of(&self, info: &RequestInfo) -> bool {
        self.events.tasks_enabled() && !self.silent.iter().any(|name| name == info.task())
    }
}

fn failed(id: &str, failure: &Failure) -> Event {
    Event::task_failed(id, &failure.exception.to_string(), Some(failure.traceback.as_deref().unwrap_or_default()))
}
