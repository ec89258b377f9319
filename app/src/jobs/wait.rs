//! Waiting for a job's end.

use std::time::Duration;

use celeriac_tasks::ledger::{Entry, Kind};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{Desk, Result};

impl Desk {
    /// The job once it has ended, or as it is when the time is over or the caller has to leave.
    pub(crate) async fn wait(&self, job_id: &str, time: Duration, leaving: &CancellationToken) -> Result<Entry> {
        // First the ear, then the look: an end between the two is heard.
        let mut follower = self.ledger.follow().await?;
        let entry = self.job(job_id).await?;
        if entry.status.is_terminal() {
            return Ok(entry);
        }
        let ended = async {
            loop {
                match follower.recv().await {
                    Ok(told) if told.event.job_id == job_id && told.event.kind == Kind::End => return,
                    // What was missed may have been the end.
                    Err(RecvError::Lagged(_)) if self.has_ended(job_id).await => return,
                    Err(RecvError::Closed) => return,
                    _ => {}
                }
            }
        };
        // Time over: as it is.
        let _ = tokio::time::timeout(time, leaving.run_until_cancelled(ended)).await;
        self.job(job_id).await
    }

    async fn has_ended(&self, job_id: &str) -> bool {
        self.job(job_id).await.is_ok_and(|entry| entry.status.is_terminal())
    }
}
