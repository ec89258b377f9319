//! What a caller asks for: the keyword arguments of `tasks.process_document`.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::selection::Selection;
use super::split::BatchSize;
use crate::error::{Code, DocumentError, Stage};
use crate::page::OcrMode;
use crate::source::Source;

/// How pages are analysed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Analysis {
    /// Not at all.
    None,
    /// Here, by extracting sentences.
    Extractive,
    /// By a language model behind an OpenAI-compatible API.
    Openai,
}

impl Analysis {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Extractive => "extractive",
            Self::Openai => "openai",
        }
    }
}

/// A job, as a Python caller writes it. Exactly one source; everything else has a default.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessDocument {
    /// A file on the worker's machine, inside an allowed folder.
    #[serde(alias = "file_path")]
    pub path: Option<PathBuf>,
    /// An `https` address.
    #[serde(alias = "file_url")]
    pub url: Option<String>,
    /// A key of the store.
    #[serde(alias = "file_key")]
    pub store_key: Option<String>,
    /// The key of a document that was handed in, as the service wrote it down.
    pub document_key: Option<String>,
    /// One image a page, base64, with or without a `data:` prefix.
    pub images_base64: Option<Vec<String>>,
    /// A whole document, base64.
    #[serde(alias = "file_base64")]
    pub pdf_base64: Option<String>,
    /// The password of an encrypted PDF.
    pub password: Option<String>,
    /// In its place: the name under which the service keeps it beside the job's files.
    pub password_ref: Option<String>,
    /// The job's id; by default the task's id. The same job again does only what is missing.
    pub job_id: Option<String>,
    /// What to call the document.
    pub file_name: Option<String>,
    /// `1-25,40`; by default all.
    pub pages: Option<Selection>,
    /// Pages a batch, or `auto`.
    pub batch_size: Option<BatchSize>,
    /// How many pages are worked on at once, on all workers together; 0: as many as can.
    pub page_parallelism: Option<u32>,
    /// Dots an inch of the page images.
    pub dpi: Option<u16>,
    /// When pages are read by OCR.
    pub ocr: Option<OcrMode>,
    /// The OCR program's languages, such as `eng+deu`.
    pub ocr_languages: Option<String>,
    /// How pages are analysed.
    pub analysis: Option<Analysis>,
    /// Whether a summary is made.
    pub summary: Option<bool>,
    /// Whether the summary is narrated.
    pub audio: Option<bool>,
    /// The voice.
    pub voice: Option<String>,
    /// Whose job it is.
    pub user_id: Option<String>,
    /// The caller's tags.
    pub tags: Vec<String>,
    /// The caller's own data, untouched.
    pub metadata: Map<String, Value>,
    /// `low`, `normal`, `high`.
    pub priority: Option<String>,
    /// What it may cost at most, in US dollars; of a job that was handed in before, what was said then counts.
    pub max_cost_usd: Option<f64>,
}

impl fmt::Debug for ProcessDocument {
    /// Without bytes and secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessDocument").field("job_id", &self.job_id).field("source", &self.source()).finish_non_exhaustive()
    }
}

/// What a job is to make, with every default filled in: what changes the result, and therefore what is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which pages.
    pub pages: Selection,
    /// Dots an inch.
    pub dpi: u16,
    /// When pages are read by OCR.
    pub ocr: OcrMode,
    /// The OCR program's languages; by default the settings'.
    pub ocr_languages: String,
    /// How pages are analysed.
    pub analysis: Analysis,
    /// The model, with `openai`.
    pub model: Option<String>,
}

impl Wanted {
    /// The same for the same wishes.
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl ProcessDocument {
    /// Whether it is asked for by the job's id alone: the same again, as far as it is missing.
    pub fn names_no_source(&self) -> bool {
        self.job_id.is_some() && self.sources().next().is_none()
    }

    /// The one source.
    pub fn source(&self) -> Result<Source, DocumentError> {
        let mut given = self.sources();
        match (given.next(), given.next()) {
            (Some(source), None) => Ok(source),
            (None, _) => Err(refused("no source: give one of path, url, store_key, images_base64, pdf_base64")),
            (Some(_), Some(_)) => Err(refused("more than one source: give one of path, url, store_key, images_base64, pdf_base64")),
        }
    }

    fn sources(&self) -> impl Iterator<Item = Source> {
        let sources = [
            self.path.clone().map(Source::Path),
            self.url.clone().map(Source::Url),
            self.store_key.clone().map(Source::StoreKey),
            self.document_key.clone().map(Source::DocumentKey),
            self.images_base64.clone().map(Source::ImagesBase64),
            self.pdf_base64.clone().map(Source::PdfBase64),
        ];
        sources.into_iter().flatten()
    }
}

fn refused(message: &str) -> DocumentError {
    DocumentError::new(Code::SourceRefused, Stage::Fetch, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(json: serde_json::Value) -> ProcessDocument {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn exactly_one_source_is_taken_and_the_sources_names_are_known() {
        let path = ask(serde_json::json!({"file_path": "/data/a.pdf", "pages": "1-3", "batch_size": "auto"}));
        assert_eq!(path.source().unwrap(), Source::Path("/data/a.pdf".into()));
        assert!(ask(serde_json::json!({})).source().unwrap_err().message.contains("no source"));
        assert!(ask(serde_json::json!({"path": "a", "url": "b"})).source().is_err());
    }

    #[test]
    fn a_hash_changes_with_what_changes_the_result() {
        let wanted = |dpi| Wanted {
            pages: Selection::default(),
            dpi,
            ocr: OcrMode::Auto,
            ocr_languages: "eng".into(),
            analysis: Analysis::Extractive,
            model: None,
        };
        assert_eq!(wanted(150).hash(), wanted(150).hash());
        assert_ne!(wanted(150).hash(), wanted(100).hash());
    }

    #[test]
    fn a_log_line_shows_neither_password_nor_bytes() {
        let asked = ask(serde_json::json!({"pdf_base64": "JVBERi0=", "password": "hunter2"}));
        let shown = format!("{asked:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("JVBER"), "{shown}");
    }
}
