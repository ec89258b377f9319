//! Recalling what was revoked: before the first fetch, now and then, and whenever remote control was deaf for a while.
//!
//! # Celery
//! `--statedb`, which keeps what one worker has heard in a file of its own. Difference: the broker keeps it, for all workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::mingle::Mingle;
use crate::error::{Error, Result};
use crate::revocations::{Cursor, Revocations};
use crate::worker::state::WorkerState;

/// How often a worker looks: what a client says is heard at once, this is for what was not.
const EVERY: Duration = Duration::from_secs(30);

/// Reads what others kept into what this worker knows.
#[derive(Debug)]
pub(in crate::worker) struct Recall {
    revocations: Revocations,
    state: Arc<WorkerState>,
    cursor: Cursor,
    /// Asks the other workers, too, if that is wanted.
    mingle: Option<Mingle>,
    /// Told when broadcasts may have been missed.
    missed: Arc<Notify>,
    failing: bool,
}

impl Recall {
    /// Knows what was kept until now. A broker that is away is an error; one that refuses is not: then only what is heard is known.
    pub(in crate::worker) async fn begin(
        revocations: Revocations,
        state: Arc<WorkerState>,
        mingle: Option<Mingle>,
        missed: Arc<Notify>,
    ) -> Result<Self> {
        let mut recall = Self { revocations, state, cursor: Cursor::default(), mingle, missed, failing: false };
        match recall.look().await {
            Err(error) if error.is_transient() => return Err(error),
            looked => recall.noted(looked),
        }
        recall.mingle().await;
        Ok(recall)
    }

    /// Looks until `stop`.
    pub(in crate::worker) async fn run(mut self, stop: CancellationToken) {
        let missed = Arc::clone(&self.missed);
        loop {
            let was_deaf = tokio::select! {
                () = stop.cancelled() => return,
                () = missed.notified() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            if was_deaf {
                // All of it: after an outage the server may be another, with another clock.
                self.cursor = Cursor::default();
            }
            let looked = self.look().await;
            self.noted(looked);
            if was_deaf {
                self.mingle().await;
            }
        }
    }

    async fn mingle(&self) {
        if let Some(mingle) = &self.mingle {
            mingle.sync().await;
        }
    }

    async fn look(&mut self) -> Result<()> {
        let news = self.revocations.since(&mut self.cursor).await?;
        let mut revoked = self.state.revoked();
        revoked.add_aged(news.ids);
        news.stamps.iter().for_each(|(name, value)| revoked.add_stamps(name, value));
        Ok(())
    }

    /// Logs the first failure and the recovery.
    fn noted(&mut self, looked: Result<(), Error>) {
        match &looked {
            Ok(()) if self.failing => tracing::info!("what was revoked can be read again"),
            Err(error) if !self.failing => {
                tracing::warn!(error = error as &dyn std::error::Error, "cannot read what was revoked; trying again");
            }
            _ => {}
        }
        self.failing = looked.is_err();
    }
}
