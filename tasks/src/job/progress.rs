//! How far a job is, as its task tells callers while it runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::{Batch, Entry, PageState};
use crate::result::Phase;

/// What `AsyncResult.info` holds while a job runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The job.
    pub job_id: String,
    /// Pages that ended, well or not.
    pub current: u32,
    /// Pages asked for.
    pub total: u32,
    /// Of them, those that failed.
    pub failed: u32,
    /// 0 to 100.
    pub percent: f64,
    /// The stage.
    pub phase: Phase,
    /// The batches; all zero on the direct way.
    pub batches: Batches,
    /// Pages a second since the job began.
    pub pages_per_second: f64,
    /// From the pages done so far; `None` before the first.
    pub estimated_seconds_remaining: Option<u64>,
}

/// How far the batches are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// All of them.
    pub total: u32,
    /// Those whose pages have all ended.
    pub completed: u32,
    /// Those of which some page has begun.
    pub running: u32,
}

impl Batches {
    /// Those of a job.
    pub fn of(entry: &Entry) -> Self {
        let batches = entry.batches();
        let count =
            |fits: fn(&Batch) -> bool| u32::try_from(batches.iter().filter(|batch| fits(batch)).count()).unwrap_or(u32::MAX);
        Self { total: count(|_| true), completed: count(Batch::is_complete), running: count(Batch::is_active) }
    }
}

impl Progress {
    /// Of a job, as it is at this time. Pages of an earlier run say nothing of the speed.
    pub fn of(entry: &Entry, now: DateTime<Utc>) -> Self {
        let (current, total) = (entry.ended(), entry.total());
        let seconds = entry.times.started.map_or(0.0, |started| (now - started).as_seconds_f64()).max(0.001);
        let own = current - entry.pages.count(|state| state == PageState::Cached);
        let speed = if entry.times.started.is_some() { f64::from(own) / seconds } else { 0.0 };
        Self {
            job_id: entry.job_id.clone(),
            current,
            total,
            failed: entry.failed(),
            percent: (f64::from(current) * 1000.0 / f64::from(total.max(1))).round() / 10.0,
            phase: entry.phase,
            batches: Batches::of(entry),
            pages_per_second: (speed * 100.0).round() / 100.0,
            estimated_seconds_remaining: (speed > 0.0).then(|| (f64::from(total - current) / speed).ceil() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::BatchSize;
    use crate::ledger::{Opened, PageStates, Submission};
    use chrono::TimeDelta;

    fn entry(states: &str) -> Entry {
        let mut entry = Entry::new("j", Submission::default(), Utc::now());
        entry.phase = Phase::Pages;
        entry.pages = PageStates::new(u32::try_from(states.len()).unwrap(), PageState::Queued);
        for (page, letter) in (1..).zip(states.chars()) {
            entry.pages.set(page, PageState::of(letter).unwrap());
        }
        entry.opened = Some(Opened {
            total_pages: entry.total(),
            threshold: 2,
            batch_size: BatchSize::Pages(2),
            title: None,
            analyzer: String::new(),
            summary: false,
            audio: false,
        });
        entry
    }

    #[test]
    fn pages_tell_batches_speed_and_what_remains() {
        let now = Utc::now();
        let mut entry = entry("ofroqq");
        entry.times.started = Some(now - TimeDelta::seconds(6));
        let progress = Progress::of(&entry, now);
        assert_eq!((progress.current, progress.failed, progress.total, progress.percent), (3, 1, 6, 50.0));
        assert_eq!(progress.batches, Batches { total: 3, completed: 1, running: 1 });
        assert_eq!(progress.estimated_seconds_remaining, Some(6));
    }

    #[test]
    fn what_was_done_before_estimates_nothing() {
        let progress = Progress::of(&entry("ccq"), Utc::now());
        assert_eq!((progress.current, progress.estimated_seconds_remaining), (2, None));
    }
}
