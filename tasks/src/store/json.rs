//! Records in the store, as JSON.

use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Key, Store, blocking, failure};
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

/// How much of a large record's text is in memory at once.
const PIECE: usize = 256 * 1024;

/// Records of thousands of pages: their text is written and read piece by piece, beside the tasks that wait for others.
impl Store {
    /// Writes a record, and gives it back.
    pub async fn put_large_json<T: Serialize + Send + 'static>(&self, key: &Key, record: T) -> Result<T, DocumentError> {
        let spool = self.spool(u64::MAX).await?;
        let path = spool.path().to_owned();
        let record = blocking(move || match write(&path, &record) {
            Ok(()) => Ok(record),
            Err(error) => Err(failure::io("cannot write", &path, &error)),
        })
        .await?;
        self.adopt(spool, key).await?;
        Ok(record)
    }

    /// Reads a record, or `None`.
    pub async fn get_large_json<T: DeserializeOwned + Send + 'static>(&self, key: &Key) -> Result<Option<T>, DocumentError> {
        let Some(root) = &self.root else { return self.get_json(key).await };
        let (path, key) = (root.join(key.as_str()), key.clone());
        blocking(move || match std::fs::File::open(&path) {
            Ok(file) => {
                serde_json::from_reader(BufReader::with_capacity(PIECE, file)).map(Some).map_err(|error| unreadable(&key, &error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure::io("cannot read", &path, &error)),
        })
        .await
    }
}

fn write<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(PIECE, std::fs::File::create(path)?);
    serde_json::to_writer(&mut out, record)?;
    out.flush()
}

fn unreadable(key: &Key, error: &serde_json::Error) -> DocumentError {
    DocumentError::new(Code::StorageFailed, Stage::Store, format!("{}: not a record this version knows: {error}", key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_record_is_read_as_it_was_written_in_a_folder_and_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        for store in [Store::local(dir.path().join("store")).unwrap(), Store::memory(dir.path().join("spool"))] {
            let key = Key::job("j", "result.json").unwrap();
            assert_eq!(store.get_large_json::<Vec<String>>(&key).await.unwrap(), None);
            let record = vec!["ä page's text".repeat(100); 1000];
            for _ in 0..2 {
                assert_eq!(store.put_large_json(&key, record.clone()).await.unwrap(), record);
            }
            assert_eq!(store.get_large_json::<Vec<String>>(&key).await.unwrap().as_ref(), Some(&record));
            assert_eq!(store.get_json::<Vec<String>>(&key).await.unwrap(), Some(record));
            assert_eq!(std::fs::read_dir(&store.spool).unwrap().count(), 0, "nothing else is left behind");

            store.put(&key, "{").await.unwrap();
            let error = store.get_large_json::<Vec<String>>(&key).await.unwrap_err();
            assert!(error.message.contains("jobs/j/result.json: not a record"), "{}", error.message);
        }
    }
}
