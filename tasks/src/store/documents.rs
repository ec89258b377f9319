//! Documents that were handed in lie apart from the jobs that have them: one may be the document of several.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{Key, Store, failure};
use crate::error::DocumentError;

/// A document in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// When something of it was last written: whoever hands it in again writes it again.
    pub written: DateTime<Utc>,
    /// Whether it has bytes of its own; a set of images has none.
    pub source: bool,
}

impl Store {
    /// All documents, by the SHA-256 of each.
    pub async fn documents(&self) -> Result<BTreeMap<String, Kept>, DocumentError> {
        let prefix = Key::parse("documents")?;
        let root = self.location(&prefix).parts().count();
        let mut documents = BTreeMap::new();
        let mut files = self.objects.list(Some(&self.location(&prefix)));
        while let Some(file) = files.try_next().await.map_err(|error| failure::read(&prefix, &error))? {
            let parts: Vec<_> = file.location.parts().skip(root).collect();
            let [sha256, name] = parts.as_slice() else { continue };
            // What somebody else has put beside them is his.
            if Key::source(sha256.as_ref()).is_err() {
                continue;
            }
            let source = name.as_ref() == "source";
            let kept = documents.entry(sha256.as_ref().to_owned()).or_insert(Kept { written: file.last_modified, source });
            *kept = Kept { written: kept.written.max(file.last_modified), source: kept.source || source };
        }
        Ok(documents)
    }

    /// Removes a document, unless something of it was written after this. `false`: it was, and stays.
    pub async fn delete_document(&self, sha256: &str, written: DateTime<Utc>) -> Result<bool, DocumentError> {
        let folder = Key::parse(&format!("documents/{sha256}"))?;
        let files: Vec<ObjectMeta> =
            self.objects.list(Some(&self.location(&folder))).try_collect().await.map_err(|error| failure::read(&folder, &error))?;
        if files.iter().any(|file| file.last_modified > written) {
            return Ok(false);
        }
        for file in files {
            match self.objects.delete(&file.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failure::write(&folder, &error)),
            }
        }
        Ok(true)
    }

    /// What jobs have files here, by the prefixes of their keys.
    pub async fn jobs(&self) -> Result<Vec<Key>, DocumentError> {
        let prefix = Key::parse("jobs")?;
        let found = self.objects.list_with_delimiter(Some(&self.location(&prefix))).await;
        let found = found.map_err(|error| failure::read(&prefix, &error))?;
        let names = found.common_prefixes.iter().filter_map(|folder| folder.filename());
        Ok(names.filter_map(|name| Key::parse(&format!("jobs/{name}")).ok()).collect())
    }
}
