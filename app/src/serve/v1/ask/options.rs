//! What is made of a document.

use celeriac_tasks::job::{Analysis, BatchSize, ProcessDocument, Selection};
use celeriac_tasks::page::OcrMode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::super::problem::Problem;
use super::schema::batch_size;

/// What is made of a document. What is not said, the settings say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    /// Which pages: `1-25,40`; by default all.
    #[schema(value_type = Option<String>)]
    pages: Option<Selection>,
    /// Pages a batch, or `auto`.
    #[schema(schema_with = batch_size)]
    batch_size: Option<BatchSize>,
    /// How many pages are worked on at once, on all workers together; 0: as many as can.
    page_parallelism: Option<u32>,
    /// Dots an inch of the page images.
    dpi: Option<u16>,
    /// When pages are read by OCR: `auto`, `always`, `never`.
    #[schema(value_type = Option<String>, pattern = "^(auto|always|never)$")]
    ocr: Option<OcrMode>,
    /// The OCR program's languages, such as `eng+deu`.
    ocr_languages: Option<String>,
    /// How pages are analysed: `none`, `extractive`, `openai`.
    #[schema(value_type = Option<String>, pattern = "^(none|extractive|openai)$")]
    analysis: Option<Analysis>,
    /// Whether a summary is made.
    summary: Option<bool>,
    /// Whether the summary is narrated.
    audio: Option<bool>,
    /// The voice of the narration.
    voice: Option<String>,
    /// The password of an encrypted PDF.
    password: Option<String>,
}

impl Options {
    /// Read out of what is said, over what the kind of job stands for.
    pub(super) fn read(said: Map<String, Value>) -> Result<Self, Problem> {
        serde_json::from_value(said.into()).map_err(|error| Problem::invalid(format!("options: {error}")))
    }

    pub(super) fn call(self) -> ProcessDocument {
        ProcessDocument {
            pages: self.pages,
            batch_size: self.batch_size,
            page_parallelism: self.page_parallelism,
            dpi: self.dpi,
            ocr: self.ocr,
            ocr_languages: self.ocr_languages,
            analysis: self.analysis,
            summary: self.summary,
            audio: self.audio,
            voice: self.voice,
            password: self.password,
            ..ProcessDocument::default()
        }
    }
}
