//! One task over many arguments: `map`, `starmap`, `chunks`, and a group whose tasks start one after the other.
//!
//! # Celery
//! `xmap`, `xstarmap`, `chunks` and `group.skew` of `canvas.py`. Difference: `chunks` is the group at once that Celery's becomes when it
//! is sent.

use super::builder::group;
use crate::protocol::{Signature, Value};

impl Signature {
    /// One job that calls this task with each item in turn; its value is the list of theirs. The worker's, not its pool's: nothing runs
    /// side by side.
    ///
    /// ```
    /// use celeriac::protocol::Signature;
    ///
    /// let squares = Signature::new("proj.square").map([1, 2, 3]);
    /// assert_eq!(squares.task, "celery.map");
    /// ```
    #[must_use]
    pub fn map(self, items: impl IntoIterator<Item: Into<Value>>) -> Self {
        mapped("celery.map", "xmap", self, items.into_iter().map(Into::into).collect())
    }

    /// The same with a list of arguments an item.
    #[must_use]
    pub fn starmap(self, argument_lists: impl IntoIterator<Item: Into<Value>>) -> Self {
        mapped("celery.starmap", "xstarmap", self, argument_lists.into_iter().map(Into::into).collect())
    }

    /// A group of jobs, each of which calls this task with up to `size` of the argument lists; its value is a list of lists.
    #[must_use]
    pub fn chunks(self, argument_lists: impl IntoIterator<Item: Into<Value>>, size: usize) -> Self {
        let lists: Vec<Value> = argument_lists.into_iter().map(Into::into).collect();
        group(lists.chunks(size.max(1)).map(|part| self.clone().starmap(part.to_vec())))
    }

    /// Lets the tasks of a group start one after the other: the first `start` seconds after it was sent, each next one `step` later, and
    /// none later than `stop`.
    #[must_use]
    pub fn skew(self, start: f64, stop: Option<f64>, step: f64) -> Self {
        let mut next = start;
        self.map_tasks(|_, task| {
            let task = task.countdown(next);
            next = stop.map_or(next + step, |stop| if next + step <= stop { next + step } else { next });
            task
        })
    }
}

fn mapped(task: &str, kind: &str, of: Signature, items: Value) -> Signature {
    Signature { subtask_type: Some(kind.to_owned()), immutable: true, ..Signature::new(task).kwarg("task", of).kwarg("it", items) }
}
