//! The store: written, read and cleared again.

use std::path::PathBuf;

use celeriac::config::{Loaded, redact};
use celeriac_tasks::store::Key;

use crate::resources::open_store;
use crate::settings::Storage;

use super::Check;

const NAME: &str = "store";
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

async fn try_it(loaded: &Loaded) -> Result<(), String> {
    let store = open_store(loaded).map_err(|failure| failure.to_string().replace("error: ", ""))?;
    let key = Key::job(&format!("doctor-{}", std::process::id()), "probe.json").map_err(|error| error.message)?;
    store.put(&key, "{}").await.map_err(|error| error.message)?;
    let read = store.get(&key).await.map_err(|error| error.message)?;
    store.delete(&key).await.map_err(|error| error.message)?;
    if read.as_deref() == Some(b"{}".as_slice()) { Ok(()) } else { Err("what was written is not what is read".into()) }
}
