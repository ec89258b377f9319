//! A fetched document: what it is, and which stored file holds which of its pages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, DocumentError, Stage};
use crate::render::Kind;
use crate::store::{Key, Store};

const DOCUMENTS: &str = "documents/";
const ENTERED: &str = "/document.json";

/// A document in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// What it was called where it came from.
    pub file_name: Option<String>,
    /// The SHA-256 of its bytes; of its images' sums where it is a set of images.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// What it is made of.
    pub content: Content,
}

/// What a document is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Content {
    /// One file with all pages.
    File {
        /// What it is.
        kind: Kind,
    },
    /// One file a page.
    Images {
        /// The pages in order.
        images: Vec<PageImageFile>,
    },
}

/// One page of a set of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageImageFile {
    /// An image in the store.
    Stored {
        /// The SHA-256 of its bytes.
        sha256: String,
        /// What it is.
        kind: Kind,
    },
    /// No image: the page keeps its place and fails alone.
    Broken {
        /// Why.
        reason: String,
    },
}

impl Document {
    /// Writes down what was handed in, for a task that is told the key alone.
    pub async fn enter(&self, store: &Store) -> Result<Key, DocumentError> {
        let key = Key::parse(&Self::key_of(&self.sha256))?;
        store.put_json(&key, self).await?;
        Ok(key)
    }

    /// Reads it again.
    pub(super) async fn entered(text: &str, store: &Store) -> Result<Self, DocumentError> {
        if !text.starts_with(DOCUMENTS) || !text.ends_with(ENTERED) {
            let message = format!("{text:?} is not the key of a document that was handed in");
            return Err(DocumentError::new(Code::SourceRefused, Stage::Fetch, message));
        }
        let missing = || DocumentError::new(Code::SourceMissing, Stage::Fetch, format!("{text} is not in the store"));
        store.get_json(&Key::parse(text)?).await?.ok_or_else(missing)
    }

    /// The sums by which it lies in the store: its own, and those of its images.
    pub fn sums(&self) -> Vec<&str> {
        let images = match &self.content {
            Content::File { .. } => [].as_slice(),
            Content::Images { images } => images,
        };
        let stored = images.iter().filter_map(|image| match image {
            PageImageFile::Stored { sha256, .. } => Some(sha256.as_str()),
            PageImageFile::Broken { .. } => None,
        });
        std::iter::once(self.sha256.as_str()).chain(stored).collect()
    }

    /// The sum of the document that has this key, or a part of which has it.
    pub fn sum_of(key: &str) -> Option<&str> {
        key.strip_prefix(DOCUMENTS)?.split('/').next()
    }

    /// The key under which it was written down.
    pub fn key_of(sha256: &str) -> String {
        format!("{DOCUMENTS}{sha256}{ENTERED}")
    }

    /// How many pages are known without opening a file.
    pub fn known_pages(&self) -> Option<u32> {
        match &self.content {
            Content::File { kind: Kind::Pdf | Kind::Tiff } => None,
            Content::File { .. } => Some(1),
            Content::Images { images } => u32::try_from(images.len()).ok(),
        }
    }

    /// The stored file that holds `page` (from 1), what it is, and the page's index in it (from 0).
    pub fn page_file(&self, page: u32) -> Result<(Key, Kind, u32), DocumentError> {
        let missing = || DocumentError::new(Code::Internal, Stage::Open, format!("the document has no page {page}")).on_page(page);
        let index = page.checked_sub(1).ok_or_else(missing)?;
        match &self.content {
            Content::File { kind } => Ok((Key::source(&self.sha256)?, *kind, index)),
            Content::Images { images } => match images.get(index as usize).ok_or_else(missing)? {
                PageImageFile::Stored { sha256, kind } => Ok((Key::source(sha256)?, *kind, 0)),
                PageImageFile::Broken { reason } => {
                    Err(DocumentError::new(Code::ImageCorrupt, Stage::Fetch, reason.clone()).on_page(page))
                }
            },
        }
    }

    /// `PDF`, `PNG`, … as the result names it; `IMAGES` for a set of images.
    pub fn file_type(&self) -> String {
        match &self.content {
            Content::File { kind } => format!("{kind:?}").to_uppercase(),
            Content::Images { .. } => "IMAGES".into(),
        }
    }

    /// The media type; `multipart/mixed` for a set of images.
    pub fn mime_type(&self) -> &'static str {
        match &self.content {
            Content::File { kind } => kind.mime_type(),
            Content::Images { .. } => "multipart/mixed",
        }
    }
}
