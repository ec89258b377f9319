//! Records in the store, as JSON.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Key, Store};
use crate::error::{Code, DocumentError, Stage};

/// A record as a file.
pub(crate) fn file<T: Serialize>(key: Key, record: &T) -> Result<(Key, Bytes), DocumentError> {
    let bytes = serde_json::to_vec(record).map_err(|error| unreadable(&key, &error))?;
    Ok((key, bytes.into()))
}

impl Store {
    /// Writes a record.
    pub async fn put_json<T: Serialize + Sync>(&self, key: &Key, record: &T) -> Result<(), DocumentError> {
        self.put_all(vec![file(key.clone(), record)?]).await
    }

    /// Reads a record, or `None`.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, DocumentError> {
        let Some(bytes) = self.get(key).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(key, &error))
    }
}

fn unreadable(key: &Key, error: &serde_json::Error) -> DocumentError {
    DocumentError::new(Code::StorageFailed, Stage::Store, format!("{}: not a record this version knows: {error}", key.as_str()))
}
