//! The announcer is responsible for what a worker tells of its tasks: which event each step is, and of which tasks none is sent.
//!
//! # Celery
//! The `send_event` calls of `worker/request.py` and `worker/strategy.py`. Difference: a task whose ETA is far is announced as received
//! when it is parked, and again by the worker that gets it when it is due.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::events::EventDispatcher;
use crate::metrics::{Metrics, Step, TaskLabels, exception_class};
use crate::protocol::event::Event;
use crate::protocol::exception::Exception;
use crate::protocol::value::Value;
use crate::task::outcome::{Failure, Outcome};
use crate::task::request::RequestInfo;

/// Tells of tasks.
#[derive(Debug)]
pub(super) struct Announcer {
    events: EventDispatcher,
    /// The tasks whose author wants no events.
    silent: Vec<String>,
    nodename: String,
    metrics: Option<Arc<Metrics>>,
}

/// What is told of an end when it is settled.
#[derive(Debug, Default)]
pub(super) struct Told {
    events: Vec<Event>,
    /// What is counted, and how long the task ran if it succeeded.
    steps: Vec<(Step, Option<String>)>,
    runtime: Option<Duration>,
}

impl Announcer {
    pub(super) fn new(events: EventDispatcher, app: &App, nodename: &str) -> Self {
        let registry = app.registry();
        let silent = |name: &&str| registry.get(name).is_some_and(|task| task.options.send_events == Some(false));
        let silent = registry.names().into_iter().filter(silent).map(str::to_owned).collect();
        Self { events, silent, nodename: nodename.to_owned(), metrics: app.metrics().cloned() }
    }

    /// A worker has the message.
    pub(super) fn received(&self, info: &RequestInfo) {
        self.count(info, Step::Received, None);
        if self.speaks_of(info) {
            self.events.send(&Event::task_received(&info.message));
        }
    }

    /// Its run begins.
    pub(super) fn started(&self, info: &RequestInfo) {
        self.count(info, Step::Started, None);
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
        self.count(info, Step::Failed, Some(exception_class(&failure.exception.to_string())));
        self.events.send(&Event::task_failed(info.id(), &failure.exception.to_string(), None));
    }

    /// What is told of an end when it is settled.
    pub(super) fn ended(&self, info: &RequestInfo, outcome: &Outcome, runtime: Duration, signum: Option<i64>) -> Told {
        let events = self.events_of(info, outcome, runtime, signum);
        if self.metrics.is_none() {
            return Told { events, ..Told::default() };
        }
        let class = |failure: &Failure| Some(exception_class(&failure.exception.to_string()).to_owned());
        let steps = match outcome {
            Outcome::Success(_) => vec![(Step::Succeeded, None)],
            Outcome::Failure(failure) => vec![(Step::Failed, class(failure))],
            Outcome::Retry(_) => vec![(Step::Retried, None)],
            Outcome::Reject { requeue: false, .. } => vec![(Step::Failed, Some("Reject".to_owned())), (Step::Rejected, None)],
            Outcome::Reject { requeue: true, .. } | Outcome::Lost(_) => vec![(Step::Rejected, None)],
            Outcome::Revoked(_) => vec![(Step::Revoked, None)],
            Outcome::Ignore | Outcome::Replace(_) | Outcome::Abandoned => Vec::new(),
        };
        Told { events, steps, runtime: matches!(outcome, Outcome::Success(_)).then_some(runtime) }
    }

    fn events_of(&self, info: &RequestInfo, outcome: &Outcome, runtime: Duration, signum: Option<i64>) -> Vec<Event> {
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

    /// Tells it.
    pub(super) fn tell(&self, info: &RequestInfo, told: &Told) {
        told.events.iter().for_each(|event| self.events.send(event));
        for (step, exception) in &told.steps {
            self.count(info, *step, exception.as_deref());
        }
        if let (Some(metrics), Some(runtime)) = (&self.metrics, told.runtime) {
            metrics.ran(self.labels(info), runtime);
        }
    }

    /// The pool sized itself.
    pub(super) fn scaled(&self, direction: &str) {
        if let Some(metrics) = &self.metrics {
            metrics.scaled(direction);
        }
    }

    fn count(&self, info: &RequestInfo, step: Step, exception: Option<&str>) {
        if let Some(metrics) = &self.metrics {
            metrics.count(step, self.labels(info), exception);
        }
    }

    fn labels<'a>(&'a self, info: &'a RequestInfo) -> TaskLabels<'a> {
        TaskLabels { name: info.headers().shown_name(), hostname: &self.nodename, queue: &info.queue }
    }

    fn speaks_of(&self, info: &RequestInfo) -> bool {
        self.events.tasks_enabled() && !self.silent.iter().any(|name| name == info.task())
    }
}

fn failed(id: &str, failure: &Failure) -> Event {
    Event::task_failed(id, &failure.exception.to_string(), Some(failure.traceback.as_deref().unwrap_or_default()))
}
