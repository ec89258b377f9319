//! The system as a whole: queues, jobs, workers, pages of the last minute, Redis.

use std::collections::BTreeMap;

use celeriac_tasks::ledger::{EventId, Kind};
use celeriac_tasks::pipeline::QUEUES;
use celeriac_tasks::result::{JobStatus, PageMs};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::fleet::WorkerView;
use super::{Desk, Result};

/// How far back speeds are looked at, milliseconds.
const WINDOW_MS: u64 = 60_000;
/// How many events of that time are looked at, at most.
const EVENTS: usize = 20_000;
/// The states that are counted.
const STATES: [JobStatus; 7] = [
    JobStatus::Queued,
    JobStatus::Processing,
    JobStatus::Cancelling,
    JobStatus::Completed,
    JobStatus::Partial,
    JobStatus::Failed,
    JobStatus::Cancelled,
];

/// The system.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// By queue.
    pub(crate) queues: BTreeMap<String, QueueStats>,
    /// Jobs by state, as far back as they are kept.
    pub(crate) jobs: BTreeMap<String, u64>,
    /// The workers.
    pub(crate) workers: Vec<WorkerView>,
    /// Pages of the last minute.
    pub(crate) pages: PageStats,
    /// Redis.
    pub(crate) redis: RedisStats,
    /// When, RFC 3339.
    pub(crate) timestamp: String,
}

/// A queue.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct QueueStats {
    /// Messages nobody has taken, over all priorities.
    pub(crate) waiting: u64,
    /// Messages that wait for their time or for a turn of a rate limit.
    pub(crate) delayed: u64,
    /// Taken and not begun, by the workers that serve it.
    pub(crate) reserved: u32,
    /// Running, on the workers that serve it.
    pub(crate) active: u32,
    /// How many workers serve it.
    pub(crate) workers: u32,
    /// How many tasks they run at once.
    pub(crate) slots: u32,
}

/// Pages of the last minute.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct PageStats {
    /// How many ended well.
    pub(crate) per_min: u64,
    /// How many failed.
    pub(crate) failed_per_min: u64,
    /// How long they took, milliseconds.
    pub(crate) p50_ms: u64,
    /// The slowest twentieth took longer.
    pub(crate) p95_ms: u64,
}

/// Redis.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct RedisStats {
    /// The memory it uses.
    pub(crate) memory_bytes: Option<u64>,
    /// Whether it never throws data away to make room.
    pub(crate) eviction_policy_ok: Option<bool>,
    /// Messages that were given up.
    pub(crate) dead_letters: u64,
}

impl Desk {
    /// Everything at once.
    pub(crate) async fn stats(&self) -> Result<Stats> {
        let fleet = self.fleet().await?;
        let mut queues = BTreeMap::new();
        for queue in QUEUES {
            let depth = self.app.broker().depth(queue).await?;
            let serving = || fleet.serving(queue);
            let stats = QueueStats {
                waiting: depth.waiting as u64,
                delayed: (depth.limited + depth.parked) as u64,
                reserved: serving().map(|worker| worker.reserved).sum(),
                active: serving().map(|worker| worker.active).sum(),
                workers: u32::try_from(serving().count()).unwrap_or(u32::MAX),
                slots: fleet.slots(queue),
            };
            queues.insert(queue.to_owned(), stats);
        }
        let mut jobs = BTreeMap::new();
        for status in STATES {
            jobs.insert(status.as_str().to_owned(), self.ledger.count(status).await?);
        }
        let vitals = self.app.broker().vitals().await?;
        Ok(Stats {
            queues,
            jobs,
            workers: fleet.workers.clone(),
            pages: self.page_stats().await?,
            redis: RedisStats {
                memory_bytes: vitals.memory_bytes,
                eviction_policy_ok: vitals.keeps_everything,
                dead_letters: vitals.dead_letters as u64,
            },
            timestamp: celeriac_tasks::timestamp::format(&Utc::now()),
        })
    }

    async fn page_stats(&self) -> Result<PageStats> {
        let now = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
        let told = self.ledger.all_events(EventId(now.saturating_sub(WINDOW_MS), 0), EVENTS).await?;
        let pages = told.iter().filter(|told| told.event.kind == Kind::Page);
        let (mut times, mut failed) = (Vec::new(), 0);
        for page in pages {
            match page.event.data["s"].as_str() {
                Some("o") => times.push(page.event.data["ms"].as_u64().unwrap_or_default()),
                Some("f") => failed += 1,
                _ => {}
            }
        }
        let per_min = times.len() as u64;
        let spread = PageMs::of(times);
        Ok(PageStats { per_min, failed_per_min: failed, p50_ms: spread.p50, p95_ms: spread.p95 })
    }
}
