//! The last minute: what became of jobs and pages in it, from what the ledger told.

use celeriac_tasks::ledger::{EventId, Kind, Told};
use celeriac_tasks::result::PageMs;
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Result};

/// How far back is looked, milliseconds.
const WINDOW_MS: u64 = 60_000;
/// How many events of that time are looked at, at most.
const EVENTS: usize = 20_000;

/// Pages of the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct PageStats {
    /// How many ended well.
    pub(crate) per_min: u64,
    /// How many failed.
    pub(crate) failed_per_min: u64,
    /// How many tries failed and are made again.
    pub(crate) retried_per_min: u64,
    /// The share of tries that were such.
    pub(crate) retry_rate: f64,
    /// How long those that ended well took on average, milliseconds.
    pub(crate) mean_ms: u64,
    /// Half of them took no longer.
    pub(crate) p50_ms: u64,
    /// The slowest twentieth took longer.
    pub(crate) p95_ms: u64,
}

/// Jobs of the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobRates {
    /// How many were handed in, or asked for again.
    pub(crate) submitted_per_min: u64,
    /// How many ended with something to read.
    pub(crate) completed_per_min: u64,
    /// How many failed or were cancelled.
    pub(crate) failed_per_min: u64,
    /// How long those that ended took on average from their beginning, milliseconds.
    pub(crate) mean_ms: u64,
}

impl Desk {
    /// Jobs and pages of the last minute.
    pub(super) async fn rates(&self) -> Result<(JobRates, PageStats)> {
        let now = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
        let told = self.ledger.all_events(EventId(now.saturating_sub(WINDOW_MS), 0), EVENTS).await?;
        Ok((jobs(&told), pages(&told)))
    }
}

fn jobs(told: &[Told]) -> JobRates {
    let (mut rates, mut times) = (JobRates::default(), Vec::new());
    for event in told.iter().map(|told| &told.event) {
        match (event.kind, event.data["status"].as_str()) {
            (Kind::State, Some("queued")) => rates.submitted_per_min += 1,
            (Kind::End, status) => {
                let well = matches!(status, Some("completed" | "partial"));
                *(if well { &mut rates.completed_per_min } else { &mut rates.failed_per_min }) += 1;
                times.extend(event.data["ms"].as_u64());
            }
            _ => {}
        }
    }
    JobRates { mean_ms: mean(&times), ..rates }
}

fn pages(told: &[Told]) -> PageStats {
    let (mut times, mut failed, mut retried) = (Vec::new(), 0, 0);
    for event in told.iter().map(|told| &told.event).filter(|event| event.kind == Kind::Page) {
        match event.data["s"].as_str() {
            Some("o") => times.push(event.data["ms"].as_u64().unwrap_or_default()),
            Some("f") => failed += 1,
            Some("y") => retried += 1,
            _ => {}
        }
    }
    let (ok, mean_ms) = (times.len() as u64, mean(&times));
    let spread = PageMs::of(times);
    let tries = (ok + failed + retried).max(1);
    PageStats {
        per_min: ok,
        failed_per_min: failed,
        retried_per_min: retried,
        retry_rate: retried as f64 / tries as f64,
        mean_ms,
        p50_ms: spread.p50,
        p95_ms: spread.p95,
    }
}

fn mean(times: &[u64]) -> u64 {
    times.iter().sum::<u64>() / (times.len() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::Event;
    use serde_json::{Value, json};

    fn told(kind: Kind, data: Value) -> Told {
        Told { id: EventId(1, 0), event: Event { job_id: "j".into(), kind, data } }
    }

    #[test]
    fn a_minute_of_jobs_and_pages_is_counted() {
        let page = |state: &str, ms: u64| told(Kind::Page, json!({"n": 1, "s": state, "ms": ms}));
        let minute = [
            told(Kind::State, json!({"status": "queued"})),
            told(Kind::State, json!({"status": "processing"})),
            page("r", 0),
            page("o", 100),
            page("y", 0),
            page("o", 300),
            page("f", 0),
            told(Kind::End, json!({"status": "partial", "ms": 2000})),
            told(Kind::End, json!({"status": "cancelled"})),
        ];
        let expected = JobRates { submitted_per_min: 1, completed_per_min: 1, failed_per_min: 1, mean_ms: 2000 };
        assert_eq!(jobs(&minute), expected);
        let pages = pages(&minute);
        assert_eq!((pages.per_min, pages.failed_per_min, pages.retried_per_min), (2, 1, 1));
        assert_eq!((pages.retry_rate, pages.mean_ms, pages.p50_ms), (0.25, 200, 100));
        assert_eq!((super::jobs(&[]), super::pages(&[])), (JobRates::default(), PageStats::default()));
    }
}
