//! The summary of a document, made from what its pages handed on and never from their texts.
//!
//! Map and reduce: pages → digests (made with the page) → sections (the outline's, or runs of pages) → the document. The
//! offline way chooses sentences, [`Offline`](crate::analysis::Offline) being the judge of words; the other way asks a
//! language model section by section and then over the sections. Both take [`SummaryInput`] and give the same
//! [`Summary`](crate::result::Summary).

mod candidates;
mod facts;
mod offline;
mod openai;
mod sections;
mod text;
mod themes;

pub use offline::summarize;
pub use sections::{SectionPlan, sections};

use crate::analysis::PageDigest;
use crate::result::OutlineItem;

/// What a summary is made from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SummaryInput {
    /// The document's title, where it has one.
    pub title: Option<String>,
    /// The document's outline; may be empty.
    pub outline: Vec<OutlineItem>,
    /// Pages of the document.
    pub total_pages: u32,
    /// Pages that should be there and are not.
    pub missing_pages: Vec<u32>,
    /// Pages a section has where the outline gives none.
    pub pages_per_section: u32,
    /// What the pages handed on, in any order.
    pub digests: Vec<PageDigest>,
}

impl SummaryInput {
    /// The digests in page order, one a page.
    fn ordered(&self) -> Vec<&PageDigest> {
        let mut digests: Vec<&PageDigest> = self.digests.iter().collect();
        digests.sort_by_key(|digest| digest.page);
        digests.dedup_by_key(|digest| digest.page);
        digests
    }

    /// The language of most words.
    fn language(&self) -> Option<String> {
        let mut words: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        for digest in &self.digests {
            if let Some(language) = &digest.language {
                *words.entry(language).or_default() += u64::from(digest.words);
            }
        }
        words.into_iter().max_by_key(|(_, count)| *count).map(|(language, _)| language.to_owned())
    }
}

#[cfg(test)]
mod tests;
