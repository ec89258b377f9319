//! The job of a document: who asked, with which options, in which state, when.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::timestamp;

/// The state of a job; the last four are terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waiting for a worker.
    #[default]
    Queued,
    /// Some worker is on it.
    Processing,
    /// Asked to stop; running pages still end.
    Cancelling,
    /// Removed by retention.
    Expired,
    /// Every asked-for page is there.
    Completed,
    /// Usable, but `partial_reasons` names what is missing.
    Partial,
    /// Nothing usable came out.
    Failed,
    /// Stopped on request; `partial_reasons` says `cancelled` when something usable exists.
    Cancelled,
}

impl JobStatus {
    /// All of them, in the order in which jobs of several documents store how many of their parts are in each: more go to the end.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Processing,
        Self::Cancelling,
        Self::Completed,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Partial | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// The name as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Cancelling => "cancelling",
            Self::Expired => "expired",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a result is not whole. The order of the variants is the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartialReason {
    /// Some pages ended in an error.
    PagesFailed,
    /// Of several documents some failed; no result of one document says so.
    #[schemars(skip)]
    DocumentsFailed,
    /// Of several documents some are not whole; likewise.
    #[schemars(skip)]
    DocumentsPartial,
    /// The job's deadline passed.
    Deadline,
    /// The job's budget was used up.
    Budget,
    /// The job was cancelled.
    Cancelled,
    /// The document has more pages than the settings allow.
    PageLimit,
    /// The language model or speech provider could not be reached.
    ProviderUnavailable,
}

impl PartialReason {
    /// Whether the job was given so much and no more.
    pub fn is_limit(self) -> bool {
        matches!(self, Self::Budget | Self::Deadline)
    }
}

/// Which stage a job is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Receiving the source.
    #[default]
    Upload,
    /// Opening and splitting it.
    Render,
    /// Pages are being worked on.
    Pages,
    /// Parts are put together.
    Aggregate,
    /// The summary is being written.
    Summary,
    /// The narration is being spoken.
    Audio,
    /// Callers are being told.
    Notify,
    /// Over.
    Done,
}

/// The options that change what comes out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobOptions {
    /// `none`, `extractive` or `openai`.
    pub analysis: String,
    /// `auto`, `always` or `never`.
    pub ocr: String,
    /// Whether a narration was asked for.
    pub audio: bool,
    /// The asked-for pages, such as `1-25,40`; null means all.
    pub pages: Option<String>,
    /// Hash over everything that changes the result: part of the cache key.
    pub options_hash: String,
    /// Further options, by their names.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The versions that made the result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// Of this program.
    pub celeriac: String,
    /// Of the PDF library; null for images.
    pub pdfium: Option<String>,
    /// What analysed the pages: `offline`, or `openai:` and the model.
    pub analyzer: String,
    /// Rises when the analyser's output changes for the same input.
    pub analyzer_version: String,
}

/// One time stamp a state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobTimes {
    /// Asked for.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created: Option<DateTime<Utc>>,
    /// Handed to the broker.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub queued: Option<DateTime<Utc>>,
    /// First worked on.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub started: Option<DateTime<Utc>>,
    /// Last page ended.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub pages_done: Option<DateTime<Utc>>,
    /// Terminal.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub finished: Option<DateTime<Utc>>,
    /// Cancelled.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub cancelled: Option<DateTime<Utc>>,
    /// When it will be removed.
    #[serde(default, with = "timestamp::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires: Option<DateTime<Utc>>,
}

/// The job that made a result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Also the Celery task id of `tasks.process_document`.
    pub job_id: String,
    /// The root of the job's tasks.
    pub root_task_id: String,
    /// Whose job it is, as the caller said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The caller's tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The caller's own data, untouched.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The state.
    pub status: JobStatus,
    /// Why it is not `completed`.
    pub partial_reasons: Vec<PartialReason>,
    /// The stage.
    pub phase: Phase,
    /// `low`, `normal`, `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `direct` or `batch_parallel`.
    pub processing_strategy: String,
    /// Pages a batch.
    pub batch_size: u32,
    /// What was asked for.
    pub options: JobOptions,
    /// What it was made with.
    pub engine: Engine,
    /// When.
    pub times: JobTimes,
    /// The job whose pages were reused.
    #[serde(default)]
    pub resumed_from: Option<String>,
}
