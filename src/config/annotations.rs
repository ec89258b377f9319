//! Options of tasks that are set from outside their code.
//!
//! # Celery
//! Answers to `task_annotations` (`celery.app.annotations`): the entry `*` goes before the entry of the task's own name.
//! Only the options that a task has here can be set; Python's may set any attribute.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::values::{Rate, RateScope, Seconds};

/// What an annotation sets; what it leaves out stays as the task has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Annotation {
    /// How often the task may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// Whose runs that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_scope: Option<RateScope>,
    /// How often it is retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Whether it is kept as a dead letter when its retries are used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_exhausted: Option<bool>,
    /// The first pause before a retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_retry_delay: Option<Seconds>,
    /// After how long it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Seconds>,
    /// After how long it is asked to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_time_limit: Option<Seconds>,
    /// Whether its message is acknowledged after it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acks_late: Option<bool>,
    /// Whether that also follows a failure or a time limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acks_on_failure_or_timeout: Option<bool>,
    /// Whether it goes back to its queue when its child process dies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject_on_worker_lost: Option<bool>,
    /// Whether a call is refused while another with the same arguments is queued or running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<bool>,
    /// How long one that is unique keeps others out at the longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_for: Option<Seconds>,
    /// Whether its result is thrown away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_result: Option<bool>,
    /// Whether errors are kept even so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_errors_even_if_ignored: Option<bool>,
    /// Whether it is shown as `STARTED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_started: Option<bool>,
    /// The priority of its messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// After how long its messages are void.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Seconds>,
    /// How its arguments are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

/// The annotations of all tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskAnnotations(IndexMap<String, Annotation>);

impl TaskAnnotations {
    /// The own entry of a task, to change it.
    pub fn entry(&mut self, task: &str) -> &mut Annotation {
        self.0.entry(task.to_owned()).or_default()
    }

    /// What is set for a task: its own entry, and `*` where that one is silent.
    pub fn of(&self, task: &str) -> Annotation {
        let any = self.0.get("*").cloned().unwrap_or_default();
        let Some(own) = self.0.get(task).cloned() else { return any };
        Annotation {
            rate_limit: own.rate_limit.or(any.rate_limit),
            rate_limit_scope: own.rate_limit_scope.or(any.rate_limit_scope),
            max_retries: own.max_retries.or(any.max_retries),
            dead_letter_exhausted: own.dead_letter_exhausted.or(any.dead_letter_exhausted),
            default_retry_delay: own.default_retry_delay.or(any.default_retry_delay),
            time_limit: own.time_limit.or(any.time_limit),
            soft_time_limit: own.soft_time_limit.or(any.soft_time_limit),
            acks_late: own.acks_late.or(any.acks_late),
            acks_on_failure_or_timeout: own.acks_on_failure_or_timeout.or(any.acks_on_failure_or_timeout),
            reject_on_worker_lost: own.reject_on_worker_lost.or(any.reject_on_worker_lost),
            unique: own.unique.or(any.unique),
            unique_for: own.unique_for.or(any.unique_for),
            ignore_result: own.ignore_result.or(any.ignore_result),
            store_errors_even_if_ignored: own.store_errors_even_if_ignored.or(any.store_errors_even_if_ignored),
            track_started: own.track_started.or(any.track_started),
            priority: own.priority.or(any.priority),
            expires: own.expires.or(any.expires),
            compression: own.compression.or(any.compression),
        }
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Annotation)> {
        self.0.iter().map(|(name, annotation)| (name.as_str(), annotation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_own_annotation_ranks_above_the_one_for_all() {
        let all: TaskAnnotations =
            serde_json::from_str(r#"{"*": {"rate_limit": "1/s", "max_retries": 9}, "a": {"rate_limit": "120/m"}}"#).unwrap();
        assert_eq!(all.of("a").rate_limit.unwrap().as_str(), "120/m");
        assert_eq!(all.of("a").max_retries, Some(9));
        assert_eq!(all.of("b").rate_limit.unwrap().as_str(), "1/s");
    }

    #[test]
    fn an_unknown_attribute_is_an_error() {
        assert!(serde_json::from_str::<TaskAnnotations>(r#"{"a": {"rate_limt": "1/s"}}"#).is_err());
    }
}
