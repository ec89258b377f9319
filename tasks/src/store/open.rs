//! Opening a store from a setting: a folder, `file://`, `s3://bucket/prefix`, or memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use url::Url;

use crate::error::{Code, DocumentError, Stage};

use super::{Store, failure};

/// Where the store is, and what is needed to reach it.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// A folder, `file:///folder`, or `s3://bucket/prefix`.
    pub url: String,
    /// The folder for half-written and downloaded files of a remote store.
    pub spool: PathBuf,
    /// Another server that speaks S3 (MinIO, R2, Supabase); `http://` is allowed here because it is the operator's own choice.
    pub s3_endpoint: Option<String>,
    /// The region; `us-east-1` where none is given.
    pub s3_region: Option<String>,
    /// The access key's id; without one the instance's own role is asked for.
    pub s3_access_key_id: Option<String>,
    /// The access key's secret.
    pub s3_secret_access_key: Option<String>,
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions").field("url", &self.url).field("spool", &self.spool).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store that `options` describe.
    ///
    /// # Errors
    /// `storage_failed` when the folder cannot be made or the address is no store's.
    pub fn open(options: &StoreOptions) -> Result<Self, DocumentError> {
        match Url::parse(&options.url) {
            Ok(url) if url.scheme() == "s3" => Self::s3(&url, options),
            Ok(url) if url.scheme() == "file" => {
                Self::local(url.to_file_path().map_err(|()| setting(format!("{url} is not a local folder")))?)
            }
            Ok(url) if url.cannot_be_a_base() || url.has_host() => {
                Err(setting(format!("the store's address begins with {}:, not with s3:, file: or a folder", url.scheme())))
            }
            _ if options.url.is_empty() => Err(setting("the store's address is empty".into())),
            _ => Self::local(&options.url),
        }
    }

    /// A store in a folder, which is made if it is not there.
    pub fn local(root: impl AsRef<Path>) -> Result<Self, DocumentError> {
        let root = root.as_ref();
        let made = |error| failure::io("cannot make the store's folder", root, &error);
        std::fs::create_dir_all(root).map_err(made)?;
        // Canonical: children are allowed to read this very path.
        let root = root.canonicalize().map_err(made)?;
        let objects = LocalFileSystem::new_with_prefix(&root).map_err(|error| setting(error.to_string()))?;
        let spool = root.join(".spool");
        Ok(Self { root: Some(root), ..Self::over(Arc::new(objects), spool) })
    }

    /// A store in memory; `spool` is for the files that children read.
    pub fn memory(spool: impl Into<PathBuf>) -> Self {
        Self::over(Arc::new(InMemory::new()), spool)
    }

    /// A store over any implementation, as tests of failures need it.
    pub fn over(objects: Arc<dyn object_store::ObjectStore>, spool: impl Into<PathBuf>) -> Self {
        let prefix = object_store::path::Path::default();
        Self { objects, prefix, root: None, spool: spool.into(), swept: Arc::default() }
    }

    fn s3(url: &Url, options: &StoreOptions) -> Result<Self, DocumentError> {
        crate::tls::use_ring();
        let bucket = url.host_str().ok_or_else(|| setting(format!("{url} names no bucket")))?;
        let mut builder =
            AmazonS3Builder::new().with_bucket_name(bucket).with_region(options.s3_region.as_deref().unwrap_or("us-east-1"));
        if let Some(endpoint) = &options.s3_endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let (Some(id), Some(secret)) = (&options.s3_access_key_id, &options.s3_secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let objects = builder.build().map_err(|error| setting(format!("cannot open {url}: {error}")))?;
        let prefix = object_store::path::Path::from(url.path());
        if options.spool.as_os_str().is_empty() {
            return Err(setting("a store on S3 needs a spool folder for the files children read".into()));
        }
        Ok(Self { prefix, ..Self::over(Arc::new(objects), &options.spool) })
    }
}

fn setting(message: String) -> DocumentError {
    DocumentError::new(Code::StorageFailed, Stage::Store, message).permanent()
}
