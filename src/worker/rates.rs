//! Rates are responsible for how often tasks begin: each run of a limited task takes a turn, and a message without one waits in the broker
//! beside its queue, so that it holds nobody up and dies with nobody.
//!
//! # Celery
//! `rate_limit` and the token buckets of `worker/consumer`. Differences: a limited message waits in the broker and not in a worker's
//! memory; `task_rate_limit_scope = "cluster"` counts the runs of all workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::request::Shared;
use crate::app::App;
use crate::broker::{Delivery, RateLimit, Turn};
use crate::config::{Rate, RateScope};
use crate::error::Result;
use crate::task::registry::Task;

/// How often the next turn is looked for while messages wait for one.
const LOOK: Duration = Duration::from_secs(1);
/// How often messages are looked for that another worker left waiting when it died.
const LEFT: Duration = Duration::from_secs(6);
/// How soon to look again while every slot is busy.
const BUSY: Duration = Duration::from_millis(20);

/// What a worker knows of rates.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// What remote control set, by task; none: no limit.
    set: Mutex<HashMap<String, Option<Rate>>>,
    /// Told when a message begins to wait, and when a limit changes.
    changed: Notify,
}

impl Rates {
    /// The limit of a task as it is now.
    pub(super) fn of(&self, app: &App, task: &Task) -> Option<Rate> {
        if let Some(set) = self.set_limits().get(&task.name) {
            return set.clone();
        }
        task.options.rate_limit.clone().or_else(|| app.settings().task_default_rate_limit.clone())
    }

    /// Whether a task is limited now.
    pub(super) fn limits(&self, shared: &Shared, task: &Task) -> bool {
        !self.limit(shared, task).every.is_zero()
    }

    /// Changes the limit of a task, also for its messages that wait already.
    pub(super) fn set(&self, task: &str, rate: Option<Rate>) {
        self.set_limits().insert(task.to_owned(), rate);
        self.changed.notify_one();
    }

    /// Takes a turn for a message of a task, if the task is limited; without one the message waits, and is ours no more.
    pub(super) async fn take_turn(&self, shared: &Shared, task: &Task, delivery: &Delivery) -> Result<Turn> {
        let limit = self.limit(shared, task);
        if limit.every.is_zero() {
            return Ok(Turn::Taken);
        }
        let turn = shared.app.broker().take_turn(delivery, &limit).await?;
        if turn == Turn::Deferred {
            self.changed.notify_one();
        }
        Ok(turn)
    }

    /// The limit as the broker knows it; its interval is zero for a task that is not limited now.
    fn limit<'a>(&self, shared: &'a Shared, task: &'a Task) -> RateLimit<'a> {
        let settings = shared.app.settings();
        let rate = if settings.worker_disable_rate_limits { None } else { self.of(&shared.app, task) };
        let owner = match task.options.rate_limit_scope.unwrap_or(settings.task_rate_limit_scope) {
            RateScope::Worker => shared.nodename.as_str(),
            RateScope::Cluster => "",
        };
        RateLimit { name: &task.name, owner, every: rate.and_then(|rate| rate.interval()).unwrap_or_default() }
    }

    fn set_limits(&self) -> MutexGuard<'_, HashMap<String, Option<Rate>>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets waiting messages go on as their turns come, while slots are free for them.
pub(super) async fn admit_limited(shared: Arc<Shared>, stop: CancellationToken) {
    let mut away = false;
    loop {
        let wait = match admit(&shared).await {
            Ok(wait) => {
                away = false;
                wait
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot look for turns of limited tasks; trying again"
                    );
                }
                LOOK
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.state.rates.changed.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

/// One look at every limit for which messages may wait; when to look next.
async fn admit(shared: &Shared) -> Result<Duration> {
    let queues = shared.state.queues.borrow().clone();
    let names = shared.app.broker().limited().await?;
    let mut next = if names.is_empty() { LEFT } else { LOOK };
    for name in names {
        let free = shared.window.slots.free();
        if free == 0 {
            return Ok(BUSY);
        }
        // What only other workers know is theirs to let go.
        if let Some(task) = shared.app.registry().get(&name) {
            let limit = shared.state.rates.limit(shared, task);
            let admitted = shared.app.broker().admit(&limit, &queues, free).await?;
            next = next.min(admitted.next_in.unwrap_or(LOOK));
        }
    }
    Ok(next)
}
