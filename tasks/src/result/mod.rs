//! The result of a document, version 1.0: the types every task fills in and every caller reads.
//!
//! They are apart from the tasks so that a reader of results needs nothing else, and so that the shape can be held still:
//! [`schema`] prints it as JSON Schema and a golden test fails when it changes without a new [`SCHEMA_VERSION`].
//! A minor version only adds optional fields; readers ignore fields they do not know.
//!
//! - [`aggregate`]: page records in any order → slots in page order, counts, the terminal state
//! - [`DocumentResult::compact`]: what goes through Celery's result backend and webhooks
//! - [`DocumentResult::to_markdown`]: the document as one Markdown text with page markers

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorRecord;

mod aggregate;
mod batch;
mod compact;
mod document;
mod figures;
mod job;
mod markdown;
mod page;
mod summary;

pub use aggregate::{Aggregated, aggregate, terminal};
pub use batch::{BatchRecord, BatchStatus, BatchTimes, Counts, PageSpan};
pub use document::{Document, OutlineItem, PdfInfo, TextLayer};
pub use figures::{ModelUsage, PageMs, StageTimes, Timings, TokenSums, Usage};
pub use job::{Engine, Job, JobOptions, JobStatus, JobTimes, PartialReason, Phase};
pub use page::{
    Entity, PageAnalysis, PageImage, PageRecord, PageSize, PageStatus, PageText, PageTimes, Quote, Table, TextSource, Warning,
};
pub use summary::{
    Artifact, Audio, AudioPart, AudioStatus, Chunks, DocumentEntity, Embedding, Entities, Insight, KeyPoint, Relation, Section,
    Summary, SummaryMethod, SummaryQuote, Theme,
};

/// The version of the shape these types describe, `MAJOR.MINOR`.
pub const SCHEMA_VERSION: &str = "1.0";

/// The identifier of the JSON Schema of [`SCHEMA_VERSION`], written as `$schema` into every result.
pub const SCHEMA_URL: &str = "https://celeriac.dev/schemas/document-result/1.0.json";

/// Everything that is known about one processed document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentResult {
    /// [`SCHEMA_URL`].
    #[serde(rename = "$schema")]
    pub schema: String,
    /// [`SCHEMA_VERSION`].
    pub schema_version: String,
    /// The job that made this result: identity, options, state, times.
    pub job: Job,
    /// The document as it was found.
    pub document: Document,
    /// How much of everything there is.
    pub counts: Counts,
    /// The batches, in page order; empty when the document went the direct way.
    pub batches: Vec<BatchRecord>,
    /// One entry a page, in page order, always `total_pages` long.
    pub pages: Vec<PageRecord>,
    /// The summary; null when none was asked for or it failed.
    pub summary: Option<Summary>,
    /// People, organisations and things named in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<Entities>,
    /// Where the text in retrieval-sized pieces lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Chunks>,
    /// The narration; null when none was asked for.
    #[serde(default)]
    pub audio: Option<Audio>,
    /// Further files made from the document.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// Where the time went.
    pub timings: Timings,
    /// What language models and speech cost.
    pub usage: Usage,
    /// Every error that left a mark, in page order.
    pub errors: Vec<ErrorRecord>,
    /// What a reader should know although nothing failed.
    pub warnings: Vec<Warning>,
}

impl DocumentResult {
    /// A result of `job` over `document` with its pages put in order; the later stages (summary, audio, …) are filled in after.
    #[must_use]
    pub fn new(job: Job, document: Document, batches: Vec<BatchRecord>, pages: Aggregated) -> Self {
        Self {
            schema: SCHEMA_URL.to_owned(),
            schema_version: SCHEMA_VERSION.to_owned(),
            job,
            document,
            counts: pages.counts,
            batches,
            pages: pages.pages,
            summary: None,
            entities: pages.entities,
            chunks: None,
            audio: None,
            artifacts: Vec::new(),
            timings: Timings { page_ms: pages.page_ms, ..Timings::default() },
            usage: pages.usage,
            errors: pages.errors,
            warnings: pages.warnings,
        }
    }

    /// Takes in a reason why the job is not whole.
    pub fn add_reason(&mut self, reason: PartialReason) {
        let mut reasons = self.job.partial_reasons.clone();
        reasons.push(reason);
        (self.job.status, self.job.partial_reasons) = terminal(&self.counts, &reasons);
    }

    /// Attaches the summary and counts its parts.
    pub fn set_summary(&mut self, summary: Summary) {
        self.counts.count_summary(&summary);
        self.summary = Some(summary);
    }
}

/// The JSON Schema of a [`DocumentResult`], as `celeriac schema result` prints it.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut value = schemars::schema_for!(DocumentResult).to_value();
    if let Some(object) = value.as_object_mut() {
        object.insert("$id".to_owned(), SCHEMA_URL.into());
        object.insert("version".to_owned(), SCHEMA_VERSION.into());
    }
    value
}

#[cfg(test)]
mod tests;
