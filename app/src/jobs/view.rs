//! A job as callers see it: the one shape from which every route and command takes its fields.

use celeriac_tasks::job::{Batches, Progress};
use celeriac_tasks::ledger::{Entry, PageState, Parts};
use celeriac_tasks::result::{JobStatus, Phase};
use celeriac_tasks::timestamp;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// A job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// Its id; also that of its Celery task.
    pub(crate) job_id: String,
    /// `queued`, `processing`, `cancelling`, `completed`, `partial`, `failed`, `cancelled`, `expired`.
    pub(crate) status: String,
    /// The stage: `upload`, `render`, `pages`, `aggregate`, `summary`, `audio`, `notify`, `done`.
    pub(crate) phase: String,
    /// Why it is not whole.
    pub(crate) partial_reasons: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) error: Option<serde_json::Value>,
    /// What the document is called.
    pub(crate) file_name: Option<String>,
    /// What it calls itself.
    pub(crate) title: Option<String>,
    /// Whose job it is.
    pub(crate) user_id: Option<String>,
    /// The caller's tags.
    pub(crate) tags: Vec<String>,
    /// The caller's own data.
    #[schema(value_type = Object)]
    pub(crate) metadata: serde_json::Map<String, serde_json::Value>,
    /// As it was asked for: a word, or a number; null where nobody said.
    #[schema(value_type = serde_json::Value)]
    pub(crate) priority: Option<serde_json::Value>,
    /// `direct` or `batch_parallel`; `documents` of several.
    pub(crate) processing_strategy: String,
    /// What kind of job it was handed in as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job_type: Option<String>,
    /// The job it is a document of, where several were handed in together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    /// Its documents, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) documents: Option<DocumentsView>,
    /// 0 to 100.
    pub(crate) percent: f64,
    /// How many pages are in which state; of several documents, how many of these.
    pub(crate) counts: PageCounts,
    /// The batches; all zero on the direct way.
    pub(crate) batches: BatchCounts,
    /// One letter a page: `.` pending, `q` queued, `r` running, `o` ok, `c` cached, `y` retrying, `f` failed, `s` skipped, `x` cancelled.
    pub(crate) page_states: String,
    /// Seconds until the end as far as they can be told.
    pub(crate) eta_seconds: Option<u64>,
    /// Pages a minute since the job was begun.
    pub(crate) pages_per_minute: f64,
    /// What models took.
    pub(crate) usage: UsageView,
    /// When it came to each state.
    pub(crate) times: TimesView,
    /// How often it was begun.
    pub(crate) runs: u32,
    /// Where to go from here.
    pub(crate) links: Links,
}

/// The documents of a job of several.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DocumentsView {
    /// How many.
    pub(crate) total: u32,
    /// Of which there is a result, whole or in part.
    pub(crate) successful: u32,
    /// Which ended without.
    pub(crate) failed: u32,
    /// Where they are listed, each a job of its own.
    pub(crate) list: String,
    /// The first of them, where one job is told of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) first: Vec<PartView>,
}

/// One of several documents, in a line.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PartView {
    /// Its own job.
    pub(crate) job_id: String,
    /// What it is called.
    pub(crate) file_name: Option<String>,
    /// The state of that job.
    pub(crate) status: String,
    /// 0 to 100.
    pub(crate) percent: f64,
}

/// How many pages are in which state.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct PageCounts {
    /// Pages asked for.
    pub(crate) total: u32,
    /// Done.
    pub(crate) ok: u32,
    /// Done by an earlier run.
    pub(crate) cached: u32,
    /// Being worked on.
    pub(crate) running: u32,
    /// Waiting.
    pub(crate) queued: u32,
    /// Failed for good.
    pub(crate) failed: u32,
    /// Left out because the job was stopped.
    pub(crate) cancelled: u32,
}

/// How far the batches are.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct BatchCounts {
    /// All.
    pub(crate) total: u32,
    /// Those whose pages have all ended.
    pub(crate) completed: u32,
    /// Those of which some page was begun.
    pub(crate) active: u32,
    /// Those of which every page failed.
    pub(crate) failed: u32,
}

/// What models took.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct UsageView {
    /// Tokens sent.
    pub(crate) input_tokens: u64,
    /// Tokens received.
    pub(crate) output_tokens: u64,
    /// By the price table.
    pub(crate) cost_usd: f64,
}

/// When a job came to each state, RFC 3339.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TimesView {
    pub(crate) created: Option<String>,
    pub(crate) queued: Option<String>,
    pub(crate) started: Option<String>,
    pub(crate) pages_done: Option<String>,
    pub(crate) finished: Option<String>,
    pub(crate) cancelled: Option<String>,
}

