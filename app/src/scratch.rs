//! A folder for what lives no longer than a command.

use std::path::{Path, PathBuf};

/// Goes away with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one; `purpose` is part of its name.
    pub(crate) fn new(purpose: &str) -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("celeriac-{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        // Canonical: a sandboxed child is allowed to read this very path.
        Ok(Self(folder.canonicalize()?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
