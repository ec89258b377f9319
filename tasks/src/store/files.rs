//! Several files at once: in a folder they are written in one go by one thread, because what a page costs beside its rendering is
//! mostly the handing to and fro.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload};

use super::{Key, Store, blocking, failure};
use crate::error::DocumentError;

impl Store {
    /// Writes files in order, each whole or not at all.
    pub async fn put_all(&self, files: Vec<(Key, Bytes)>) -> Result<(), DocumentError> {
        let Some(root) = self.root.clone() else {
            for (key, bytes) in files {
                let payload = PutPayload::from_bytes(bytes);
                self.objects.put(&self.location(&key), payload).await.map_err(|error| failure::write(&key, &error))?;
            }
            return Ok(());
        };
        blocking(move || files.iter().try_for_each(|(key, bytes)| write(&root.join(key.as_str()), bytes))).await
    }
}

/// Writes beside the file and puts it in its place, so that nobody ever reads half of it.
fn write(target: &Path, bytes: &[u8]) -> Result<(), DocumentError> {
    let beside = PathBuf::from(format!("{}#{}", target.display(), fastrand::u64(..)));
    let done = fill(&beside, bytes).and_then(|()| std::fs::rename(&beside, target));
    done.map_err(|error| {
        std::fs::remove_file(&beside).ok();
        failure::io("cannot write", target, &error)
    })
}

fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match (std::fs::write(path, bytes), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            std::fs::write(path, bytes)
        }
        (written, _) => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn files_written_together_are_read_one_by_one_in_a_folder_and_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        for store in [Store::local(dir.path().join("store")).unwrap(), Store::memory(dir.path())] {
            let key = |name| Key::job("j", name).unwrap();
            let files = vec![
                (key("a/1.txt"), Bytes::from("one")),
                (key("a/2.txt"), Bytes::from("two")),
                (key("a/1.txt"), Bytes::from("again")),
            ];
            store.put_all(files).await.unwrap();
            assert_eq!(store.get(&key("a/1.txt")).await.unwrap().unwrap(), "again");
            assert_eq!(store.list(&key("a")).await.unwrap().len(), 2, "nothing else is left behind");
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_an_error_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::local(dir.path()).unwrap();
        std::fs::write(dir.path().join("jobs"), "a file stands here").unwrap();
        let error = store.put_all(vec![(Key::job("j", "a").unwrap(), Bytes::from("x"))]).await.unwrap_err();
        assert_eq!(error.code, Code::StorageFailed);
        assert!(error.message.contains("jobs"), "{}", error.message);
    }
}
