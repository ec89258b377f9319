//! What a page hands on to the summary of its document: a few sentences and phrases instead of its text.
//!
//! A batch stores the digests of its pages together. A digest is about 2 kB whatever the page's size, so the summary of a
//! document of thousands of pages is made from a few megabytes.

use serde::{Deserialize, Serialize};

use super::layout::PageKind;
use super::words::Term;

/// A sentence that may stand for its page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestSentence {
    /// The sentence, without line breaks and hyphenation.
    pub text: String,
    /// First character in the page's text.
    pub start: u32,
    /// One past the last character.
    pub end: u32,
    /// How much it matters on its page and how well it stands alone, 0 to 1.
    pub score: f32,
    /// Which sentence of the page it is, from 0.
    pub position: u32,
}

/// What a page hands on to the summary.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PageDigest {
    /// Number, from 1.
    pub page: u32,
    /// ISO 639-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the page mostly is.
    pub kind: PageKind,
    /// Words on the page.
    pub words: u32,
    /// Its first lines that look like headings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
    /// Its best sentences, in page order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<DigestSentence>,
    /// Its key phrases, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Term>,
    /// The page in a language model's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The page's statements in a language model's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_points: Vec<String>,
    /// What a language model says the page is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub themes: Vec<String>,
}
