//! What is known of one job: what was asked, how far it is, what it cost. Plain data; [`super::life`] says how it changes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::parts::Parts;
use super::states::{PageState, PageStates};
use crate::error::ErrorRecord;
use crate::job::{BatchSize, split};
use crate::result::{JobStatus, JobTimes, ModelUsage, PartialReason, Phase};

/// What was asked, as it was handed in; nothing of it changes but its limits, when it is to run again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Submission {
    /// What the document is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// How many bytes it has, where they were handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// How many pages the caller said it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced_pages: Option<u32>,
    /// What kind of job it is; `None` is a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// Whose job it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The caller's tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The caller's own data.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// `high`, `normal` or `low`, or a number from -10 to 10, as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Value>,
    /// The same for the same wishes: what tells a repeated submission from another under the same id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// The keyword arguments of `tasks.process_document`, references only: what sends the job (again).
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub call: Map<String, Value>,
    /// Who is told how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// When it is stopped with what is done.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::timestamp::option")]
    pub deadline: Option<DateTime<Utc>>,
    /// What it may cost at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// How many tokens it may take at most, in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The job it is a part of, where several documents were handed in together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Which of its documents it is, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub part: u32,
    /// How many documents were handed in together, where it is such a job; each is a job of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<u32>,
}

/// How far a job may go, where that is said anew: what is not said stays as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// When it is stopped.
    pub deadline: Option<DateTime<Utc>>,
    /// What it may cost at most, all its runs together.
    pub max_cost_usd: Option<f64>,
    /// How many tokens it may take at most, all its runs together.
    pub max_tokens: Option<u64>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// Of what: `job.completed` and the like; empty: of each end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// What opening the document told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Pages the document has.
    pub total_pages: u32,
    /// More pages than this are split into batches.
    pub threshold: usize,
    /// Pages a batch.
    pub batch_size: BatchSize,
    /// What the document calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What analyses its pages: estimates are kept apart by it.
    #[serde(default)]
    pub analyzer: String,
    /// What follows the pages.
    #[serde(default)]
    pub summary: bool,
    /// And after that.
    #[serde(default)]
    pub audio: bool,
}

/// What models took so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// By the price table.
    pub cost_usd: f64,
}

impl Spent {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what one call took.
    pub fn add(&mut self, usage: &ModelUsage) {
        self.input_tokens += usage.input_tokens;
        self.output_tokens += usage.output_tokens;
        self.cost_usd += usage.cost_usd.unwrap_or(0.0);
    }
}

/// A job as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    #[serde(rename = "id", default, skip_serializing_if = "String::is_empty")]
    pub job_id: String,
    /// What was asked.
    pub submission: Submission,
    /// The state.
    pub status: JobStatus,
    /// The stage.
    pub phase: Phase,
    /// Why it is not, or will not be, whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial_reasons: Vec<PartialReason>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// What opening the document told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    /// One state a page.
    #[serde(default, skip_serializing_if = "PageStates::is_empty")]
    pub pages: PageStates,
    /// How its parts were when it was last written, where it is a job of several documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// What models took.
    #[serde(default, skip_serializing_if = "Spent::is_nothing")]
    pub spent: Spent,
    /// When it came to each state.
    #[serde(default, with = "short_times")]
    pub times: JobTimes,
    /// How often it was begun, the first time included.
    #[serde(default)]
    pub runs: u32,
    /// Whether its task was handed to the broker.
    #[serde(default)]
    pub sent: bool,
    /// It was deleted: nobody finds it any more, and what is left of its work stops by this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

impl Entry {
    /// A job nobody has begun.
    pub fn new(job_id: impl Into<String>, submission: Submission, now: DateTime<Utc>) -> Self {
        let parts = submission.documents.map(|_| Parts::default());
        Self {
            job_id: job_id.into(),
            submission,
            status: JobStatus::Queued,
            phase: Phase::Upload,
            partial_reasons: Vec::new(),
            error: None,
            opened: None,
            pages: PageStates::default(),
            parts,
            spent: Spent::default(),
            times: JobTimes { created: Some(now), queued: Some(now), ..JobTimes::default() },
            runs: 0,
            sent: false,
            deleted: false,
        }
    }

    /// Pages asked for; what the caller said before the document was opened. Of a job of several documents these count, here and in
    /// what follows.
    pub fn total(&self) -> u32 {
        if let Some(parts) = &self.parts {
            let documents = self.submission.documents.filter(|_| !parts.entered);
            return documents.unwrap_or_else(|| parts.total());
        }
        if self.pages.is_empty() {
            return self.submission.announced_pages.unwrap_or(0);
        }
        self.pages.count(|state| state != PageState::Skipped)
    }

