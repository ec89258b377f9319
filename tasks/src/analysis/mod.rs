//! Analysing one page: offline by ranking its own sentences, or by asking a language model.
//!
//! Both give the same [`Analyzed`]: the page's part of the result and the [`PageDigest`] that the document's summary is made
//! from. Nothing here knows tasks or the store.

mod digest;
mod entity;
mod language;
mod layout;
mod offline;
mod openai;
mod quote;
mod rank;
mod script;
mod sentence;
mod words;

pub use digest::{DigestSentence, PageDigest};
pub use layout::PageKind;
pub use offline::Offline;
pub use quote::Searchable;
pub use words::Term;

pub(crate) use language::Language;
pub(crate) use rank::{Vector, cosine, diverse, textrank};
pub(crate) use words::{Stems, words};

use sentence::Sentence;

use crate::result::{ModelUsage, PageAnalysis};

/// Rises whenever the offline analysis gives something else for the same page: part of the cache key of pages.
pub const OFFLINE_VERSION: &str = "1";

/// Characters a chunk aims at.
const CHUNK: usize = 1200;

/// What an analyser found out about a page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Analyzed {
    /// For the page's record.
    pub analysis: PageAnalysis,
    /// ISO 639-1, where it could be told.
    pub language: Option<String>,
    /// Retrieval-sized pieces the text makes.
    pub chunks: u32,
    /// For the document's summary.
    pub digest: PageDigest,
    /// What a language model took.
    pub usage: Option<ModelUsage>,
    /// The page in Markdown, where a language model wrote it.
    pub markdown: Option<String>,
    /// The text a language model read from the image of a page without text.
    pub text: Option<String>,
}

/// How many pieces of about [`CHUNK`] characters the text makes when it is cut at sentence ends.
fn chunk_count(sentences: &[Sentence], text: &str) -> u32 {
    let mut chunks = 0;
    let mut from = None;
    for sentence in sentences {
        let start = *from.get_or_insert(sentence.start);
        if (sentence.end - start) as usize >= CHUNK {
            chunks += 1;
            from = None;
        }
    }
    let rest = u32::from(from.is_some());
    (chunks + rest).max(u32::from(sentences.is_empty() && !text.trim().is_empty()))
}
