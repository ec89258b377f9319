//! The spool folder is kept small: what whoever died has left half-written, and copies of a remote store's documents that nobody has
//! read for a day. It grows only when something is put there, so that is when it is looked through, once an hour at most.

use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use tokio::fs::File;

use super::Store;

/// How long a file stays of which nobody has read or written anything.
const UNUSED: Duration = Duration::from_secs(86_400);
/// How often it is looked.
const EVERY: Duration = Duration::from_secs(3600);

/// The folder of copies in the spool folder.
pub(super) const COPIES: &str = "objects";

impl Store {
    /// Removes what is not used any more, unless it was looked a short time ago.
    pub(super) async fn sweep(&self) {
        {
            let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if swept.is_some_and(|last| last.elapsed() < EVERY) {
                return;
            }
            *swept = Some(Instant::now());
        }
        let (spool, before) = (self.spool.clone(), SystemTime::now() - UNUSED);
        let swept = tokio::task::spawn_blocking(move || {
            // The folder may be one that others use, too.
            remove_old(&spool, before, |name| uuid::Uuid::try_parse(name).is_ok())?;
            copies(&spool.join(COPIES), before)
        });
        if let Ok(Err(error)) = swept.await {
            tracing::warn!(spool = %self.spool.display(), %error, "cannot look through the spool folder; trying again later");
        }
    }
}

/// Whether a copy of this size is there; then it is used from now on.
pub(super) async fn used(copy: &Path, size: u64) -> bool {
    let Ok(file) = File::open(copy).await else { return false };
    let whole = file.metadata().await.is_ok_and(|found| found.len() == size);
    whole && file.into_std().await.set_modified(SystemTime::now()).is_ok()
}

fn copies(folder: &Path, before: SystemTime) -> io::Result<()> {
    for entry in read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copies(&entry.path(), before)?;
            // One that is not empty stays.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
    remove_old(folder, before, |_| true)
}

/// Removes files of a folder, by name and age.
fn remove_old(folder: &Path, before: SystemTime, ours: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in read_dir(folder)? {
        let entry = entry?;
        // Another process may have been faster.
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_file() && meta.modified()? < before && entry.file_name().to_str().is_some_and(&ours) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn read_dir(folder: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<std::fs::DirEntry>>>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    fn age(path: &Path, age: Duration) {
        let file = std::fs::File::open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[tokio::test]
    async fn what_nobody_uses_goes_from_the_spool_folder_when_something_is_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::memory(folder.path());
        let keys = ["read", "unread"].map(|name| Key::parse(&format!("documents/{name}/source")).unwrap());
        let mut copies = Vec::new();
        for key in &keys {
            store.put(key, "bytes").await.unwrap();
            copies.push(store.local_path(key).await.unwrap());
        }
        let stray = folder.path().join(uuid::Uuid::new_v4().simple().to_string());
        let foreign = folder.path().join("notes.txt");
        for path in [&stray, &foreign] {
            std::fs::write(path, "x").unwrap();
        }
        for path in [&stray, &foreign, &copies[0], &copies[1]] {
            age(path, 2 * UNUSED);
        }
        store.local_path(&keys[0]).await.unwrap();

        // It was looked a moment ago.
        drop(store.spool(1).await.unwrap());
        assert!(stray.exists());
        *store.swept.lock().unwrap() = None;
        drop(store.spool(1).await.unwrap());
        let there = [&stray, &foreign, &copies[0], &copies[1]].map(|path| path.exists());
        assert_eq!(there, [false, true, true, false]);
        assert_eq!(store.local_path(&keys[1]).await.unwrap(), copies[1], "it is fetched again");
    }
}
