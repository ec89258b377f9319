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

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[tokio::test]
    async fn documents_are_told_from_what_lies_beside_them_and_removed_unless_they_are_young() {
        let dir = tempfile::tempdir().unwrap();
        let in_bucket = Store { prefix: "shared/ours".into(), ..Store::memory(dir.path()) };
        for store in [Store::local(dir.path().join("store")).unwrap(), in_bucket] {
            let [file, set] = ["a", "b"].map(|letter| letter.repeat(64));
            let key = |text: &str| Key::parse(text).unwrap();
            let keys = [format!("documents/{file}/source"), format!("documents/{file}/document.json")];
            let others =
                [format!("documents/{set}/document.json"), "documents/mine/a.pdf".into(), "jobs/j/pages/1/text.txt".into()];
            for text in keys.iter().chain(&others) {
                store.put(&key(text), "x").await.unwrap();
            }
            let found = store.documents().await.unwrap();
            assert_eq!(found.iter().map(|(sum, kept)| (sum, kept.source)).collect::<Vec<_>>(), [(&file, true), (&set, false)]);
            assert_eq!(store.jobs().await.unwrap(), [key("jobs/j")]);

            let written = found[&file].written;
            assert!(!store.delete_document(&file, written - TimeDelta::seconds(1)).await.unwrap());
            assert!(store.delete_document(&file, written).await.unwrap());
            assert!(!store.exists(&key(&keys[0])).await.unwrap() && !store.exists(&key(&keys[1])).await.unwrap());
            for text in &others {
                assert!(store.exists(&key(text)).await.unwrap(), "{text}");
            }
        }
    }
}
