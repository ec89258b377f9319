//! What can go wrong with a document, a page or a stage of their work: one closed list of codes, one error, one record.
//!
//! [`DocumentError`] is what functions return and what crosses the border of a child process; [`ErrorRecord`] is the
//! same thing as it stands in a result, with the number of attempts and the time. Codes are part of the result's
//! schema: a new one raises its minor version.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::timestamp;

/// What went wrong, as a program can tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// There is nothing at the path, URL or store key.
    SourceMissing,
    /// The source is not allowed: outside the allowed folders, a private address, not `https`.
    SourceRefused,
    /// The source is larger than the limit.
    SourceTooLarge,
    /// The content is of no kind that can be read here.
    SourceUnsupported,
    /// The other side did not answer, or not with the document; trying again may help.
    SourceUnreachable,
    /// The PDF needs a password, or the one given is wrong.
    PdfEncrypted,
    /// The PDF is broken beyond PDFium's repair, or has no pages.
    PdfCorrupt,
    /// The image is broken, or too large to decode.
    ImageCorrupt,
    /// The page could not be rendered.
    PageRenderFailed,
    /// The page took longer than it may.
    PageTimeout,
    /// The process that worked on it died.
    WorkerLost,
    /// The page needs OCR and the OCR program is not here.
    OcrUnavailable,
    /// The OCR program failed.
    OcrFailed,
    /// The model's provider asks to slow down.
    LlmRateLimited,
    /// The model declined to answer.
    LlmRefused,
    /// The model's answer is not what the schema asks for.
    LlmBadJson,
    /// The model could not be asked.
    LlmFailed,
    /// The job's budget is used up.
    BudgetExceeded,
    /// Speech could not be made.
    TtsFailed,
    /// The store could not be read or written.
    StorageFailed,
    /// The job was cancelled.
    Cancelled,
    /// A fault of this program.
    Internal,
}

impl Code {
    /// True when the same work may succeed later without anybody changing anything.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::SourceUnreachable
                | Self::PageRenderFailed
                | Self::PageTimeout
                | Self::WorkerLost
                | Self::OcrFailed
                | Self::LlmRateLimited
                | Self::LlmBadJson
                | Self::LlmFailed
                | Self::TtsFailed
                | Self::StorageFailed
        )
    }
}

/// Where in the work it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Getting the document: reading, downloading, storing it.
    Fetch,
    /// Opening it: what kind it is, how many pages.
    Open,
    /// Rendering a page.
    Render,
    /// Reading a page's text layer.
    Extract,
    /// Recognising a page's text.
    Ocr,
    /// Analysing a page.
    Analyze,
    /// Writing to the store.
    Store,
    /// Putting the pages together.
    Aggregate,
    /// Summarising.
    Summary,
    /// Narrating.
    Audio,
    /// Telling the one who asked.
    Notify,
}

/// A document, a page or a stage failed.
///
/// Whatever caused it is already in `message`: the error crosses process borders and must not need its cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct DocumentError {
    /// What went wrong, for programs.
    pub code: Code,
    /// Where.
    pub stage: Stage,
    /// What went wrong and, where it can be said, what to do about it; for people.
    pub message: String,
    /// The page it happened on, from 1.
    pub page: Option<u32>,
    retryable: bool,
    #[serde(default)]
    retry_after_ms: Option<u64>,
    #[serde(default)]
    untried: bool,
}

impl DocumentError {
    /// An error, retryable as its code says.
    pub fn new(code: Code, stage: Stage, message: impl Into<String>) -> Self {
        Self { code, stage, message: message.into(), page: None, retryable: code.retryable(), retry_after_ms: None, untried: false }
    }

    /// The same error, on this page.
    #[must_use]
    pub fn on_page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// The same error, known not to go away by itself (a permission, a full disk, a setting).
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// True when the same work may succeed later without anybody changing anything.
    pub fn retryable(&self) -> bool {
        self.retryable
    }

    /// The same error, from a server that said how long to wait.
    #[must_use]
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// How long to wait at least before trying again, where a server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// The same error, of work that was not even tried, because it could not succeed now: it is put off, which is no try of it.
    #[must_use]
    pub fn untried(mut self) -> Self {
        self.untried = true;
        self
    }

    /// False where the work was put off.
    pub fn tried(&self) -> bool {
        !self.untried
    }

    /// This error as it stands in a result.
    pub fn record(&self, attempts: u32, at: DateTime<Utc>) -> ErrorRecord {
        ErrorRecord {
            code: self.code,
            message: self.message.clone(),
            stage: self.stage,
            page: self.page,
            batch: None,
            attempts,
            retryable: self.retryable,
            at,
            detail_ref: None,
        }
    }
}

/// An error as it stands in a result: on a page, on a batch, or on the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorRecord {
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong, for people.
    pub message: String,
    /// Where in the work.
    pub stage: Stage,
    /// The page, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The batch, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch: Option<u32>,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether trying again may help.
    pub retryable: bool,
    /// When it went wrong for the last time.
    #[serde(with = "timestamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: DateTime<Utc>,
    /// Where more is written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail_ref: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_the_result_document_says() {
        let at = DateTime::from_timestamp(1_763_771_642, 0).unwrap();
        let error = DocumentError::new(Code::PageRenderFailed, Stage::Render, "PDFium returned no bitmap").on_page(326);
        assert_eq!(
            serde_json::to_value(error.record(3, at)).unwrap(),
            serde_json::json!({
                "code": "page_render_failed", "message": "PDFium returned no bitmap", "stage": "render", "page": 326,
                "attempts": 3, "retryable": true, "at": "2025-11-22T00:34:02+00:00"
            })
        );
    }

    #[test]
    fn a_permanent_error_is_not_retried_whatever_its_code() {
        let error = DocumentError::new(Code::StorageFailed, Stage::Store, "disk full");
        assert!(error.retryable());
        assert!(!error.permanent().retryable());
    }
}
