//! The tasks a program knows, by name.
//!
//! # Celery
//! `app/registry.py`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use super::errback::Errback;
use super::handler::Handler;
use super::options::TaskOptions;
use crate::error::{Error, Result};

/// A registered task.
#[derive(Clone)]
pub struct Task {
    /// Its own name.
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
    /// By the names they are called by, which may be more than their own.
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

    /// The task whose own name this is.
    fn own(&self, name: &str) -> Option<&Task> {
        self.get(name).filter(|task| task.name == name)
    }

    /// Makes tasks known by other names, too; a task's own name is stronger.
    pub(crate) fn alias(&mut self, aliases: &IndexMap<String, String>) {
        for (alias, name) in aliases {
            if let Some(task) = self.own(name).cloned() {
                self.tasks.entry(alias.clone()).or_insert(task);
            }
        }
    }

    /// Whether each of these names is another name of a task.
    pub(crate) fn check_aliases(&self, aliases: &IndexMap<String, String>) -> Result<()> {
        for (alias, name) in aliases {
            let wrong = match () {
                () if self.own(alias).is_some() => format!("{alias} is a task itself"),
                () if self.own(name).is_none() => format!("there is no task {name}"),
                () => continue,
            };
            return Err(Error::config(format!("celeriac.task_aliases: {alias:?} cannot be another name of {name:?}: {wrong}")));
        }
        Ok(())
    }

    /// Whether this name is a new-style errback here.
    pub(crate) fn is_errback(&self, name: &str) -> bool {
        self.get(name).is_some_and(|task| task.errback.is_some())
    }

    /// The queues that tasks' authors chose, by task.
    pub(crate) fn queues(&self) -> HashMap<String, String> {
        self.tasks.iter().filter_map(|(name, task)| Some((name.clone(), task.options.queue.clone()?))).collect()
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
