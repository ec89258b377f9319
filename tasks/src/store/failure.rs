//! The store's failures in words: what was being done, to what, why it failed, and whether it can pass by itself.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use crate::error::{Code, DocumentError, Stage};

use super::Key;

/// A write of `key` failed.
pub(super) fn write(key: &Key, error: &object_store::Error) -> DocumentError {
    of_store(Stage::Store, &format!("cannot write {key} to the store"), error)
}

/// A read of `key` failed.
pub(super) fn read(key: &Key, error: &object_store::Error) -> DocumentError {
    of_store(Stage::Fetch, &format!("cannot read {key} from the store"), error)
}

/// A file outside `object_store` (half-written, downloaded) failed.
pub(super) fn io(what: &str, path: &Path, error: &io::Error) -> DocumentError {
    let (why, passes) = reason(error);
    storage(Stage::Store, format!("{what} {}: {why}", path.display()), passes)
}

fn of_store(stage: Stage, what: &str, error: &object_store::Error) -> DocumentError {
    if let Some(cause) = io_cause(error) {
        let (why, passes) = reason(cause);
        return storage(stage, format!("{what}: {why}"), passes);
    }
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            storage(stage, format!("{what}: the store refuses these credentials"), false)
        }
        other => storage(stage, format!("{what}: {}", innermost(other)), true),
    }
}

fn storage(stage: Stage, message: String, passes: bool) -> DocumentError {
    let error = DocumentError::new(Code::StorageFailed, stage, message);
    if passes { error } else { error.permanent() }
}

/// Why, in words, and whether it may pass without anybody doing something.
fn reason(error: &io::Error) -> (String, bool) {
    match error.kind() {
        // Space comes back when other jobs' files are removed, so a later try is worth while.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ("no space left; free some, or move the store".into(), true),
        io::ErrorKind::PermissionDenied => ("permission denied; let this user write there, or move the store".into(), false),
        io::ErrorKind::ReadOnlyFilesystem => ("the file system is read-only; move the store".into(), false),
        io::ErrorKind::NotADirectory => ("a file stands where a folder must be".into(), false),
        _ => (error.to_string(), true),
    }
}

fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// The last cause of a chain: object_store's outer layers repeat the inner ones.
fn innermost(error: &dyn StdError) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}
