//! The store: written, read and cleared again.

use std::path::PathBuf;

use celeriac::config::{Loaded, redact};
use celeriac_tasks::store::Key;

use crate::resources::open_store;
use crate::settings::Storage;

use super::Check;
use super::programs::output;

const NAME: &str = "store";
/// The pages of a few long documents take as much.
const LITTLE: u64 = 2_000_000_000;
const FIX: &str =
    "set celeriac.storage.url or CELERIAC_STORE to a folder this user may write, or to s3://bucket/prefix with its keys";

pub(super) async fn check(loaded: &Loaded) -> Check {
    let Ok(storage) = loaded.table::<Storage>(Storage::TABLE.path) else {
        return Check::fail(NAME, "its settings cannot be read", FIX);
    };
    let url = redact::text(&storage.url);
    // Looking must not leave a folder behind that was not there before.
    let made =
        Some(PathBuf::from(storage.url.trim_start_matches("file://"))).filter(|path| !url.starts_with("s3:") && !path.exists());
    let tried = try_it(loaded).await;
    if let Some(folder) = made {
        let _ = std::fs::remove_dir_all(folder);
    }
    match tried {
        Ok(()) => Check::ok(NAME, format!("{url}, written and read")),
        Err(why) => Check::fail(NAME, format!("{url}: {why}"), FIX),
    }
}

/// How much room its disk has, where it is a folder and the system says so.
pub(super) async fn disk(loaded: &Loaded) -> Option<Check> {
    let storage: Storage = loaded.table(Storage::TABLE.path).ok()?;
    let folder = storage.url.strip_prefix("file://").unwrap_or(&storage.url);
    if folder.contains("://") {
        return None;
    }
    // A folder that is not there yet will be on the disk of the one it will lie in.
    let there = std::path::absolute(folder).ok()?.ancestors().find(|folder| folder.exists())?.to_owned();
    let told = output("df", &["-Pk", "--", there.to_str()?]).await?;
    Some(room(free(&told)?))
}

/// The free bytes in what `df -Pk` prints: a line of names, then kilobytes in the fourth column.
fn free(told: &str) -> Option<u64> {
    told.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)
}

fn room(free: u64) -> Check {
    let detail = format!("{:.1} GB free for the store", free as f64 / 1e9);
    if free < LITTLE {
        return Check::warn(
            "disk",
            detail,
            "make room, shorten celeriac.retention.artifacts_age, or point CELERIAC_STORE elsewhere",
        );
    }
    Check::ok("disk", detail)
}

async fn try_it(loaded: &Loaded) -> Result<(), String> {
    let store = open_store(loaded).map_err(|failure| failure.to_string().replace("error: ", ""))?;
    let key = Key::job(&format!("doctor-{}", std::process::id()), "probe.json").map_err(|error| error.message)?;
    store.put(&key, "{}").await.map_err(|error| error.message)?;
    let read = store.get(&key).await.map_err(|error| error.message)?;
    store.delete(&key).await.map_err(|error| error.message)?;
    if read.as_deref() == Some(b"{}".as_slice()) { Ok(()) } else { Err("what was written is not what is read".into()) }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_told() {
        let told = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 100000000 1 9765625 1% /data\n";
        assert_eq!(free(told), Some(10_000_000_000));
        assert_eq!((room(10_000_000_000).status, room(1_000_000_000).status), (Status::Ok, Status::Warn));
        assert_eq!(free("df: no such file"), None);
    }
}
