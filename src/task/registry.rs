//! The tasks a program knows, by name.
//!
//! # Celery
//! `app/registry.py`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::errback::Errback;
use super::handler::Handler;
use super::options::TaskOptions;

/// A registered task.
#[derive(Clone)]
pub struct Task {
    /// The name it is called by.
    pub name: String,
    /// How it is run.
    pub options: TaskOptions,
    /// Its code.
    pub(crate) handler: Arc<dyn Handler>,
    /// Its code as a new-style errback, if it is one.
    pub(crate) errback: Option<Arc<dyn Errback>>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The tasks of a program.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    tasks: HashMap<String, Task>,
}

impl Registry {
    /// Registers a task, replacing one of the same name, and returns its options to be set.
    pub(crate) fn add(&mut self, name: &str, handler: Arc<dyn Handler>) -> &mut TaskOptions {
        self.insert(Task { name: name.to_owned(), options: TaskOptions::default(), handler, errback: None })
    }

    /// Registers a new-style errback.
    pub(crate) fn add_errback<E: Errback + Handler + 'static>(&mut self, name: &str, errback: Arc<E>) -> &mut TaskOptions {
        let handler: Arc<dyn Handler> = errback.clone();
        self.insert(Task { name: name.to_owned(), options: TaskOptions::default(), handler, errback: Some(errback) })
    }

    fn insert(&mut self, task: Task) -> &mut TaskOptions {
        let entry = self.tasks.entry(task.name.clone());
        &mut entry.insert_entry(task).into_mut().options
    }

    /// The task of this name.
    pub fn get(&self, name: &str) -> Option<&Task> {
        self.tasks.get(name)
    }

    /// Whether this name is a new-style errback here.
    pub(crate) fn is_errback(&self, name: &str) -> bool {
        self.get(name).is_some_and(|task| task.errback.is_some())
    }

    /// The queues that tasks' authors chose, by task.
    pub(crate) fn queues(&self) -> HashMap<String, String> {
        self.tasks.values().filter_map(|task| Some((task.name.clone(), task.options.queue.clone()?))).collect()
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Applies `task_annotations`: what a deployment says about a task wins over its author.
    pub(crate) fn annotate(&mut self, settings: &crate::config::Settings) {
        for task in self.tasks.values_mut() {
            let annotation = settings.task_annotations.of(&task.name);
            task.options.annotate(&annotation);
        }
    }
}
