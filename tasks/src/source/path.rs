//! Documents named by path: only regular files that really lie inside an allowed folder, wherever links lead.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::error::{Code, DocumentError, Stage};
use crate::store::{Spool, Store};

use super::{SourceOptions, name_of, refused, unsupported};

const CHUNK: usize = 256 * 1024;

/// The file's bytes in a spool, and its name.
pub(super) async fn read(wanted: &Path, store: &Store, options: &SourceOptions) -> Result<(Spool, String), DocumentError> {
    let real = resolve(wanted, &options.allowed_folders)?;
    let mut file = File::open(&real).await.map_err(|error| unreadable(wanted, &error))?;
    // Between the check and the opening somebody may have put a link there: what counts is what is open now.
    let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_else(|_| real.clone());
    if opened != real {
        return Err(outside(wanted));
    }
    let size = file.metadata().await.map_err(|error| unreadable(wanted, &error))?.len();
    let mut spool = store.spool(options.max_bytes).await?;
    spool.announce(size)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await.map_err(|error| unreadable(wanted, &error))?;
        if read == 0 {
            break;
        }
        spool.write(&chunk[..read]).await?;
    }
    Ok((spool, name_of(&wanted.to_string_lossy()).unwrap_or_default()))
}

/// The real file behind `wanted`, if it lies inside one of `folders`.
fn resolve(wanted: &Path, folders: &[PathBuf]) -> Result<PathBuf, DocumentError> {
    if folders.is_empty() {
        return Err(refused("documents by path are not allowed here: no folder is set for them"));
    }
    let folders: Vec<PathBuf> = folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
    let inside = |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
    let real = match wanted.canonicalize() {
        Ok(real) => real,
        // Outside the folders one answer for all: whether a file is there is nobody's business.
        Err(error) if inside(wanted) && wanted.components().all(|part| part != Component::ParentDir) => {
            return Err(unreadable(wanted, &error));
        }
        Err(_) => return Err(outside(wanted)),
    };
    if !inside(&real) {
        return Err(outside(wanted));
    }
    match std::fs::metadata(&real) {
        Ok(meta) if meta.is_file() => Ok(real),
        Ok(meta) if meta.is_dir() => Err(unsupported(&format!("{} is a folder", wanted.display()))),
        // A pipe or a device could block for ever or have no end.
        Ok(_) => Err(refused(format!("{} is not a regular file", wanted.display()))),
        Err(error) => Err(unreadable(wanted, &error)),
    }
}

fn outside(wanted: &Path) -> DocumentError {
    refused(format!("{} does not lie in a folder that documents may come from", wanted.display()))
}

fn unreadable(wanted: &Path, error: &io::Error) -> DocumentError {
    let wanted = wanted.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            DocumentError::new(Code::SourceMissing, Stage::Fetch, format!("there is no file {wanted}"))
        }
        io::ErrorKind::InvalidInput => refused(format!("{wanted} is no path")),
        io::ErrorKind::PermissionDenied => refused(format!("this user may not read {wanted}")),
        _ => DocumentError::new(Code::SourceUnreachable, Stage::Fetch, format!("cannot read {wanted}: {error}")),
    }
}