/// Where to go from a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Links {
    #[serde(rename = "self")]
    pub(crate) this: String,
    pub(crate) events: String,
    pub(crate) result: String,
    pub(crate) pages: String,
    pub(crate) cancel: String,
    pub(crate) retry: String,
}

/// A job as it is at this time.
pub(crate) fn job(entry: &Entry, now: DateTime<Utc>) -> JobView {
    // Speed does not sink once the pages are done.
    let progress = Progress::of(entry, entry.times.pages_done.or(entry.times.finished).unwrap_or(now));
    let asked = &entry.submission;
    JobView {
        job_id: entry.job_id.clone(),
        status: entry.status.as_str().to_owned(),
        phase: word(&entry.phase),
        partial_reasons: entry.partial_reasons.iter().map(word).collect(),
        error: entry.error.as_ref().and_then(|error| serde_json::to_value(error).ok()),
        file_name: asked.file_name.clone(),
        title: entry.opened.as_ref().and_then(|opened| opened.title.clone()),
        user_id: asked.user_id.clone(),
        tags: asked.tags.clone(),
        metadata: asked.metadata.clone(),
        priority: asked.priority.clone(),
        processing_strategy: entry.strategy().to_owned(),
        job_type: asked.job_type.clone(),
        parent: asked.parent.clone(),
        documents: entry.parts.map(|parts| DocumentsView {
            total: entry.total(),
            successful: parts.successful(),
            failed: parts.failed(),
            list: format!("/v1/jobs?parent={}", entry.job_id),
            first: Vec::new(),
        }),
        percent: entry.percent(),
        counts: counts(entry),
        batches: batches(entry),
        page_states: entry.pages.to_string(),
        eta_seconds: progress.estimated_seconds_remaining.filter(|_| entry.phase == Phase::Pages),
        pages_per_minute: (progress.pages_per_second * 600.0).round() / 10.0,
        usage: UsageView {
            input_tokens: entry.spent.input_tokens,
            output_tokens: entry.spent.output_tokens,
            cost_usd: entry.spent.cost_usd,
        },
        times: times(entry),
        runs: entry.runs,
        links: links(&entry.job_id),
    }
}

/// One of several documents.
pub(super) fn part(entry: &Entry) -> PartView {
    PartView {
        job_id: entry.job_id.clone(),
        file_name: entry.submission.file_name.clone(),
        status: entry.status.as_str().to_owned(),
        percent: entry.percent(),
    }
}

fn counts(entry: &Entry) -> PageCounts {
    if let Some(parts) = &entry.parts {
        return documents(entry.total(), parts);
    }
    let count = |fits: fn(PageState) -> bool| entry.pages.count(fits);
    PageCounts {
        total: entry.total(),
        ok: count(|state| state == PageState::Ok),
        cached: count(|state| state == PageState::Cached),
        running: count(|state| matches!(state, PageState::Running | PageState::Retrying)),
        queued: count(|state| matches!(state, PageState::Pending | PageState::Queued)),
        failed: entry.failed(),
        cancelled: count(|state| state == PageState::Cancelled),
    }
}

fn documents(total: u32, parts: &Parts) -> PageCounts {
    let running = parts.in_state(JobStatus::Processing) + parts.in_state(JobStatus::Cancelling);
    PageCounts {
        total,
        ok: parts.successful(),
        cached: 0,
        running,
        queued: total.saturating_sub(parts.ended() + running),
        failed: parts.in_state(JobStatus::Failed),
        cancelled: parts.in_state(JobStatus::Cancelled) + parts.in_state(JobStatus::Expired),
    }
}

fn batches(entry: &Entry) -> BatchCounts {
    let Batches { total, completed, running } = Batches::of(entry);
    let failed = entry.batches().iter().filter(|batch| batch.has_failed()).count();
    BatchCounts { total, completed, active: running, failed: u32::try_from(failed).unwrap_or(u32::MAX) }
}

fn times(entry: &Entry) -> TimesView {
    let text = |at: Option<DateTime<Utc>>| at.as_ref().map(timestamp::format);
    let times = &entry.times;
    TimesView {
        created: text(times.created),
        queued: text(times.queued),
        started: text(times.started),
        pages_done: text(times.pages_done),
        finished: text(times.finished),
        cancelled: text(times.cancelled),
    }
}

pub(super) fn links(job_id: &str) -> Links {
    let of = |rest: &str| format!("/v1/jobs/{job_id}{rest}");
    Links {
        this: of(""),
        events: of("/events"),
        result: of("/result"),
        pages: of("/pages"),
        cancel: of("/cancel"),
        retry: of("/retry"),
    }
}

/// A value whose JSON is one word.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
