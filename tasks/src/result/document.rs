//! The document as it was found: file, format, outline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether pages carry text of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextLayer {
    /// Every page has text.
    Yes,
    /// Some pages have.
    Mixed,
    /// None has.
    #[default]
    No,
}

/// An entry of the document's outline (bookmarks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutlineItem {
    /// As written in the document.
    pub title: String,
    /// The page it points to, from 1; null when it points nowhere.
    pub page: Option<u32>,
    /// Depth, from 1.
    pub level: u32,
}

/// What is particular to a PDF.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PdfInfo {
    /// Such as `1.7`.
    pub version: Option<String>,
    /// Whether a password or permissions protect it.
    pub encrypted: bool,
    /// Whether it is tagged for accessibility; null when that was not looked at.
    #[serde(default)]
    pub tagged: Option<bool>,
    /// Whether its pages carry text.
    pub has_text_layer: TextLayer,
    /// Its bookmarks, in document order.
    pub outline: Vec<OutlineItem>,
}

/// The document as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// `doc_` and the beginning of the hash: the same bytes have the same id.
    pub document_id: String,
    /// The name the caller gave it.
    pub file_name: String,
    /// `PDF`, `PNG`, `JPEG`, `WEBP`, `TIFF`, `IMAGES`.
    pub file_type: String,
    /// The media type found by content.
    pub mime_type: String,
    /// Size of the source.
    pub size_bytes: u64,
    /// Hash of the source, hexadecimal.
    pub sha256: String,
    /// Pages in the document, asked for or not.
    pub total_pages: u32,
    /// Title from the document's own data.
    #[serde(default)]
    pub title: Option<String>,
    /// Authors from the document's own data.
    #[serde(default)]
    pub authors: Vec<String>,
    /// The language of most pages, ISO 639-1.
    #[serde(default)]
    pub language: Option<String>,
    /// Present for PDFs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdf: Option<PdfInfo>,
}
