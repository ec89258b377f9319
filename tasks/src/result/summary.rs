//! What is made from the whole document: summary, entities, chunks, narration, files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PageSpan;
use crate::error::ErrorRecord;

/// How a summary was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SummaryMethod {
    /// Sentences of the document, ranked and chosen.
    #[default]
    Extractive,
    /// Written by a language model, part by part and then over the parts.
    MapReduce,
}

/// A statement the document makes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct KeyPoint {
    /// One sentence.
    pub text: String,
    /// Where it stands.
    pub pages: Vec<u32>,
    /// 0 to 1, relative to the strongest.
    pub weight: f64,
}

/// What the document is about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Theme {
    /// A few words.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Where it is treated.
    pub pages: Vec<u32>,
    /// 0 to 1, relative to the strongest.
    pub weight: f64,
}

/// A passage worth quoting.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SummaryQuote {
    /// The passage.
    pub text: String,
    /// Its page.
    pub page: u32,
    /// First character in the page's text.
    pub start: Option<u32>,
    /// One past the last.
    pub end: Option<u32>,
    /// Who says it, where the text tells.
    pub speaker: Option<String>,
    /// Whether it was found on that page.
    pub verified: bool,
}

/// What follows from the document rather than stands in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Insight {
    /// One sentence.
    pub text: String,
    /// `focus`, `coverage`, `structure`, `risk`, `opportunity`, `trend`, …
    pub kind: String,
    /// What it rests on.
    pub pages: Vec<u32>,
    /// 0 to 1.
    pub confidence: f64,
}

/// A part of the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// From the outline, or the pages where there is none.
    pub title: String,
    /// Its pages.
    pub pages: PageSpan,
    /// A few sentences.
    pub summary: String,
}

/// The summary of a document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// One or two paragraphs.
    pub executive: String,
    /// The long form, in Markdown.
    pub detailed_markdown: String,
    /// How it was made.
    pub method: SummaryMethod,
    /// Steps from pages to document.
    pub levels: u32,
    /// Pages it rests on.
    pub covers_pages: u32,
    /// Pages it should rest on but does not.
    pub missing_pages: Vec<u32>,
    /// Main statements, strongest first.
    pub key_points: Vec<KeyPoint>,
    /// Themes, strongest first.
    pub themes: Vec<Theme>,
    /// Quotes, in page order.
    pub quotes: Vec<SummaryQuote>,
    /// Insights, strongest first.
    pub insights: Vec<Insight>,
    /// Parts, in page order.
    pub sections: Vec<Section>,
}

/// Something named in the document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DocumentEntity {
    /// `e1`, `e2`, …: what relations refer to.
    pub id: String,
    /// The most usual spelling.
    pub name: String,
    /// As in [`super::Entity`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Other spellings.
    pub aliases: Vec<String>,
    /// Mentions in the document.
    pub mentions: u32,
    /// Where.
    pub pages: Vec<u32>,
}

/// How two entities stand to each other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Relation {
    /// An entity's id.
    pub from: String,
    /// An entity's id.
    pub to: String,
    /// Such as `ACQUIRED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is said.
    pub pages: Vec<u32>,
    /// 0 to 1.
    pub confidence: f64,
}

/// Entities and how they are related.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Entities {
    /// Most mentioned first.
    pub items: Vec<DocumentEntity>,
    /// Relations between them.
    pub relations: Vec<Relation>,
}

/// The model the chunks were embedded with; null when they were not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Embedding {
    /// Name of the model.
    pub model: Option<String>,
    /// Length of a vector.
    pub dims: Option<u32>,
}

/// Where the text in retrieval-sized pieces lies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Chunks {
    /// How many.
    pub count: u64,
    /// Where.
    pub url: String,
    /// With which vectors.
    pub embedding: Embedding,
}

/// How the narration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioStatus {
    /// All parts are there.
    #[default]
    Ok,
    /// `errors` says why not.
    Failed,
    /// Not asked for, or nothing to say.
    Skipped,
}

/// One audio file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AudioPart {
    /// Number, from 1.
    pub part: u32,
    /// What it narrates.
    pub title: String,
    /// Where it is served, or its key in the store.
    pub url: String,
    /// `wav`, `mp3`, `opus`.
    pub format: String,
    /// Seconds.
    pub duration_s: f64,
    /// Size of the file.
    pub bytes: u64,
    /// The voice that speaks.
    pub voice: String,
    /// What was spoken: a path in this result, or a key in the store.
    pub transcript_ref: String,
}

/// The narration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Audio {
    /// How it ended.
    pub status: AudioStatus,
    /// The files.
    pub parts: Vec<AudioPart>,
    /// Why it failed.
    pub errors: Vec<ErrorRecord>,
}

/// A further file made from the document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// `markdown`, `pages`, `transcript`, …
    pub kind: String,
    /// Where it is served, or its key in the store.
    pub url: String,
    /// Size of the file.
    pub bytes: u64,
    /// Hash of the file, hexadecimal.
    pub sha256: String,
}
