//! One page: what is stored when it ends and what the result says about it.
//!
//! A record is written once, by the page's own task, and is never changed: aggregating only puts records in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ModelUsage;
use crate::error::ErrorRecord;

/// How a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageStatus {
    /// Done.
    #[default]
    Ok,
    /// Ended in `error`.
    Failed,
    /// Not asked for, or not reached.
    Skipped,
    /// Has an image but no text, and no OCR program was there to read it.
    NeedsOcr,
}

/// Size of a page in the document's own units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PageSize {
    /// Width as displayed.
    pub width: f64,
    /// Height as displayed.
    pub height: f64,
    /// `pt` for PDFs, `px` for images.
    pub unit: String,
    /// Clockwise degrees: 0, 90, 180, 270.
    pub rotation: u16,
}

/// The rendered image of a page, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageImage {
    /// Where it is served, or its key in the store.
    pub url: String,
    /// The same for the thumbnail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumb_url: Option<String>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Resolution it was rendered at; null for pages that were images to begin with.
    pub dpi: Option<u32>,
    /// `jpeg` or `png`.
    pub format: String,
    /// Size of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Hash of the file, hexadecimal.
    pub sha256: String,
}

/// Where the text of a page came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextSource {
    /// The document's own text.
    TextLayer,
    /// Read from the image by the OCR program.
    Ocr,
    /// Read from the image by a language model.
    Vlm,
    /// There is none.
    #[default]
    None,
}

/// The text of a page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageText {
    /// Where it came from.
    pub source: TextSource,
    /// The text itself; quotes' offsets count its characters.
    pub content: String,
    /// Unicode characters.
    pub chars: u32,
    /// Words.
    pub words: u32,
    /// ISO 639-1, where it could be told.
    pub language: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// Retrieval-sized pieces it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u32>,
}

/// A table found on a page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// The table in Markdown.
    pub markdown: String,
    /// Left, top, right, bottom in the page's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<[f64; 4]>,
}

/// A passage of the page, word for word.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// The passage, with line breaks and hyphenation undone.
    pub text: String,
    /// First character of the passage in the page's text; null when it was not found there.
    pub start: Option<u32>,
    /// One past its last character.
    pub end: Option<u32>,
    /// Whether it was found on the page: language models invent quotes.
    pub verified: bool,
}

/// Something named on a page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// The name as written.
    pub text: String,
    /// `PERSON`, `ORG`, `PLACE`, `DATE`, `OTHER`; `NAME` from the offline analysis, which cannot tell.
    #[serde(rename = "type")]
    pub kind: String,
    /// Mentions on the page.
    pub count: u32,
}

/// What an analyser found on a page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageAnalysis {
    /// A few sentences.
    pub summary: String,
    /// The main statements.
    pub key_points: Vec<String>,
    /// What it is about, in a few words each.
    pub themes: Vec<String>,
    /// `positive`, `neutral`, `negative`; null where nothing can tell.
    pub sentiment: Option<String>,
    /// Passages worth quoting.
    pub quotes: Vec<Quote>,
    /// Things named.
    pub entities: Vec<Entity>,
}

/// Something a reader should know although nothing failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Machine-readable.
    pub code: String,
    /// For people.
    pub message: String,
    /// The pages it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<u32>,
}

/// Milliseconds of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageTimes {
    /// Waiting for a worker.
    pub queued: u64,
    /// Getting the source.
    pub fetch: u64,
    /// Rendering the image.
    pub render: u64,
    /// Extracting the text.
    pub extract: u64,
    /// Reading it by OCR.
    pub ocr: u64,
    /// Analysing it.
    pub analyze: u64,
    /// Storing the parts.
    pub store: u64,
    /// From start to end.
    pub total: u64,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageRecord {
    /// Number, from 1.
    pub page: u32,
    /// The batch it was in, from 1; null on the direct way.
    #[serde(default)]
    pub batch: Option<u32>,
    /// The label printed by the document, such as `iv`.
    #[serde(default)]
    pub label: Option<String>,
    /// How it ended.
    pub status: PageStatus,
    /// Whether it was done before this job.
    #[serde(default)]
    pub from_cache: bool,
    /// Size in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<PageSize>,
    /// Its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PageImage>,
    /// Its text.
    #[serde(default)]
    pub text: Option<PageText>,
    /// Its text as Markdown, where an analyser made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markdown: Option<String>,
    /// Its tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// What was found on it.
    #[serde(default)]
    pub analysis: Option<PageAnalysis>,
    /// What to know about it.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<ErrorRecord>,
    /// Times it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// The Celery task that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The worker that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_ms: Option<PageTimes>,
    /// What the language model took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ModelUsage>,
}

impl PageRecord {
    /// The slot of a page that ended in `error`.
    #[must_use]
    pub fn failed(page: u32, error: ErrorRecord) -> Self {
        Self { page, status: PageStatus::Failed, attempts: error.attempts, error: Some(error), ..Self::default() }
    }

    /// The slot of a page that was not asked for or not reached.
    #[must_use]
    pub fn skipped(page: u32) -> Self {
        Self { page, status: PageStatus::Skipped, ..Self::default() }
    }

    /// Whether the page has something to read or look at.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(self.status, PageStatus::Ok | PageStatus::NeedsOcr)
    }
}
