//! Where a document comes from, and getting it: whatever the source, it ends as a copy in the store named by its content.
//!
//! A source is written by whoever can send a job, so each way in has its guard: paths stay inside allowed folders, URLs
//! reach public addresses only, keys stay in the store, and everything has a size limit and is known by content, not name.

mod address;
mod document;
mod inline;
mod path;
mod upload;
mod url;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, DocumentError, Stage};
use crate::render::Kind;
use crate::store::{Key, Spool, Store};

pub use address::{Resolver, SystemResolver, is_public};
pub use document::{Content, Document, PageImageFile};
pub use inline::ImageSet;
pub use upload::Upload;
pub use url::{Guarded, without_secrets};

/// Where a document comes from, as a caller writes it: `{"path": "/data/report.pdf"}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file on this machine, inside an allowed folder.
    #[serde(alias = "file_path")]
    Path(PathBuf),
    /// An `https` address.
    #[serde(alias = "file_url")]
    Url(String),
    /// A key of the store, as an upload left it.
    #[serde(alias = "file_key", alias = "fileKey")]
    StoreKey(String),
    /// The key under which [`Document::enter`] has written what was handed in.
    DocumentKey(String),
    /// One image a page, base64 with or without a `data:` prefix.
    ImagesBase64(Vec<String>),
    /// A whole document, base64 with or without a `data:` prefix.
    #[serde(alias = "file_base64")]
    PdfBase64(String),
}

impl std::fmt::Debug for Source {
    /// Without the bytes: a log line is no place for a thousand pages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&url::without_secrets(url)).finish(),
            Self::StoreKey(key) => f.debug_tuple("StoreKey").field(key).finish(),
            Self::DocumentKey(key) => f.debug_tuple("DocumentKey").field(key).finish(),
            Self::ImagesBase64(images) => write!(f, "ImagesBase64({} images)", images.len()),
            Self::PdfBase64(text) => write!(f, "PdfBase64({} characters)", text.len()),
        }
    }
}

/// What sources may do here.
#[derive(Clone)]
pub struct SourceOptions {
    /// The folders whose files may be named by path; none, and paths are refused.
    pub allowed_folders: Vec<PathBuf>,
    /// The largest document, bytes.
    pub max_bytes: u64,
    /// How long a download may take in all.
    pub fetch_timeout: Duration,
    /// How many redirects are followed.
    pub max_redirects: usize,
    /// Whether `http` on this very machine may be fetched. For tests and for services that share a host.
    pub allow_loopback_http: bool,
    /// Whether any address may be spoken to, by `http` too. For webhooks of services beside this one; documents are never fetched so.
    pub allow_private: bool,
    /// Who turns names into addresses.
    pub resolver: Arc<dyn Resolver>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            allowed_folders: Vec::new(),
            max_bytes: 500_000_000,
            fetch_timeout: Duration::from_secs(300),
            max_redirects: 5,
            allow_loopback_http: false,
            allow_private: false,
            resolver: Arc::new(SystemResolver),
        }
    }
}

impl std::fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceOptions")
            .field("allowed_folders", &self.allowed_folders)
            .field("max_bytes", &self.max_bytes)
            .field("allow_loopback_http", &self.allow_loopback_http)
            .finish_non_exhaustive()
    }
}

/// Gets the document into the store and tells what it is.
///
/// Doing it again gives the same document: what is there already is written over by itself.
///
/// # Errors
/// `source_missing`, `source_refused`, `source_too_large`, `source_unsupported`, `source_unreachable` or `storage_failed`.
pub async fn fetch(source: &Source, store: &Store, options: &SourceOptions) -> Result<Document, DocumentError> {
    match source {
        Source::Path(wanted) => {
            let (spool, name) = path::read(wanted, store, options).await?;
            keep(spool, Some(name), store).await
        }
        Source::Url(address) => {
            let (spool, name) = url::download(address, store, options).await?;
            keep(spool, name, store).await
        }
        Source::StoreKey(text) => {
            let key = Key::parse(text)?;
            let mut spool = store.spool(options.max_bytes).await?;
            store.copy_into(&key, &mut spool).await?;
            keep(spool, name_of(text), store).await
        }
        Source::DocumentKey(text) => Document::entered(text, store).await,
        Source::PdfBase64(text) => {
            let mut spool = store.spool(options.max_bytes).await?;
            inline::decode_into(text, &mut spool).await?;
            keep(spool, None, store).await
        }
        Source::ImagesBase64(images) => inline::images(images, store, options).await,
    }
}

/// A finished document under its own name.
async fn keep(mut spool: Spool, file_name: Option<String>, store: &Store) -> Result<Document, DocumentError> {
    let (size_bytes, sha256) = spool.finish().await?;
    if size_bytes == 0 {
        return Err(unsupported("the document is empty"));
    }
    let kind = Kind::sniff(spool.head())
        .ok_or_else(|| unsupported("the document is neither a PDF nor a PNG, JPEG, WebP or TIFF image"))?;
    store.adopt(spool, &Key::source(&sha256)?).await?;
    Ok(Document { file_name, sha256, size_bytes, content: Content::File { kind } })
}

fn unsupported(message: &str) -> DocumentError {
    DocumentError::new(Code::SourceUnsupported, Stage::Fetch, message)
}

fn refused(message: impl Into<String>) -> DocumentError {
    DocumentError::new(Code::SourceRefused, Stage::Fetch, message)
}

/// The last part of a path or address, if it can be shown as a file's name.
fn name_of(text: &str) -> Option<String> {
    let name: String = text.rsplit(['/', '\\']).next()?.chars().filter(|c| !c.is_control()).take(200).collect();
    (!name.is_empty() && name != "." && name != "..").then_some(name)
}
