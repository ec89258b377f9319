//! Writing canvases: `Signature::new("tasks.add").arg(1).queue("q")`, [`chain`], [`group`], [`chord`].
//!
//! # Celery
//! `Signature.s/.si/.set/.link` and the `|` operator of `canvas.py`; the compositions come to the same signatures.

use serde::Serialize;

use crate::error::Result;
use crate::protocol::{Map, Signature, Timestamp, Value, to_value};

const CHAIN: &str = "chain";
const GROUP: &str = "group";
const CHORD: &str = "chord";

/// One after the other: each task gets the value of the one before. A group followed by something becomes a chord.
pub fn chain(tasks: impl IntoIterator<Item = Signature>) -> Signature {
    tasks.into_iter().fold(composed(CHAIN, "tasks", Vec::new()), Signature::then)
}

/// All at once.
pub fn group(tasks: impl IntoIterator<Item = Signature>) -> Signature {
    composed(GROUP, "tasks", tasks.into_iter().collect())
}

/// All of the header at once, then the body with the list of their values.
pub fn chord(header: impl IntoIterator<Item = Signature>, body: Signature) -> Signature {
    chord_of(group(header), body)
}

pub(super) fn chord_of(header: Signature, body: Signature) -> Signature {
    let mut signature = Signature::new("celery.chord");
    signature.kwargs.insert("kwargs".to_owned(), Value::map());
    signature.kwargs.insert("header".to_owned(), header.into_value());
    signature.kwargs.insert("body".to_owned(), body.into_value());
    signature.subtask_type = Some(CHORD.to_owned());
    signature
}

fn composed(kind: &str, key: &str, parts: Vec<Signature>) -> Signature {
    let mut signature = Signature::new(format!("celery.{kind}"));
    signature.kwargs.insert(key.to_owned(), parts.into_iter().map(Signature::into_value).collect());
    signature.subtask_type = Some(kind.to_owned());
    signature
}

/// Only what a person writes; reading a signature is in [`crate::protocol::signature`].
impl Signature {
    /// Adds a positional argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Adds positional arguments.
    #[must_use]
    pub fn args(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.args.extend(values);
        self
    }

    /// Adds a keyword argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }

    /// Adds the fields of a struct (or the entries of a map) as keyword arguments.
    pub fn with<T: Serialize + ?Sized>(mut self, arguments: &T) -> Result<Self> {
        match to_value(arguments)? {
            Value::Map(map) => self.kwargs.extend(map),
            Value::Null => {}
            other => self.args.push(other),
        }
        Ok(self)
    }

    /// Takes no value from the task before it.
    #[must_use]
    pub fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }

    /// Sets any publish option.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set_option(name, value);
        self
    }

    /// Names its queue.
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.set("queue", queue.into())
    }

    /// Sets its priority: 0 is served first, 9 last.
    #[must_use]
    pub fn priority(self, priority: i64) -> Self {
        self.set("priority", priority)
    }

    /// Runs it so many seconds after it was published.
    #[must_use]
    pub fn countdown(self, seconds: f64) -> Self {
        self.set("countdown", seconds)
    }

    /// Runs it not before a moment.
    #[must_use]
    pub fn eta(self, moment: impl Into<Timestamp>) -> Self {
        self.set("eta", moment.into().to_string())
    }

    /// Runs it not after a moment.
    #[must_use]
    pub fn expires(self, moment: impl Into<Timestamp>) -> Self {
        self.set("expires", moment.into().to_string())
    }

    /// Chooses its id: of a chain its last step's, of a chord its body's.
    #[must_use]
    pub fn id(mut self, task_id: impl Into<String>) -> Self {
        super::inherit::force(&mut self, "task_id", Value::String(task_id.into()));
        self
    }

    /// Adds a custom header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let headers = self.options.entry("headers".to_owned()).or_insert_with(Value::map);
        if let Some(map) = headers.as_map_mut() {
            map.insert(name.into(), value.into());
        }
        self
    }

    /// Calls `callback` with its value when it succeeds.
    #[must_use]
    pub fn link(mut self, callback: Signature) -> Self {
        self.extend_option("link", [callback.into_value()]);
        self
    }

    /// Calls `errback` with its id when it fails.
    #[must_use]
    pub fn link_error(mut self, errback: Signature) -> Self {
        self.extend_option("link_error", [errback.into_value()]);
        self
    }

    /// This, then `next` with its value: Celery's `|`.
    #[must_use]
    pub fn then(self, next: Signature) -> Self {
        if next.is_chain() && next.options.is_empty() {
            return next.tasks().into_iter().fold(self, Signature::then);
        }
        if self.is_group() {
            return chord_of(self, next);
        }
        if self.is_chord() {
            return self.map_body(|body| body.then(next));
        }
        if !self.is_chain() {
            return composed(CHAIN, "tasks", vec![self]).then(next);
        }
        let mut tasks = self.tasks();
        if tasks.is_empty() && self.options.is_empty() && !next.is_plain() {
            return next;
        }
        match tasks.pop() {
            Some(last) if last.is_group() => tasks.push(chord_of(last, next)),
            Some(last) => tasks.extend([last, next]),
            None => tasks.push(next),
        }
        self.with_tasks(tasks)
    }

    /// True for a call of one task.
    pub fn is_plain(&self) -> bool {
        !(self.is_chain() || self.is_group() || self.is_chord())
    }

    /// True for a chain.
    pub fn is_chain(&self) -> bool {
        self.subtask_type.as_deref() == Some(CHAIN)
    }

    /// True for a group.
    pub fn is_group(&self) -> bool {
        self.subtask_type.as_deref() == Some(GROUP)
    }

    /// True for a chord.
    pub fn is_chord(&self) -> bool {
        self.subtask_type.as_deref() == Some(CHORD)
    }

    /// The parts of a chain or group that are readable as signatures.
    pub fn tasks(&self) -> Vec<Signature> {
        let parts = self.kwargs.get("tasks").and_then(Value::as_list).unwrap_or_default();
        parts.iter().filter_map(|part| Signature::from_value(part.clone()).ok()).collect()
    }

    pub(super) fn with_tasks(mut self, tasks: Vec<Signature>) -> Self {
        self.kwargs.insert("tasks".to_owned(), tasks.into_iter().map(Signature::into_value).collect());
        self
    }

    fn map_body(mut self, change: impl FnOnce(Signature) -> Signature) -> Self {
        let body = self.kwargs.get_mut("body").map(Value::take).unwrap_or_default();
        if let Ok(body) = Signature::from_value(body) {
            self.kwargs.insert("body".to_owned(), change(body).into_value());
        }
        self
    }

    /// Appends to an option that is a list.
    pub(super) fn extend_option(&mut self, name: &str, values: impl IntoIterator<Item = Value>) {
        let mut list = match self.options.shift_remove(name) {
            Some(Value::List(list)) => list,
            None | Some(Value::Null) => Vec::new(),
            Some(one) => vec![one],
        };
        for value in values {
            if !list.contains(&value) {
                list.push(value);
            }
        }
        self.options.insert(name.to_owned(), Value::List(list));
    }

    /// The options, taken out.
    pub(super) fn take_options(&mut self) -> Map {
        std::mem::take(&mut self.options)
    }
}
