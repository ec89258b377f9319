//! A job as a line of a table and as the head of its document's pages.

use celeriac_tasks::ledger::{Entry, PageState};
use celeriac_tasks::result::{JobStatus, PartialReason};
use chrono::{DateTime, Utc};

use super::words::{NOTHING, age, price, segment, spell};
use crate::jobs::view_job;

/// A job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    /// The id as a word of an address.
    pub(super) segment: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) status: String,
    pub(super) ended: bool,
    pub(super) percent: f64,
    pub(super) done: u32,
    pub(super) total: u32,
    pub(super) failed: u32,
    /// Pages, or documents, another run would do.
    pub(super) missing: u32,
    /// What is counted: `pages`, or `documents` of a job of several.
    pub(super) unit: &'static str,
    /// The job it is a document of, as a word of an address; empty: of none.
    pub(super) parent: String,
    pub(super) pages: String,
    pub(super) eta: String,
    pub(super) eta_or_dash: String,
    pub(super) rate: f64,
    pub(super) created: String,
    pub(super) age: String,
    pub(super) took: String,
    /// Since when it runs; empty: it does not.
    pub(super) since: String,
    pub(super) cost: String,
    pub(super) user: String,
    pub(super) tags: Vec<Tag>,
    /// Why it is not whole, and what can be done.
    pub(super) why: String,
    pub(super) todo: &'static str,
}

/// A tag.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) segment: String,
}

impl Job {
    /// As it is at this time.
    pub(super) fn of(entry: &Entry, now: DateTime<Utc>) -> Self {
        let view = view_job(entry, now);
        let ended = entry.status.is_terminal();
        let done = entry.done();
        let missing = match &entry.parts {
            Some(parts) => parts.total() - parts.in_state(JobStatus::Completed),
            None => entry.pages.count(|state| !state.is_done() && state != PageState::Skipped),
        };
        let eta = view.eta_seconds.and_then(|seconds| i64::try_from(seconds).ok()).map(spell).unwrap_or_default();
        Self {
            segment: segment(&entry.job_id),
            name: view.file_name.or_else(|| view.title.clone()).unwrap_or_else(|| entry.job_id.clone()),
            title: view.title.filter(|_| entry.submission.file_name.is_some()).unwrap_or_default(),
            status: view.status,
            ended,
            percent: view.percent,
            done,
            total: entry.total(),
            failed: entry.failed(),
            missing: if entry.pages.is_empty() && entry.parts.is_none() && ended { entry.total().max(1) } else { missing },
            pages: format!("{done} / {}", entry.total()),
            unit: if entry.parts.is_some() { "documents" } else { "pages" },
            parent: view.parent.as_deref().map(segment).unwrap_or_default(),
            eta_or_dash: if eta.is_empty() { NOTHING.to_owned() } else { eta.clone() },
            eta,
            rate: view.pages_per_minute,
            created: view.times.created.unwrap_or_default(),
            age: age(entry.times.created, now),
            took: age(entry.times.started, entry.times.finished.unwrap_or(now)),
            since: view.times.started.filter(|_| !ended).unwrap_or_default(),
            cost: price(view.usage.cost_usd),
            user: view.user_id.unwrap_or_default(),
            tags: view.tags.into_iter().map(|name| Tag { segment: segment(&name), name }).collect(),
            why: why(entry),
            todo: todo(entry),
            id: view.job_id,
        }
    }
}

fn why(entry: &Entry) -> String {
    if let Some(error) = &entry.error {
        return format!("{}.", error.message.trim_end_matches('.'));
    }
    let reasons = entry.partial_reasons.iter().map(|reason| match reason {
        PartialReason::PagesFailed => match entry.failed() {
            1 => format!("1 of {} pages failed.", entry.total()),
            failed => format!("{failed} of {} pages failed.", entry.total()),
        },
        PartialReason::DocumentsFailed => format!("{} of {} documents failed.", entry.failed(), entry.total()),
        PartialReason::DocumentsPartial => "Some documents are not whole.".to_owned(),
        PartialReason::Cancelled => "It was cancelled.".to_owned(),
        PartialReason::Deadline => "Its deadline came.".to_owned(),
        other => format!("It is not whole: {}.", super::words::word(other).replace('_', " ")),
    });
    reasons.collect::<Vec<_>>().join(" ")
}

fn todo(entry: &Entry) -> &'static str {
    match entry.status {
        JobStatus::Partial => "What is done can be downloaded; a retry does only what is missing.",
        JobStatus::Cancelled if entry.done() > 0 => "What is done stays; a retry does only what is missing.",
        JobStatus::Failed => "Once the cause is away, retry it.",
        JobStatus::Cancelling => "No page begins any more; running ones still end.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::Submission;

    #[test]
    fn a_job_that_is_not_whole_says_why() {
        let now = Utc::now();
        let submission = Submission { file_name: Some("a.pdf".to_owned()), announced_pages: Some(3), ..Submission::default() };
        let mut entry = Entry::new("a/1", submission, now);
        let job = Job::of(&entry, now);
        assert_eq!(
            (job.name.as_str(), job.segment.as_str(), job.pages.as_str(), job.why.as_str()),
            ("a.pdf", "a%2F1", "0 / 3", "")
        );
        entry.status = JobStatus::Cancelled;
        entry.partial_reasons = vec![PartialReason::Cancelled];
        let job = Job::of(&entry, now);
        assert_eq!((job.why.as_str(), job.ended, job.missing), ("It was cancelled.", true, 3));
    }
}
