//! Looks how far a job is.

use celeriac_tasks::job::Progress;
use celeriac_tasks::ledger::{Entry, Ledger};
use chrono::Utc;

use super::progress::{Batch, Snapshot};

/// Watches one job.
pub(crate) struct Watch<'a> {
    ledger: &'a Ledger,
    job_id: &'a str,
    /// Whether this run was seen: before, the ledger tells of an earlier one.
    seen: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(ledger: &'a Ledger, job_id: &'a str) -> Self {
        Self { ledger, job_id, seen: false }
    }

    /// The job now; none before anything is known of it.
    pub(crate) async fn look(&mut self) -> Option<Snapshot> {
        let entry = self.ledger.get(self.job_id).await.ok().flatten()?;
        self.seen |= !entry.status.is_terminal();
        (self.seen && !entry.pages.is_empty()).then(|| snapshot(&entry))
    }
}

/// A job as it is shown.
pub(crate) fn snapshot(entry: &Entry) -> Snapshot {
    let progress = Progress::of(entry, Utc::now());
    let running = entry.batches().into_iter().filter(celeriac_tasks::ledger::Batch::is_active);
    let batch = |batch: celeriac_tasks::ledger::Batch| Batch {
        number: batch.number,
        first: batch.first,
        last: batch.last,
        done: batch.ended,
        total: batch.pages,
    };
    let phase = serde_json::to_value(progress.phase).ok();
    Snapshot {
        documents: entry.parts.is_some(),
        total: progress.total,
        current: progress.current,
        failed: progress.failed,
        phase: phase.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        pages_per_second: progress.pages_per_second,
        seconds_left: progress.estimated_seconds_remaining,
        batches: progress.batches.total,
        batches_done: progress.batches.completed,
        running: running.map(batch).collect(),
    }
}
