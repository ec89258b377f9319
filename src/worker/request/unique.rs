//! What makes a task the only one of its kind, and what becomes of its duplicates: they are refused while it is queued or running.
//!
//! The key is taken when a worker receives the message, because a Python producer knows nothing of it, and freed in the step that settles
//! the task.
//!
//! # Celery
//! Has no such thing; a header or property of the message is Celery's way to say more than it knows.

use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use super::{Left, Request};
use crate::broker::{KeyTaken, UniqueKey};
use crate::error::Result;
use crate::protocol::exception::Exception;
use crate::protocol::headers::{UNIQUE_FOR, UNIQUE_KEY};
use crate::protocol::value::Value;
use crate::protocol::{json, repr};
use crate::settlement::{HeldKey, KeyFate};
use crate::task::outcome::{Failure, Outcome};
use crate::task::registry::Task;
use crate::task::request::RequestInfo;
use crate::worker::settle::Ending;

/// How long a key is held at the longest where nobody says so.
const LASTS: Duration = Duration::from_secs(86_400);
/// The longest time that can be said, in seconds: thirty years.
const MOST: f64 = 1e9;
/// How long a message waits whose key cannot be asked for.
const SOON: Duration = Duration::from_secs(1);
/// How many bytes a key has at most.
const MOST_BYTES: usize = 1024;
/// How much of a bad value is shown.
const SHOWN: usize = 100;

impl Request {
    /// Takes the key of a task that is to be unique; how the delivery leaves if it is not run now.
    pub(super) async fn refused(&self, info: &mut RequestInfo) -> Option<Left> {
        let task = self.task(info);
        let (key, lasts) = match key(info, task).and_then(|key| Ok(key.zip(Some(lasts(info, task)?)))) {
            Ok(None) => return None,
            Ok(Some(found)) => found,
            Err(reason) => return Some(Box::pin(self.misuse(info, reason)).await),
        };
        let (name, lease) = (name(info, task, &key), self.shared.app.settings().celeriac.lease.duration());
        // A retry has other arguments, perhaps, and the same key.
        info.message.headers.custom.insert(UNIQUE_KEY.to_owned(), Value::from(key));
        match self.take_key(UniqueKey { name: &name, holder: info.id(), lasts, lease, revoked: None }).await {
            Ok(KeyTaken::Ours) => None,
            Ok(KeyTaken::Held(holder)) => Some(Box::pin(self.refuse(info, &holder)).await),
            Ok(KeyTaken::Copy) => Some(Box::pin(self.drop_copy(info)).await),
            Ok(KeyTaken::Lost) => Some(Left::Done),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %name, "cannot take a unique key; trying again soon");
                Some(Box::pin(self.put_aside(Utc::now() + SOON)).await)
            }
        }
    }

    /// Takes a key, also from one that was revoked and will not begin.
    async fn take_key(&self, key: UniqueKey<'_>) -> Result<KeyTaken> {
        let (broker, tag) = (self.shared.app.broker(), &self.delivery.tag);
        match broker.take_key(tag, &key).await? {
            KeyTaken::Held(holder) if self.shared.state.revoked().holds(&holder) => {
                broker.take_key(tag, &UniqueKey { revoked: Some(&holder), ..key }).await
            }
            taken => Ok(taken),
        }
    }

    /// Ends a duplicate as Celery ends a task that rejects its message: whoever waits for it, its chord and its errbacks are told.
    async fn refuse(&self, info: &RequestInfo, holder: &str) -> Left {
        self.shared.announcer.received(info);
        tracing::info!("Task {}[{}] refused: duplicate of {holder}", info.task(), info.id());
        self.shared.window.ran(Duration::ZERO, Duration::ZERO);
        self.end(info, Outcome::Reject { requeue: false, reason: format!("duplicate of {holder}") }).await
    }

    /// Drops a second copy of a message whose task is leased already: the other says how it ends.
    async fn drop_copy(&self, info: &RequestInfo) -> Left {
        tracing::info!("Task {}[{}] dropped: another copy of its message is being run", info.task(), info.id());
        let ending = Ending { key: None, ..self.ending(info, Outcome::Ignore) };
        self.settle(ending, &Default::default()).await;
        Left::Done
    }

    async fn misuse(&self, info: &RequestInfo, reason: String) -> Left {
        tracing::error!("Task {}[{}] not run: {reason}", info.task(), info.id());
        self.shared.announcer.received(info);
        self.end(info, Outcome::Failure(Failure::new(Exception::value_error(reason)))).await
    }

    /// The key a task may hold.
    pub(super) fn held_key(&self, info: &RequestInfo) -> Option<HeldKey> {
        let task = self.task(info);
        let key = key(info, task).ok().flatten()?;
        let (holder, tag) = (info.id().to_owned(), self.delivery.tag.clone());
        Some(HeldKey { name: name(info, task, &key), holder, tag, fate: KeyFate::Free })
    }
}

