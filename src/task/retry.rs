//! How a task asks for another try, what the try is called with, and how long it waits.
//!
//! # Celery
//! `Task.retry` of `app/task.py` without the sending, `utils/time.py: get_exponential_backoff_interval`, and the task options
//! `default_retry_delay`, `retry_backoff`, `retry_backoff_max`, `retry_jitter`.

use std::time::Duration;

use super::outcome::{Failure, TaskError};
use crate::protocol::message::Message;
use crate::protocol::time::Timestamp;
use crate::protocol::value::{Map, Value};

/// A task asks to be run again. What is `None` stays as it was, or is as the task's options say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// Why; `None` when the task only wants to wait.
    pub cause: Option<Failure>,
    /// How long to wait.
    pub countdown: Option<Duration>,
    /// Not before this, instead of a countdown.
    pub eta: Option<Timestamp>,
    /// The task's limit for this retry.
    pub max_retries: Option<u32>,
    /// Other positional arguments.
    pub args: Option<Vec<Value>>,
    /// Other keyword arguments.
    pub kwargs: Option<Map>,
    /// Until when it may start; `Some(None)` takes an expiry away.
    pub expires: Option<Option<Timestamp>>,
    /// Another queue.
    pub queue: Option<String>,
    /// Another priority.
    pub priority: Option<i64>,
}

/// Changes of a [`TaskError::Retry`]; any other error stays as it is.
impl TaskError {
    fn retried(mut self, change: impl FnOnce(&mut Retry)) -> Self {
        if let Self::Retry(retry) = &mut self {
            change(retry);
        }
        self
    }

    /// How long the retry waits.
    #[must_use]
    pub fn countdown(self, countdown: Duration) -> Self {
        self.retried(|retry| retry.countdown = Some(countdown))
    }

    /// When the retry runs.
    #[must_use]
    pub fn eta(self, eta: impl Into<Timestamp>) -> Self {
        self.retried(|retry| retry.eta = Some(eta.into()))
    }

    /// How many retries there may be, instead of the task's own limit.
    #[must_use]
    pub fn max_retries(self, limit: u32) -> Self {
        self.retried(|retry| retry.max_retries = Some(limit))
    }

    /// Runs again with other positional arguments; keyword arguments they name are dropped, the others are kept.
    #[must_use]
    pub fn args(self, args: impl IntoIterator<Item = Value>) -> Self {
        self.retried(|retry| retry.args = Some(args.into_iter().collect()))
    }

    /// Runs again with other keyword arguments; positional arguments they name take the new value, the others are kept.
    #[must_use]
    pub fn kwargs(self, kwargs: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.retried(|retry| retry.kwargs = Some(kwargs.into_iter().collect()))
    }

    /// Until when the retry may start; `None` takes an expiry away.
    #[must_use]
    pub fn expires(self, expires: Option<Timestamp>) -> Self {
        self.retried(|retry| retry.expires = Some(expires))
    }

    /// The queue of the retry, instead of the one the message came from.
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.retried(|retry| retry.queue = Some(queue.into()))
    }

    /// The priority of the retry, instead of the message's own.
    #[must_use]
    pub fn priority(self, priority: i64) -> Self {
        self.retried(|retry| retry.priority = Some(priority))
    }
}

impl Retry {
    /// Fits new arguments to those of the message: a call by keyword that is retried with positional arguments, or the other way round,
    /// keeps what the new ones do not name. `parameters` are the task's, where it has names.
    pub(crate) fn bind(&mut self, message: &Message, parameters: Option<&[&str]>) {
        let Some(parameters) = parameters else { return };
        match (&mut self.args, &mut self.kwargs) {
            (Some(args), kwargs @ None) if !message.kwargs.is_empty() => {
                let mut kept = message.kwargs.clone();
                for name in parameters.iter().take(args.len()) {
                    kept.shift_remove(*name);
                }
                *kwargs = Some(kept);
            }
            (args @ None, Some(kwargs)) if !message.args.is_empty() => {
                let mut kept = message.args.clone();
                for (place, name) in kept.iter_mut().zip(parameters) {
                    if let Some(value) = kwargs.shift_remove(*name) {
                        *place = value;
                    }
                }
                *args = Some(kept);
            }
            _ => {}
        }
    }
}

/// Exponential back-off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first delay; each further one doubles.
    pub base: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// Full jitter: a random part of the delay instead of all of it, so that many tasks that failed together do not come back together.
    pub jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), max: Duration::from_secs(600), jitter: true }
    }
}

impl Backoff {
    /// The delay before retry number `retries` (0 for the first); `random` is in `0.0..1.0`.
    pub fn delay(&self, retries: u32, random: f64) -> Duration {
        let full = self.base.as_secs_f64() * 2f64.powi(retries.min(64).cast_signed());
        let full = full.min(self.max.as_secs_f64());
        Duration::from_secs_f64(if self.jitter { full * random.clamp(0.0, 1.0) } else { full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_maximum_and_jitter_stays_below_it() {
        let plain = Backoff { jitter: false, ..Backoff::default() };
        let seconds: Vec<u64> = [0, 1, 2, 9, 10, 4000].iter().map(|n| plain.delay(*n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 512, 600, 600]);
        assert_eq!(Backoff::default().delay(3, 0.25), Duration::from_secs(2));
    }

    #[test]
    fn new_arguments_of_one_kind_keep_those_of_the_other_that_they_do_not_name() {
        let named =
            |pairs: &[(&str, i64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::Int(*value))).collect::<Map>();
        let parameters = Some(&["foo", "bar", "label"][..]);
        let message = Message { kwargs: named(&[("foo", 1), ("bar", 2), ("label", 9)]), ..Message::default() };
        let mut retry = Retry { args: Some(vec![2.into(), 3.into()]), ..Retry::default() };
        retry.bind(&message, parameters);
        assert_eq!((retry.args, retry.kwargs), (Some(vec![2.into(), 3.into()]), Some(named(&[("label", 9)]))));
        let message = Message { args: vec![1.into(), 2.into()], ..Message::default() };
        let mut retry = Retry { kwargs: Some(named(&[("foo", 5), ("label", 9)])), ..Retry::default() };
        retry.bind(&message, parameters);
        assert_eq!((retry.args, retry.kwargs), (Some(vec![5.into(), 2.into()]), Some(named(&[("label", 9)]))));
    }
}
