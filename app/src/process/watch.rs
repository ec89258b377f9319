//! Looks how far a job is: at the marks of its pages, or where its record cannot be read at what its task tells.

use std::time::Instant;

use celeriac::app::App;
use celeriac::protocol::state::State;
use celeriac::protocol::value::from_value;
use celeriac_tasks::job::{JobRecord, Progress, marks_key, read_marks};
use celeriac_tasks::result::Phase;
use celeriac_tasks::store::Store;
use chrono::Utc;

use super::progress::{Batch, Snapshot};

/// Watches one job.
pub(crate) struct Watch<'a> {
    app: &'a App,
    /// Where the job's record lies, if it can be read from here.
    store: &'a Store,
    job_id: &'a str,
    task_id: &'a str,
    record: Option<JobRecord>,
    /// When this run was first looked at, and how many pages were done by then: those of an earlier run say nothing of the speed.
    first: Option<(Instant, u32)>,
    /// The stage last told of; its task says nothing more once it has ended.
    phase: Option<Phase>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(app: &'a App, store: &'a Store, job_id: &'a str, task_id: &'a str) -> Self {
        Self { app, store, job_id, task_id, record: None, first: None, phase: None }
    }

    /// The job now; none before anything is known of it.
    pub(crate) async fn look(&mut self) -> Option<Snapshot> {
        if self.record.is_none() {
            // An earlier run of the same job has left its record; only the one of this run counts.
            let record = JobRecord::load(self.store, self.job_id).await.ok().flatten();
            self.record = record.filter(|record| record.job.root_task_id == self.task_id);
        }
        if self.record.is_none() {
            return self.told().await.map(|progress| snapshot(&progress, Vec::new()));
        }
        self.by_marks().await
    }

    async fn by_marks(&mut self) -> Option<Snapshot> {
        let record = self.record.as_ref()?;
        let row = self.app.backend().mark(&marks_key(self.job_id), &[], None).await.ok()?;
        let started = record.job.times.started.unwrap_or_else(Utc::now);
        let batches = record.batches();
        let mut progress = read_marks(self.job_id, &row, &record.pages, &batches, started, Utc::now());
        let running = running(&row, &batches);
        let (began, before) = *self.first.get_or_insert_with(|| (Instant::now(), progress.current));
        progress.pages_per_second =
            f64::from(progress.current - before.min(progress.current)) / began.elapsed().as_secs_f64().max(0.001);
        let left = f64::from(progress.total - progress.current) / progress.pages_per_second;
        progress.estimated_seconds_remaining = (progress.current > before).then(|| left.ceil() as u64);
        if progress.current == progress.total {
            self.phase = self.told().await.map(|told| told.phase).or(self.phase);
            progress.phase = self.phase.unwrap_or(progress.phase);
        }
        Some(snapshot(&progress, running))
    }

    /// What the job's task tells in its state.
    async fn told(&self) -> Option<Progress> {
        let meta = self.app.state_of(self.task_id).await.ok()??;
        let tells = matches!(&meta.status, State::Custom(name) if name == "PROGRESS");
        if tells { from_value(meta.result).ok() } else { None }
    }
}

/// The batches some page of which has begun, and not all ended.
fn running(row: &[u8], batches: &[&[u32]]) -> Vec<Batch> {
    let mark = |page: &u32| row.get(*page as usize).copied().unwrap_or(0);
    let count = |pages: &[u32], wanted: fn(u8) -> bool| pages.iter().filter(|page| wanted(mark(page))).count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let batch = |(index, pages): (usize, &&[u32])| {
        let (begun, done) = (count(pages, |mark| mark != 0), count(pages, |mark| matches!(mark, b'o' | b'x')));
        (begun > 0 && done < pages.len()).then(|| Batch {
            number: number(index + 1),
            first: pages.first().copied().unwrap_or_default(),
            last: pages.last().copied().unwrap_or_default(),
            done: number(done),
            total: number(pages.len()),
        })
    };
    batches.iter().enumerate().filter_map(batch).collect()
}

fn snapshot(progress: &Progress, running: Vec<Batch>) -> Snapshot {
    let phase = serde_json::to_value(progress.phase).ok();
    Snapshot {
        total: progress.total,
        current: progress.current,
        failed: progress.failed,
        phase: phase.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        pages_per_second: progress.pages_per_second,
        seconds_left: progress.estimated_seconds_remaining,
        batches: progress.batches.total,
        batches_done: progress.batches.completed,
        running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_runs_from_its_first_mark_to_its_last() {
        let pages: Vec<u32> = (1..=6).collect();
        let batches: Vec<&[u32]> = pages.chunks(2).collect();
        let running = running(b"\0oxro", &batches);
        assert_eq!(running, [Batch { number: 2, first: 3, last: 4, done: 1, total: 2 }]);
    }
}
