//! Waits for files to change.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often they are looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Files, and what was in them; a file that is not there has nothing in it.
#[derive(Debug)]
pub(super) struct Files(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Files {
    /// As they are now.
    pub(super) fn read(paths: Vec<PathBuf>) -> Self {
        let read = |path: PathBuf| {
            let contents = std::fs::read(&path).ok();
            (path, contents)
        };
        Self(paths.into_iter().map(read).collect())
    }

    /// Waits until one has other contents than when it was last looked at, and is written to its end. Writing the same again is no change.
    pub(super) async fn changed(&mut self) -> PathBuf {
        loop {
            tokio::time::sleep(EVERY).await;
            for (path, contents) in &mut self.0 {
                let now = settled(path, contents.clone()).await;
                if now != *contents {
                    *contents = now;
                    return path.clone();
                }
            }
        }
    }
}

/// What is in a file once two looks at it see the same.
async fn settled(path: &Path, mut before: Option<Vec<u8>>) -> Option<Vec<u8>> {
    loop {
        let now = tokio::fs::read(path).await.ok();
        if now == before {
            return now;
        }
        before = now;
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_written_changed_or_removed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        let mut files = Files::read(vec![one.clone(), other.clone()]);
        std::fs::write(&one, "1").unwrap();
        std::fs::write(&other, "").unwrap();
        assert_eq!(files.changed().await, other, "the first was written as it was");
        std::fs::write(&one, "2").unwrap();
        assert_eq!(files.changed().await, one);
        std::fs::remove_file(&other).unwrap();
        assert_eq!(files.changed().await, other);
    }
}
