//! A file that is being handed in, piece by piece: it is written as it comes, and never whole in memory.

use super::{Document, keep};
use crate::error::DocumentError;
use crate::store::{Spool, Store};

/// The file. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    spool: Spool,
}

impl Upload {
    /// Begins one of so many bytes at most.
    pub async fn begin(store: &Store, max_bytes: u64) -> Result<Self, DocumentError> {
        Ok(Self { store: store.clone(), spool: store.spool(max_bytes).await? })
    }

    /// Appends.
    ///
    /// # Errors
    /// `source_too_large` before anything past the limit is written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), DocumentError> {
        self.spool.write(bytes).await
    }

    /// The document, known by its content whatever it is called.
    ///
    /// # Errors
    /// `source_unsupported` if it is empty, or neither a PDF nor an image.
    pub async fn finish(self, file_name: Option<String>) -> Result<Document, DocumentError> {
        keep(self.spool, file_name, &self.store).await
    }
}
