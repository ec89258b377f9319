//! Jobs and their pages, counted from what the ledger tells. Every service of a cluster counts all of them: `max by`, not `sum`.

use std::time::Duration;

use celeriac_tasks::ledger::{Entry, Kind, PageState, Told};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::broadcast::error::RecvError;

use super::{Counters, Histograms, added, label};
use crate::jobs::Desk;

/// Before asking again where the ledger did not answer.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Jobs {
    submitted: Counter,
    ended: Counters,
    page_retries: Counter,
    pages: Counters,
    page_seconds: Histograms,
    batches: Counters,
    job_seconds: Histograms,
}

fn page_seconds() -> Histogram {
    Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0])
}

fn job_seconds() -> Histogram {
    Histogram::new([1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0])
}

impl Jobs {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let jobs = Self {
            submitted: added(
                registry,
                "celeriac_jobs_submitted",
                "Jobs that were handed in, or asked for again",
                Counter::default(),
            ),
            ended: added(registry, "celeriac_jobs_ended", "Jobs that ended, by how", Counters::default()),
            page_retries: added(
                registry,
                "celeriac_page_retries",
                "Tries of pages that failed and are made again",
                Counter::default(),
            ),
            pages: added(registry, "celeriac_pages", "Pages that ended, by how", Counters::default()),
            page_seconds: added(
                registry,
                "celeriac_page_stage_seconds",
                "How long a page took; the stage `page` is all of it",
                Histograms::new_with_constructor(page_seconds),
            ),
            batches: added(registry, "celeriac_batches", "Batches whose pages have all ended, by how", Counters::default()),
            job_seconds: added(
                registry,
                "celeriac_job_duration_seconds",
                "From the beginning of a job to its end",
                Histograms::new_with_constructor(job_seconds),
            ),
        };
        for outcome in ["ok", "failed", "cancelled"] {
            let _at_zero = jobs.pages.get_or_create(&label("outcome", outcome));
        }
        for outcome in ["completed", "partial", "failed", "cancelled"] {
            let _at_zero = jobs.ended.get_or_create(&label("outcome", outcome));
        }
        jobs
    }

    pub(super) async fn count(&self, desk: &Desk) {
        loop {
            match desk.ledger.follow().await {
                Ok(mut told) => loop {
                    match told.recv().await {
                        Ok(told) => self.take(desk, &told).await,
                        // What came too fast is not counted.
                        Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "events that metrics did not count"),
                        Err(RecvError::Closed) => break,
                    }
                },
                Err(error) => tracing::debug!(%error, "cannot follow the ledger for metrics"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn take(&self, desk: &Desk, Told { event, .. }: &Told) {
        match event.kind {
            Kind::Page => {
                let state = event.data["s"].as_str().and_then(|letter| PageState::of(letter.chars().next()?));
                if let Some(outcome) = state.and_then(outcome) {
                    self.pages.get_or_create(&label("outcome", outcome)).inc();
                }
                if state == Some(PageState::Retrying) {
                    self.page_retries.inc();
                }
                if let (Some(PageState::Ok), Some(ms)) = (state, event.data["ms"].as_u64()) {
                    self.page_seconds.get_or_create(&label("stage", "page")).observe(ms as f64 / 1000.0);
                }
            }
            Kind::Batch => {
                let outcome = match (event.data["ok"].as_u64(), event.data["failed"].as_u64()) {
                    (_, Some(0)) => "ok",
                    (Some(0), _) => "failed",
                    _ => "partial",
                };
                self.batches.get_or_create(&label("outcome", outcome)).inc();
            }
            Kind::State if event.data["status"] == "queued" => {
                self.submitted.inc();
            }
            Kind::End => {
                let outcome = event.data["status"].as_str().unwrap_or_default();
                self.ended.get_or_create(&label("outcome", outcome)).inc();
                if let Ok(entry) = desk.job(&event.job_id).await {
                    self.ended(&entry);
                }
            }
            _ => {}
        }
    }

    fn ended(&self, entry: &Entry) {
        let (Some(started), Some(finished)) = (entry.times.started, entry.times.finished) else { return };
        let seconds = (finished - started).num_milliseconds().max(0) as f64 / 1000.0;
        let labels = vec![("strategy", entry.strategy().to_owned()), ("outcome", entry.status.as_str().to_owned())];
        self.job_seconds.get_or_create(&labels).observe(seconds);
    }
}

/// How a page ended, where it did.
fn outcome(state: PageState) -> Option<&'static str> {
    match state {
        PageState::Ok => Some("ok"),
        PageState::Cached => Some("cached"),
        PageState::Failed => Some("failed"),
        PageState::Cancelled => Some("cancelled"),
        _ => None,
    }
}
