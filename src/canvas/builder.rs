//! Composing signatures: [`chain`], [`group`], [`chord`], and what comes after what.
//!
//! # Celery
//! The `|` operator and the classes `chain`, `group` and `chord` of `canvas.py`; they come to the same signatures. Differences: a group of
//! one stays a group in a chain, and nothing here is changed in place: a method takes a signature and gives one.

use std::collections::HashSet;
use std::ops::BitOr;

use crate::protocol::{Map, Signature, Value, json};

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

/// Celery's `|`: this, then that with its value.
impl BitOr for Signature {
    type Output = Signature;

    fn bitor(self, next: Signature) -> Signature {
        self.then(next)
    }
}

/// Compositions; what one call says is in [`super::call`].
impl Signature {
    /// This, then `next` with its value: Celery's `|`, which may be written as well.
    ///
    /// ```
    /// use celeriac::canvas::{chord, group};
    /// use celeriac::protocol::Signature;
    ///
    /// let add = |x| Signature::new("proj.add").arg(x);
    /// let total = Signature::new("proj.xsum");
    /// assert_eq!(group([add(1), add(2)]) | total.clone(), chord([add(1), add(2)], total));
    /// ```
    #[must_use]
    pub fn then(self, next: Signature) -> Self {
        if next.is_chain() && next.options.is_empty() {
            return next.tasks().into_iter().fold(self, Signature::then);
        }
        if self.is_group() {
            return chord_of(self, next);
        }
        if self.is_chord() {
            return self.map_part("body", |body| body.then(next));
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

    /// The same with each of its tasks changed; a chord's are those of its header.
    pub(super) fn map_tasks(self, mut change: impl FnMut(usize, Signature) -> Signature) -> Self {
        if self.is_chord() {
            return self.map_part("header", |header| match header.is_group() {
                true => header.map_tasks(change),
                false => change(0, header),
            });
        }
        let tasks = self.tasks().into_iter().enumerate().map(|(place, task)| change(place, task)).collect();
        self.with_tasks(tasks)
    }

    /// The same with the header or body of a chord changed.
    pub(super) fn map_part(mut self, part: &str, change: impl FnOnce(Signature) -> Signature) -> Self {
        let found = match self.kwargs.get_mut(part).map(Value::take) {
            // An old Python's header is a bare list.
            Some(Value::List(tasks)) => Ok(group(tasks.into_iter().filter_map(|task| Signature::from_value(task).ok()))),
            other => Signature::from_value(other.unwrap_or_default()),
        };
        if let Ok(found) = found {
            self.kwargs.insert(part.to_owned(), change(found).into_value());
        }
        self
    }

    /// Appends to an option that is a list, what is not there yet.
    pub(super) fn extend_option(&mut self, name: &str, values: impl IntoIterator<Item = Value>) {
        let mut list = match self.options.shift_remove(name) {
            Some(Value::List(list)) => list,
            None | Some(Value::Null) => Vec::new(),
            Some(one) => vec![one],
        };
        // By their text: comparing each with each would take a message of many callbacks minutes.
        let mut known: HashSet<String> = list.iter().map(json::write).collect();
        list.extend(values.into_iter().filter(|value| known.insert(json::write(value))));
        self.options.insert(name.to_owned(), Value::List(list));
    }

    /// The options, taken out.
    pub(super) fn take_options(&mut self) -> Map {
        std::mem::take(&mut self.options)
    }
}
