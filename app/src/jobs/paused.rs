//! Queues nobody is to take from for now: who is told to stop is kept on the broker, and only they are told to go on. Each worker has
//! queues of its own, and one that is told to take from another's would be handed tasks it does not know.

use std::collections::BTreeSet;
use std::time::Duration;

use celeriac::protocol::{Map, Value as Celery};
use serde_json::Value;

use super::fleet::{ANSWERED, queue_names};
use super::{Desk, Refusal, Result};

/// How long a pause is remembered.
const REMEMBERED: Duration = Duration::from_secs(365 * 86_400);

impl Desk {
    /// Tells the workers that take from a queue to take nothing more from it.
    pub(crate) async fn pause(&self, queue: &str) -> Result<()> {
        let mut stopped = self.stopped(queue).await?;
        let inspect = self.app.control().inspect().timeout(ANSWERED);
        let told = inspect.active_queues().await?.into_iter();
        stopped.extend(told.filter_map(|(name, queues)| queue_names(&queues.into()).any(|other| other == queue).then_some(name)));
        // First what is to be undone: a pause that is cut short can be resumed.
        self.keep_stopped(queue, &stopped).await?;
        let nobody = || format!("no worker takes from {queue} now; one started later takes from the queues it is started with");
        self.tell("cancel_consumer", queue, stopped, nobody).await
    }

    /// Tells those workers to take from it again, and nobody else.
    pub(crate) async fn resume(&self, queue: &str) -> Result<()> {
        let stopped = self.stopped(queue).await?;
        let nobody = || {
            format!(
                "{queue} is not paused: no worker was told here to take nothing from it; start a worker that serves it, or name one: \
                 `celeriac control add_consumer {queue} -d NODE`"
            )
        };
        self.tell("add_consumer", queue, stopped, nobody).await?;
        self.keep_stopped(queue, &BTreeSet::new()).await
    }

    async fn tell(&self, command: &str, queue: &str, workers: BTreeSet<String>, nobody: impl Fn() -> String) -> Result<()> {
        // A command without a destination is for everybody.
        if workers.is_empty() {
            return Err(Refusal::Conflict(nobody()));
        }
        let arguments: Map = [("queue".to_owned(), Celery::from(queue))].into_iter().collect();
        let workers: Vec<String> = workers.into_iter().collect();
        self.app.control().broadcast(command, arguments, &workers).await?;
        self.look_again().await;
        Ok(())
    }

    /// Who was told to take nothing from it.
    async fn stopped(&self, queue: &str) -> Result<BTreeSet<String>> {
        let kept = self.app.broker().kept(&set(queue), 0, REMEMBERED, 1).await?;
        Ok(kept.texts.first().and_then(|(text, _)| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    async fn keep_stopped(&self, queue: &str, workers: &BTreeSet<String>) -> Result<()> {
        let text = Value::from_iter(workers.iter().map(String::as_str)).to_string();
        Ok(self.app.broker().keep(&set(queue), &[text], REMEMBERED, 1).await?)
    }
}

fn set(queue: &str) -> String {
    format!("paused:{queue}")
}
