//! How far a job is, worked out once for all who watch it: two hundred watchers ask the ledger no more often than one.

use std::collections::HashMap;
use std::sync::Arc;

use celeriac_tasks::ledger::EventId;
use chrono::Utc;
use serde_json::json;
use tokio::sync::Mutex;

use super::telling::text;
use super::{Desk, view_job};

/// Of how many jobs it is remembered; then all is forgotten, and worked out once more.
const JOBS_MAX: usize = 256;

/// What was last told of each job that is watched, and after which of its events.
pub(super) type Remembered = Arc<Mutex<HashMap<String, (EventId, Arc<str>)>>>;

impl Desk {
    /// The figures of a job, not older than this event.
    pub(super) async fn progress(&self, job_id: &str, after: EventId) -> Option<Arc<str>> {
        // Who comes while another asks the ledger waits for his answer.
        let mut remembered = self.remembered.lock().await;
        if let Some((_, figures)) = remembered.get(job_id).filter(|(at, _)| *at >= after) {
            return Some(figures.clone());
        }
        let view = view_job(&self.job(job_id).await.ok()?, Utc::now());
        let figures = text(&json!({
            "percent": view.percent, "done": view.counts.ok + view.counts.cached, "failed": view.counts.failed,
            "total": view.counts.total, "eta_s": view.eta_seconds, "rate_ppm": view.pages_per_minute,
            "batches": view.batches, "usage": view.usage,
        }));
        if remembered.len() >= JOBS_MAX {
            remembered.clear();
        }
        remembered.insert(job_id.to_owned(), (after, figures.clone()));
        Some(figures)
    }
}
