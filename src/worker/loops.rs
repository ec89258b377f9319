//! The loops of a worker, their owner, and the order in which they end.
//!
//! # Celery
//! The blueprints of `celery/bootsteps.py`, which start in order and stop in reverse.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lifeline::Lifeline;
use crate::events::EventSender;

/// How long a worker that holds nothing more may take to say that it leaves.
const LEAVE: Duration = Duration::from_secs(1);

/// All of them.
#[derive(Debug)]
pub(super) struct Loops {
    pub(super) lifeline: Lifeline,
    /// Leases are renewed until the very end, what still runs during a warm stop must stay ours; so are heartbeats and remote control.
    working: JoinSet<()>,
    ended: CancellationToken,
    /// Events are sent until all else has ended, the last of them that the worker goes offline.
    sending: JoinSet<()>,
    sent: CancellationToken,
}

impl Loops {
    /// None yet.
    pub(super) fn new(lifeline: Lifeline) -> Self {
        let (ended, sent) = (CancellationToken::new(), CancellationToken::new());
        Self { lifeline, working: JoinSet::new(), ended, sending: JoinSet::new(), sent }
    }

    /// Given when the worker has nothing left to do.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Starts one.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.working.spawn(task);
    }

    /// Starts one that must go on whatever tasks do.
    pub(super) fn spawn_aside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.lifeline.spawn(&mut self.working, task);
    }

    /// Keeps a task that computes from holding up more than its thread.
    pub(super) fn stir(&mut self, busy: impl Fn() -> bool + Send + 'static) {
        self.lifeline.stir(&mut self.working, busy, self.ended.clone());
    }

    /// Starts to send events.
    pub(super) fn send(&mut self, sender: EventSender) {
        self.lifeline.spawn(&mut self.sending, sender.run(self.sent.clone()));
    }

    /// Ends them all, and waits for it if the broker answers.
    pub(super) async fn end(mut self) {
        let told = async {
            self.ended.cancel();
            while self.working.join_next().await.is_some() {}
            self.sent.cancel();
            while self.sending.join_next().await.is_some() {}
        };
        if timeout(LEAVE, told).await.is_err() {
            tracing::warn!("leaving without having told anybody: the broker does not answer");
        }
    }
}
