//! Batches of pages, and how much of everything there is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PageRecord, PageStatus, Summary};
use crate::error::ErrorRecord;

/// A run of pages, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PageSpan {
    /// First page, from 1.
    pub from: u32,
    /// Last page.
    pub to: u32,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// All its pages are there.
    #[default]
    Ok,
    /// Some are.
    Partial,
    /// None is.
    Failed,
}

/// Milliseconds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BatchTimes {
    /// Waiting for a worker.
    pub queued: u64,
    /// From its first page's start to its last page's end.
    pub run: u64,
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchRecord {
    /// Number, from 1.
    pub batch: u32,
    /// Its pages.
    pub pages: PageSpan,
    /// How it ended.
    pub status: BatchStatus,
    /// Pages that are there.
    pub ok: u32,
    /// Pages that failed.
    pub failed: u32,
    /// Times the batch was run.
    pub attempts: u32,
    /// Its Celery task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The worker that collected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_ms: Option<BatchTimes>,
    /// The tasks of its pages; left out of the compact form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Errors of the batch itself and of its pages.
    pub errors: Vec<ErrorRecord>,
}

impl BatchRecord {
    /// The batch over `span` as its page records tell it.
    #[must_use]
    pub fn of(batch: u32, span: PageSpan, pages: &[PageRecord]) -> Self {
        let within: Vec<&PageRecord> = pages.iter().filter(|page| (span.from..=span.to).contains(&page.page)).collect();
        let count = |failed: bool| {
            let matching = within.iter().filter(|page| (page.status == PageStatus::Failed) == failed);
            u32::try_from(matching.count()).unwrap_or(u32::MAX)
        };
        let (ok, failed) = (count(false), count(true));
        Self {
            batch,
            pages: span,
            status: match (ok, failed) {
                (_, 0) => BatchStatus::Ok,
                (0, _) => BatchStatus::Failed,
                _ => BatchStatus::Partial,
            },
            ok,
            failed,
            attempts: 1,
            task_id: None,
            worker: None,
            times_ms: None,
            tasks: Vec::new(),
            errors: within.iter().filter_map(|page| page.error.clone()).collect(),
        }
    }
}

/// How much of everything there is. `ok + cached + failed + skipped + needs_ocr = total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Pages of the document.
    pub total: u32,
    /// Pages done in this job.
    pub ok: u32,
    /// Pages taken from an earlier job or run.
    pub cached: u32,
    /// Pages that ended in an error.
    pub failed: u32,
    /// Pages not asked for, or not reached.
    pub skipped: u32,
    /// Pages with an image but no readable text, because no OCR program was there.
    pub needs_ocr: u32,
    /// Words in all pages.
    pub words: u64,
    /// Retrieval-sized pieces of text.
    pub chunks: u64,
    /// Themes of the summary.
    pub themes: u32,
    /// Quotes of the summary.
    pub quotes: u32,
    /// Insights of the summary.
    pub insights: u32,
    /// Distinct entities.
    pub entities: u32,
}

impl Counts {
    /// Takes the numbers of a summary's parts.
    pub fn count_summary(&mut self, summary: &Summary) {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.themes = small(summary.themes.len());
        self.quotes = small(summary.quotes.len());
        self.insights = small(summary.insights.len());
    }

    /// Counts one page.
    pub(super) fn count_page(&mut self, page: &PageRecord) {
        self.total += 1;
        match page.status {
            PageStatus::Ok if page.from_cache => self.cached += 1,
            PageStatus::Ok => self.ok += 1,
            PageStatus::Failed => self.failed += 1,
            PageStatus::Skipped => self.skipped += 1,
            PageStatus::NeedsOcr => self.needs_ocr += 1,
        }
        if let Some(text) = &page.text {
            self.words += u64::from(text.words);
            self.chunks += u64::from(text.chunks.unwrap_or(0));
        }
    }
}
