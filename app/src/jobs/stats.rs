//! The system as a whole: queues, jobs, workers, pages of the last minute, Redis.

use std::collections::BTreeMap;

use celeriac_tasks::pipeline::QUEUES;
use celeriac_tasks::result::JobStatus;
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::fleet::WorkerView;
use super::lines::NextJob;
use super::rates::{JobRates, PageStats};
use super::{Desk, Result};

/// The system.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// By queue.
    pub(crate) queues: BTreeMap<String, QueueStats>,
    /// Jobs by state, as far back as they are kept.
    pub(crate) jobs: BTreeMap<String, u64>,
    /// Jobs of the last minute.
    pub(crate) rates: JobRates,
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
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct QueueStats {
    /// Messages nobody has taken, over all priorities.
    pub(crate) waiting: u64,
    /// The same by priority step: 0 is taken first, 9 last.
    pub(crate) priorities: BTreeMap<String, u64>,
    /// Of the jobs whose work is next, the one that was queued first; null: nothing of a job waits.
    pub(crate) oldest: Option<NextJob>,
    /// Messages that wait for their time or for a turn of a rate limit.
    pub(crate) delayed: u64,
    /// Taken from it and not begun.
    pub(crate) reserved: u32,
    /// Taken from it and running.
    pub(crate) active: u32,
    /// How many workers serve it.
    pub(crate) workers: u32,
    /// How many tasks they run at once.
    pub(crate) slots: u32,
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
            let priorities = self.app.broker().by_priority(queue).await?;
            let stats = QueueStats {
                waiting: depth.waiting as u64,
                priorities: priorities.into_iter().map(|(step, waiting)| (step.to_string(), waiting as u64)).collect(),
                oldest: self.oldest(queue).await?,
                delayed: (depth.limited + depth.parked) as u64,
                reserved: fleet.workers.iter().map(|worker| worker.held(queue).reserved).sum(),
                active: fleet.workers.iter().map(|worker| worker.held(queue).active).sum(),
                workers: u32::try_from(fleet.serving(queue).count()).unwrap_or(u32::MAX),
                slots: fleet.slots(queue),
            };
            queues.insert(queue.to_owned(), stats);
        }
        let mut jobs = BTreeMap::new();
        // Of those that retention has removed none is left to count.
        for status in JobStatus::ALL.into_iter().filter(|status| *status != JobStatus::Expired) {
            jobs.insert(status.as_str().to_owned(), self.ledger.count(status).await?);
        }
        let vitals = self.app.broker().vitals().await?;
        let (rates, pages) = self.rates().await?;
        Ok(Stats {
            queues,
            jobs,
            rates,
            workers: fleet.workers.clone(),
            pages,
            redis: RedisStats {
                memory_bytes: vitals.memory_bytes,
                eviction_policy_ok: vitals.keeps_everything,
                dead_letters: vitals.dead_letters as u64,
            },
            timestamp: celeriac_tasks::timestamp::format(&Utc::now()),
        })
    }
}
