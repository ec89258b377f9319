//! Serving is responsible for all requests a worker holds: each lives in a task of its own, and what it does not run goes back.
//!
//! # Celery
//! The pool's hand-over in `worker/loops.py`. Difference: a message that waits for a slot goes back to its queue while the worker runs, so
//! that an idle neighbour may have it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::consumer::Reserved;
use super::request::{Left, Request, Shared};
use super::state::Leases;
use crate::error::Result;

/// Messages that are given up at about the same time go back together, in their order.
const GATHER: Duration = Duration::from_millis(5);
/// How long to wait after they could not be handed back.
const AGAIN: Duration = Duration::from_secs(1);

/// All requests.
pub(super) struct Serving {
    shared: Arc<Shared>,
    leases: Arc<Leases>,
    requests: JoinSet<Left>,
    /// Which delivery a request lives, and the how-manieth it was.
    living: HashMap<task::Id, (usize, String)>,
    received: usize,
    /// What is to be handed back.
    back: Vec<(usize, String)>,
    /// When that is done next.
    due: Instant,
}

impl Serving {
    pub(super) fn new(shared: Arc<Shared>, leases: Arc<Leases>) -> Self {
        let (requests, living, back) = (JoinSet::new(), HashMap::new(), Vec::new());
        Self { shared, leases, requests, living, received: 0, back, due: Instant::now() }
    }

    /// Lives every request until the fetcher has stopped and all are gone; what was not run is handed back, first received first.
    pub(super) async fn run(mut self, mut batches: mpsc::Receiver<Vec<Reserved>>) {
        // What a cold stop cuts off goes back together, so that it is in order.
        let cut_off = self.shared.shutdown.cut_off().clone();
        let mut fetching = true;
        while fetching || !self.requests.is_empty() {
            tokio::select! {
                batch = batches.recv(), if fetching => match batch {
                    Some(batch) => batch.into_iter().for_each(|reserved| self.begin(reserved)),
                    None => fetching = false,
                },
                Some(ended) = self.requests.join_next_with_id() => self.ended(ended),
                () = sleep_until(self.due), if !self.back.is_empty() && !cut_off.is_cancelled() => {
                    if let Err(error) = self.hand_back().await {
                        tracing::warn!(error = &error as &dyn std::error::Error, "cannot hand messages back; trying again");
                        self.due = Instant::now() + AGAIN;
                    }
                }
            }
        }
        self.hand_back_last().await;
    }

    /// The last time: for as long as the leases last. After that the messages come back by themselves.
    async fn hand_back_last(&mut self) {
        let end = Instant::now() + self.shared.app.settings().celeriac.lease.duration();
        loop {
            match self.hand_back().await {
                Ok(0) => return,
                Ok(count) => return tracing::info!(count, "handed back what was not finished"),
                Err(error) if Instant::now() >= end => {
                    let (error, count) = (&error as &dyn std::error::Error, self.back.len());
                    return tracing::error!(
                        error,
                        count,
                        "could not hand back; the messages come back when their leases have run out"
                    );
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot hand messages back; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn begin(&mut self, reserved: Reserved) {
        let tag = reserved.delivery.tag.clone();
        let request = self.requests.spawn(Box::pin(Request::new(Arc::clone(&self.shared), reserved).live()));
        self.living.insert(request.id(), (self.received, tag));
        self.received += 1;
    }

    fn ended(&mut self, ended: std::result::Result<(task::Id, Left), task::JoinError>) {
        let (id, left) = match ended {
            Ok((id, left)) => (id, left),
            // A panic of our own code: the lease is renewed no more, and the message comes back by itself.
            Err(error) => {
                tracing::error!(%error, "a request broke");
                (error.id(), Left::Done)
            }
        };
        match (left, self.living.remove(&id)) {
            (Left::Done, Some((_, tag))) => self.leases.release(&tag),
            (Left::HandBack, Some(received)) => {
                if self.back.is_empty() {
                    self.due = Instant::now() + GATHER;
                }
                self.back.push(received);
            }
            (_, None) => {}
        }
    }

    /// Puts what waits for it back to the heads of its queues.
    async fn hand_back(&mut self) -> Result<usize> {
        if self.back.is_empty() {
            return Ok(0);
        }
        self.back.sort_unstable();
        let tags: Vec<String> = self.back.iter().map(|(_, tag)| tag.clone()).collect();
        let count = self.shared.app.broker().put_back(&tags, false).await?;
        tags.iter().for_each(|tag| self.leases.release(tag));
        self.back.clear();
        Ok(count)
    }
}
