//! Where documents, pages and results are kept: a typed layer over `object_store` (a folder, S3, or memory for tests).
//!
//! Every write is whole or not at all, and every key stays under the store's root. Children read documents as files, so
//! [`Store::local_path`] gives a real path in every case, downloading once where the store is remote.

mod documents;
mod failure;
mod files;
pub(crate) mod json;
mod key;
mod local;
mod open;
mod sweep;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::{Code, DocumentError, Stage};

pub use documents::Kept;
pub use key::{Key, PageFile};
pub(crate) use local::{Spool, hexadecimal, too_large};
pub use open::StoreOptions;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// What every key is put under in a bucket that is shared with others.
    prefix: object_store::path::Path,
    /// The folder that holds the objects themselves, if they are files.
    root: Option<PathBuf>,
    /// The folder for half-written and downloaded files; on the root's file system where there is a root.
    spool: PathBuf,
    /// When that folder was last looked through.
    swept: Arc<Mutex<Option<Instant>>>,
}

impl Store {
    /// Writes `bytes` under `key`, replacing what was there, whole or not at all.
    pub async fn put(&self, key: &Key, bytes: impl Into<Bytes>) -> Result<(), DocumentError> {
        self.put_all(vec![(key.clone(), bytes.into())]).await
    }

    /// What is under `key`, or `None`.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, DocumentError> {
        let found = match self.objects.get(&self.location(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure::read(key, &error)),
        };
        found.bytes().await.map(Some).map_err(|error| failure::read(key, &error))
    }

    /// The size in bytes of what is under `key`, or `None`.
    pub async fn size(&self, key: &Key) -> Result<Option<u64>, DocumentError> {
        match self.objects.head(&self.location(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure::read(key, &error)),
        }
    }

    /// True when something is under `key`.
    pub async fn exists(&self, key: &Key) -> Result<bool, DocumentError> {
        Ok(self.size(key).await?.is_some())
    }

    /// Removes what is under `key`; nothing there is not an error.
    pub async fn delete(&self, key: &Key) -> Result<(), DocumentError> {
        match self.objects.delete(&self.location(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::write(key, &error)),
        }
    }

    /// The keys under `prefix`, in order.
    pub async fn list(&self, prefix: &Key) -> Result<Vec<Key>, DocumentError> {
        let start = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        let mut keys: Vec<Key> = self
            .objects
            .list(Some(&self.location(prefix)))
            .map_ok(|meta| meta.location.as_ref().get(start..).and_then(|text| Key::parse(text).ok()))
            .try_filter_map(|key| async move { Ok(key) })
            .try_collect()
            .await
            .map_err(|error| failure::read(prefix, &error))?;
        keys.sort();
        Ok(keys)
    }

    /// The pages of a job whose record is written, in order; what a resumed job need not do again.
    pub async fn pages_done(&self, job_id: &str) -> Result<Vec<u32>, DocumentError> {
        let keys = self.list(&Key::job(job_id, "pages")?).await?;
        let mut pages: Vec<u32> = keys
            .iter()
            .filter_map(|key| {
                let mut parts = key.as_str().rsplit('/');
                (parts.next() == Some(PageFile::Record.name())).then(|| parts.next()?.parse().ok())?
            })
            .collect();
        pages.sort_unstable();
        Ok(pages)
    }

    /// Removes everything of a job.
    pub async fn delete_job(&self, job_id: &str) -> Result<(), DocumentError> {
        self.delete_job_but(job_id, None).await
    }

    /// The same, but for one of its files.
    pub async fn delete_job_but(&self, job_id: &str, kept: Option<&Key>) -> Result<(), DocumentError> {
        for key in self.list(&Key::job_prefix(job_id)?).await?.iter().filter(|key| Some(*key) != kept) {
            self.delete(key).await?;
        }
        Ok(())
    }

    /// The folders in which [`Store::local_path`] answers: what a sandboxed child must be allowed to read.
    pub fn local_folders(&self) -> Vec<PathBuf> {
        self.root.iter().cloned().chain(std::iter::once(self.spool.clone())).collect()
    }

    fn location(&self, key: &Key) -> object_store::path::Path {
        let path = object_store::path::Path::from(key.as_str());
        self.prefix.parts().chain(path.parts()).collect()
    }
}

/// Work with files on a thread of its own, beside the tasks that wait for others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, DocumentError> + Send + 'static) -> Result<T, DocumentError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| DocumentError::new(Code::Internal, Stage::Store, error.to_string()))?
}
