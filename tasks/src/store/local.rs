//! Files beside the store: a document on its way in, and a stored document on its way to a child.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Code, DocumentError, Stage};

use super::sweep::{COPIES, used};
use super::{Key, Store, failure};

const CHUNK: usize = 256 * 1024;

/// A document being written, hashed as it goes; removed again unless it is adopted.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    path: PathBuf,
    digest: Sha256,
    size: u64,
    limit: u64,
    head: Vec<u8>,
    kept: bool,
}

/// How much of a document's beginning is kept to tell what it is.
const HEAD: usize = 1024;

impl Spool {
    /// Refuses a document that says beforehand that it is too large.
    pub(crate) fn announce(&self, size: u64) -> Result<(), DocumentError> {
        if size > self.limit { Err(too_large(self.limit)) } else { Ok(()) }
    }

    /// Appends, refusing what goes past the limit before it is written.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), DocumentError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(too_large(self.limit));
        }
        self.digest.update(bytes);
        self.head.extend(bytes.iter().take(HEAD.saturating_sub(self.head.len())));
        self.file.write_all(bytes).await.map_err(|error| failure::io("cannot write", &self.path, &error))
    }

    /// Ends the writing: the size, and the SHA-256 in hexadecimal.
    pub(crate) async fn finish(&mut self) -> Result<(u64, String), DocumentError> {
        // tokio's file writes behind; only the flush tells of a full disk.
        self.file.flush().await.map_err(|error| failure::io("cannot write", &self.path, &error))?;
        let sha256 = hexadecimal(&std::mem::take(&mut self.digest).finalize());
        Ok((self.size, sha256))
    }

    /// Where it is being written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How the document begins.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left to tell; a file that stays is swept with the spool folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What a document larger than the limit is answered.
pub(crate) fn too_large(limit: u64) -> DocumentError {
    let message = format!("the document is larger than the limit of {} MB", limit / 1_000_000);
    DocumentError::new(Code::SourceTooLarge, Stage::Fetch, message)
}

impl Store {
    /// Begins a document of at most `limit` bytes.
    pub(crate) async fn spool(&self, limit: u64) -> Result<Spool, DocumentError> {
        let path = self.fresh_spool_path().await?;
        let file = File::create_new(&path).await.map_err(|error| failure::io("cannot create", &path, &error))?;
        Ok(Spool { file, path, digest: Sha256::new(), size: 0, limit, head: Vec::new(), kept: false })
    }

    /// Puts a finished document under `key`: by renaming where the store is a folder, by an upload elsewhere.
    pub(crate) async fn adopt(&self, mut spool: Spool, key: &Key) -> Result<(), DocumentError> {
        if let Some(root) = &self.root {
            let target = root.join(key.as_str());
            rename(&spool.path, &target).await.map_err(|error| failure::io("cannot write", &target, &error))?;
            spool.kept = true;
            return Ok(());
        }
        let failed = |error: io::Error| failure::io("cannot read", &spool.path, &error);
        let mut file = File::open(&spool.path).await.map_err(failed)?;
        let mut upload = BufWriter::new(self.objects.clone(), self.location(key));
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if file.read_buf(&mut chunk).await.map_err(failed)? == 0 {
                break;
            }
            upload.put(Bytes::from(chunk)).await.map_err(|error| failure::write(key, &error))?;
        }
        upload.shutdown().await.map_err(|error| match error.downcast::<object_store::Error>() {
            Ok(error) => failure::write(key, &error),
            Err(error) => failure::write(key, &object_store::Error::Generic { store: "upload", source: Box::new(error) }),
        })
    }

    /// A file with what is under `key`, for a child to read.
    ///
    /// In a folder store it is the object itself. From a remote store it is downloaded once into the spool folder and found
    /// there again while its size is the object's: meant for documents, whose keys are their contents' hashes.
    pub async fn local_path(&self, key: &Key) -> Result<PathBuf, DocumentError> {
        let missing = || DocumentError::new(Code::SourceMissing, Stage::Fetch, format!("{key} is not in the store"));
        let size = self.size(key).await?.ok_or_else(missing)?;
        if let Some(root) = &self.root {
            return Ok(root.join(key.as_str()));
        }
        let target = self.spool.join(COPIES).join(key.as_str());
        if used(&target, size).await {
            return Ok(target);
        }
        let mut spool = self.spool(u64::MAX).await?;
        self.copy_into(key, &mut spool).await?;
        spool.finish().await?;
        rename(&spool.path, &target).await.map_err(|error| failure::io("cannot write", &target, &error))?;
        spool.kept = true;
        Ok(target)
    }

    /// Appends what is under `key` to a document, piece by piece.
    pub(crate) async fn copy_into(&self, key: &Key, spool: &mut Spool) -> Result<(), DocumentError> {
        let found = match self.objects.get(&self.location(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(DocumentError::new(Code::SourceMissing, Stage::Fetch, format!("{key} is not in the store")));
            }
            Err(error) => return Err(failure::read(key, &error)),
        };
        spool.announce(found.meta.size)?;
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(|error| failure::read(key, &error))? {
            spool.write(&chunk).await?;
        }
        Ok(())
    }

    async fn fresh_spool_path(&self) -> Result<PathBuf, DocumentError> {
        tokio::fs::create_dir_all(&self.spool).await.map_err(|error| failure::io("cannot make", &self.spool, &error))?;
        self.sweep().await;
        Ok(self.spool.join(uuid::Uuid::new_v4().simple().to_string()))
    }
}

async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    tokio::fs::rename(from, to).await
}
