//! The tasks a program knows, by name.
//!
//! # Celery
//! `app/registry.py`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

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
        let task = Task { name: name.to_owned(), options: TaskOptions::default(), handler };
        let entry = self.tasks.entry(name.to_owned());
        &mut entry.insert_entry(task).into_mut().options
    }

    /// The task of this name.
    pub fn get(&self, name: &str) -> Option<&Task> {
        self.tasks.get(name)
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
}

impl Registry {
    /// Applies `task_annotations`: what a deployment says about a task wins over its author.
    pub(crate) fn annotate(&mut self, settings: &crate::config::Settings) {
        for task in self.tasks.values_mut() {
            let annotation = settings.task_annotations.of(&task.name);
            task.options.annotate(&annotation);
        }
    }
}
