//! Large results in a directory, a file each. Workers and who reads results share it: a volume, or one machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use url::Url;
use uuid::Uuid;

use super::ResultStore;
use crate::error::{Error, Result};

/// What a file ends in while it is written.
const UNFINISHED: &str = "tmp";

/// A directory. It is made when the first result is put into it.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    directory: PathBuf,
}

impl DirectoryStore {
    /// The directory that a setting names: an absolute path, or a `file:///` URL.
    pub fn open(place: &str) -> Result<Self> {
        let wrong = || {
            let message = format!("celeriac.result_store: {place:?} is neither an absolute path nor a file:/// URL");
            Error::config(message)
        };
        let directory = match place.contains("://") {
            true => Url::parse(place).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok()),
            false => Some(PathBuf::from(place)),
        };
        directory.filter(|path| path.is_absolute()).map(|directory| Self { directory }).ok_or_else(wrong)
    }

    /// Does something that may take as long as a disk.
    async fn aside<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (directory, name) = (self.directory.clone(), name.to_owned());
        let shown = directory.join(&name);
        let done = tokio::task::spawn_blocking(move || work(&directory, &name)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| {
            let missing =
                if error.kind() == io::ErrorKind::NotFound { "it has expired, or another directory is meant: " } else { "" };
            Error::refused(format!("a large result in {}: {missing}{error}", shown.display()), error)
        })
    }
}

#[async_trait]
impl ResultStore for DirectoryStore {
    async fn put(&self, name: &str, data: Vec<u8>) -> Result<String> {
        let path = self.aside(name, move |directory, name| put(directory, name, &data)).await?;
        Url::from_file_path(&path).map(String::from).map_err(|()| Error::config(format!("{} is no absolute path", path.display())))
    }

    async fn get(&self, name: &str) -> Result<Vec<u8>> {
        self.aside(name, |directory, name| fs::read(directory.join(name))).await
    }

    async fn expire(&self, age: Duration) -> Result<usize> {
        self.aside("", move |directory, _| expire(directory, age)).await
    }
}

/// A file is there whole or not at all, also after the machine has lost its power.
fn put(directory: &Path, name: &str, data: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(format!("{}.{UNFINISHED}", Uuid::new_v4().simple()));
    let path = directory.join(name);
    let written = File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(data)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(directory)?.sync_all()
    });
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written.map(|()| path)
}

/// Others may do the same at the same time.
fn expire(directory: &Path, age: Duration) -> io::Result<usize> {
    let (now, mut removed) = (SystemTime::now(), 0);
    let files = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    for file in files {
        let path = file?.path();
        let old =
            fs::metadata(&path).and_then(|meta| meta.modified()).is_ok_and(|put| now.duration_since(put).is_ok_and(|is| is > age));
        if old && is_ours(&path) && fs::remove_file(&path).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// What lies beside results is left alone.
fn is_ours(path: &Path) -> bool {
    let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let digits = match text(path.extension()).as_str() {
        "json" => 64,
        UNFINISHED => 32,
        _ => return false,
    };
    let stem = text(path.file_stem());
    stem.len() == digits && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_by_its_path_or_a_file_url() {
        for (place, path) in [("/a b", "/a b"), ("file:///a%20b", "/a b")] {
            assert_eq!(DirectoryStore::open(place).unwrap().directory, Path::new(path));
        }
        for place in ["results", "", "s3://bucket/results", "file://host/x"] {
            let error = DirectoryStore::open(place).unwrap_err().to_string();
            assert!(error.contains("celeriac.result_store"), "{error}");
        }
    }

    #[tokio::test]
    async fn only_old_results_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(folder.path().to_str().unwrap()).unwrap();
        let (old, young) = (format!("{}.json", "a".repeat(64)), format!("{}.json", "b".repeat(64)));
        for name in [&old, &young] {
            store.put(name, b"1".to_vec()).await.unwrap();
        }
        let foreign = folder.path().join("notes.json");
        fs::write(&foreign, "mine").unwrap();
        let yesterday = SystemTime::now() - Duration::from_secs(86_400);
        for path in [folder.path().join(&old), foreign.clone()] {
            File::options().write(true).open(path).unwrap().set_modified(yesterday).unwrap();
        }
        assert_eq!(store.expire(Duration::from_secs(3600)).await.unwrap(), 1);
        assert!(foreign.exists());
        assert_eq!(store.get(&young).await.unwrap(), b"1");
        let gone = store.get(&old).await.unwrap_err().to_string();
        assert!(gone.contains("expired") && gone.contains(&old), "{gone}");
        store.put(&young, b"1".to_vec()).await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished is left behind");
    }
}