/// The key within those of its task: the one its caller gave, or what its arguments are.
fn key(info: &RequestInfo, task: Option<&Task>) -> Result<Option<String>, String> {
    match said(info, UNIQUE_KEY) {
        Some(Value::String(key)) if (1..=MOST_BYTES).contains(&key.len()) => Ok(Some(key.clone())),
        Some(other) => Err(format!("{UNIQUE_KEY} must be a text of 1 to {MOST_BYTES} bytes, not {}", repr::value(other, SHOWN))),
        None => Ok(task.is_some_and(|task| task.options.unique == Some(true)).then(|| of_arguments(info))),
    }
}

/// How long it is held at the longest: its ETA is added, which may be far.
fn lasts(info: &RequestInfo, task: Option<&Task>) -> Result<Duration, String> {
    let lasts = match said(info, UNIQUE_FOR) {
        Some(value) => value
            .as_f64()
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| Duration::from_secs_f64(seconds.min(MOST)))
            .ok_or_else(|| format!("{UNIQUE_FOR} must be a number of seconds above 0, not {}", repr::value(value, SHOWN)))?,
        None => task.and_then(|task| task.options.unique_for).unwrap_or(LASTS),
    };
    Ok(lasts + info.eta().and_then(|eta| (eta - Utc::now()).to_std().ok()).unwrap_or_default())
}

/// What a caller said by a header, or by an option that Celery does not know and so makes a property.
fn said<'a>(info: &'a RequestInfo, name: &str) -> Option<&'a Value> {
    let found = info.custom_headers().get(name).or_else(|| info.properties().extra.get(name));
    found.filter(|value| !value.is_null())
}

/// Keys are a task's own, by whatever name it is called: what two tasks do for one key is no duplicate.
fn name(info: &RequestInfo, task: Option<&Task>, key: &str) -> String {
    format!("{}({key})", task.map_or(info.task(), |task| &task.name))
}

/// The same for the same arguments, in whatever order their names come.
fn of_arguments(info: &RequestInfo) -> String {
    let mut call = Value::List(vec![Value::List(info.message.args.clone()), Value::Map(info.message.kwargs.clone())]);
    sort(&mut call);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, json::write(&call).as_bytes()).to_string()
}

fn sort(value: &mut Value) {
    match value {
        Value::List(values) => values.iter_mut().for_each(sort),
        Value::Map(map) => {
            map.sort_unstable_keys();
            map.values_mut().for_each(sort);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::headers::TimeLimit;
    use crate::protocol::message::Message;
    use crate::protocol::value::Map;

    fn called(kwargs: &str) -> RequestInfo {
        let Ok(Value::Map(kwargs)) = json::parse(kwargs.as_bytes()) else { panic!("no map: {kwargs}") };
        let message = Message { args: vec![1.into()], kwargs, ..Message::new("t.add", "id") };
        RequestInfo { message, queue: "q".into(), hostname: "h".into(), timelimit: TimeLimit::default() }
    }

    fn saying(name: &str, value: impl Into<Value>) -> RequestInfo {
        let mut info = called("{}");
        info.message.headers.custom = Map::from_iter([(name.to_owned(), value.into())]);
        info
    }

    #[test]
    fn the_same_arguments_are_the_same_key_in_whatever_order_their_names_come() {
        let one = of_arguments(&called(r#"{"a": {"x": 1, "y": [2]}, "b": null}"#));
        assert_eq!(one, of_arguments(&called(r#"{"b": null, "a": {"y": [2], "x": 1}}"#)));
        assert_ne!(one, of_arguments(&called(r#"{"a": {"x": 1, "y": [3]}, "b": null}"#)));
    }

    #[test]
    fn what_is_no_key_and_no_time_is_an_error_that_says_so() {
        for bad in [Value::from(""), Value::from("x".repeat(1025)), Value::Int(7), Value::Bool(true)] {
            assert!(
                key(&saying(UNIQUE_KEY, bad), None).unwrap_err().starts_with("unique_key must be a text of 1 to 1024 bytes, not ")
            );
        }
        for bad in [Value::Int(0), Value::Float(-1.0), Value::Float(f64::NAN), Value::from("soon")] {
            assert!(
                lasts(&saying(UNIQUE_FOR, bad), None)
                    .unwrap_err()
                    .starts_with("unique_for must be a number of seconds above 0, not ")
            );
        }
        assert_eq!(key(&saying(UNIQUE_KEY, Value::Null), None), Ok(None));
        assert_eq!(lasts(&saying(UNIQUE_FOR, 1.5), None), Ok(Duration::from_millis(1500)));
        assert_eq!(lasts(&saying(UNIQUE_FOR, f64::INFINITY), None), Ok(Duration::from_secs(1_000_000_000)));
    }
}
