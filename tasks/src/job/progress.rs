//! How far a job is: one mark a page, shared by all workers, and what callers are told of it.
//!
//! The marks are a row of bytes in the result backend. A mark is set, not counted: a page that is done twice counts once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::result::Phase;

/// The state of one page in the row of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// Some worker has begun it.
    Running = b'r',
    /// Done.
    Ok = b'o',
    /// Failed for good.
    Failed = b'x',
}

/// The key of a job's row of marks.
pub fn marks_key(job_id: &str) -> String {
    format!("celeriac-job-{job_id}-pages")
}

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

/// Reads a row of marks. `batches` are the pages of each batch.
pub fn read(job_id: &str, row: &[u8], pages: &[u32], batches: &[&[u32]], started: DateTime<Utc>, now: DateTime<Utc>) -> Progress {
    let mark = |page: &u32| row.get(*page as usize).copied().unwrap_or(0);
    let ended = |page: &u32| matches!(mark(page), b'o' | b'x');
    let count = |wanted: &dyn Fn(&u32) -> bool| u32::try_from(pages.iter().filter(|page| wanted(page)).count()).unwrap_or(u32::MAX);
    let current = count(&ended);
    let mut told = Batches { total: u32::try_from(batches.len()).unwrap_or(u32::MAX), ..Batches::default() };
    for batch in batches {
        if batch.iter().all(ended) {
            told.completed += 1;
        } else if batch.iter().any(|page| mark(page) != 0) {
            told.running += 1;
        }
    }
    let total = u32::try_from(pages.len()).unwrap_or(u32::MAX);
    let seconds = (now - started).as_seconds_f64().max(0.001);
    let speed = f64::from(current) / seconds;
    Progress {
        job_id: job_id.to_owned(),
        current,
        total,
        failed: count(&|page| mark(page) == b'x'),
        percent: (f64::from(current) * 1000.0 / f64::from(total.max(1))).round() / 10.0,
        phase: if current == total { Phase::Aggregate } else { Phase::Pages },
        batches: told,
        pages_per_second: (speed * 100.0).round() / 100.0,
        estimated_seconds_remaining: (current > 0).then(|| (f64::from(total - current) / speed).ceil() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn marks_tell_pages_batches_speed_and_what_remains() {
        let pages: Vec<u32> = (1..=6).collect();
        let batches: Vec<&[u32]> = pages.chunks(2).collect();
        let now = Utc::now();
        let progress = read("j", b"\0oxor", &pages, &batches, now - TimeDelta::seconds(6), now);
        assert_eq!((progress.current, progress.failed, progress.total, progress.percent), (3, 1, 6, 50.0));
        assert_eq!(progress.batches, Batches { total: 3, completed: 1, running: 1 });
        assert_eq!(progress.estimated_seconds_remaining, Some(6));
        assert_eq!(progress.phase, Phase::Pages);
    }

    #[test]
    fn nothing_done_estimates_nothing() {
        let now = Utc::now();
        let progress = read("j", b"", &[1, 2], &[], now, now);
        assert_eq!((progress.current, progress.estimated_seconds_remaining), (0, None));
    }
}