    /// Pages that are there.
    pub fn done(&self) -> u32 {
        self.parts.map_or_else(|| self.pages.count(PageState::is_done), |parts| parts.successful())
    }

    /// Pages that failed for good.
    pub fn failed(&self) -> u32 {
        self.parts.map_or_else(|| self.pages.count(|state| state == PageState::Failed), |parts| parts.in_state(JobStatus::Failed))
    }

    /// Pages that ended, well or not.
    pub fn ended(&self) -> u32 {
        self.parts.map_or_else(|| self.pages.count(PageState::has_ended), |parts| parts.ended())
    }

    /// 0 to 100.
    pub fn percent(&self) -> f64 {
        if matches!(self.status, JobStatus::Completed | JobStatus::Partial) {
            return 100.0;
        }
        (f64::from(self.ended()) * 1000.0 / f64::from(self.total().max(1))).round() / 10.0
    }

    /// The pages of each batch, as the pipeline splits them; empty on the direct way.
    pub fn batches(&self) -> Vec<Batch> {
        self.batches_where(|_| true)
    }

    /// Those of them that these pages are in. The others are not counted: with each page that ends that would cost more the more there are.
    pub(super) fn batches_of(&self, pages: &[u32]) -> Vec<Batch> {
        if pages.is_empty() {
            return Vec::new();
        }
        self.batches_where(|batch| pages.iter().any(|page| batch.first() <= Some(page) && Some(page) <= batch.last()))
    }

    fn batches_where(&self, wanted: impl Fn(&[u32]) -> bool) -> Vec<Batch> {
        let Some(opened) = &self.opened else { return Vec::new() };
        let asked: Vec<u32> = self.pages.iter().filter(|(_, state)| *state != PageState::Skipped).map(|(page, _)| page).collect();
        let batches = split(&asked, opened.threshold, opened.batch_size).unwrap_or_default();
        (1..).zip(batches).filter(|(_, pages)| wanted(pages)).map(|(number, pages)| self.batch(number, pages)).collect()
    }

    fn batch(&self, number: u32, pages: &[u32]) -> Batch {
        let count = |fits: fn(PageState) -> bool| {
            let found = pages.iter().filter_map(|page| self.pages.get(*page)).filter(|state| fits(*state));
            u32::try_from(found.count()).unwrap_or(u32::MAX)
        };
        Batch {
            number,
            first: pages.first().copied().unwrap_or_default(),
            last: pages.last().copied().unwrap_or_default(),
            pages: u32::try_from(pages.len()).unwrap_or(u32::MAX),
            begun: count(|state| !matches!(state, PageState::Pending | PageState::Queued)),
            ended: count(PageState::has_ended),
            failed: count(|state| state == PageState::Failed),
        }
    }

    /// `direct` or `batch_parallel`; `documents` of several.
    pub fn strategy(&self) -> &'static str {
        if self.parts.is_some() {
            return "documents";
        }
        let threshold = self.opened.as_ref().map_or(50, |opened| opened.threshold);
        if self.total() as usize > threshold { "batch_parallel" } else { "direct" }
    }
}

/// How far one batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// From 1.
    pub number: u32,
    /// Its first page.
    pub first: u32,
    /// Its last.
    pub last: u32,
    /// How many it has.
    pub pages: u32,
    /// Of which some worker has begun.
    pub begun: u32,
    /// Which have ended, well or not.
    pub ended: u32,
    /// Which failed.
    pub failed: u32,
}

impl Batch {
    /// Whether all its pages have ended.
    pub fn is_complete(&self) -> bool {
        self.ended == self.pages
    }

    /// Whether some page was begun, and not all have ended.
    pub fn is_active(&self) -> bool {
        self.begun > 0 && !self.is_complete()
    }

    /// Whether all its pages failed.
    pub fn has_failed(&self) -> bool {
        self.failed == self.pages
    }
}

/// Times in milliseconds under short names: a finished job's entry has up to 1 KB.
mod short_times {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::result::JobTimes;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Short {
        #[serde(skip_serializing_if = "Option::is_none")]
        c: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        q: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        s: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        p: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        f: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        x: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        e: Option<i64>,
    }

    pub(super) fn serialize<S: Serializer>(times: &JobTimes, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        Short {
            c: ms(times.created),
            q: ms(times.queued),
            s: ms(times.started),
            p: ms(times.pages_done),
            f: ms(times.finished),
            x: ms(times.cancelled),
            e: ms(times.expires),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JobTimes, D::Error> {
        let short = Short::deserialize(deserializer)?;
        let at = |ms: Option<i64>| ms.and_then(DateTime::from_timestamp_millis);
        Ok(JobTimes {
            created: at(short.c),
            queued: at(short.q),
            started: at(short.s),
            pages_done: at(short.p),
            finished: at(short.f),
            cancelled: at(short.x),
            expires: at(short.e),
        })
    }
}
