//! The archive of finished jobs: there is one, and it can be reached.

use std::path::Path;
use std::time::Duration;

use celeriac::config::{Loaded, redact};

use crate::archive::{self, Archive};

use super::Check;

const NAME: &str = "archive";
const FIX: &str = "set DATABASE_URL or celeriac.archive.url to sqlite:FILE or postgres://…";

pub(super) async fn check(loaded: &Loaded) -> Check {
    let url = match archive::url(loaded) {
        Ok(Some(url)) => url,
        Ok(None) => return Check::warn(NAME, "finished jobs are not archived: the store is no folder", FIX),
        Err(failure) => return Check::fail(NAME, failure.to_string().replace("error: ", ""), FIX),
    };
    let shown = redact::text(&url);
    // Looking must not leave a file behind that was not there before.
    let file = url.strip_prefix("sqlite:").map(|file| file.split('?').next().unwrap_or(file));
    if file.is_some_and(|file| !Path::new(file).exists()) {
        return Check::ok(NAME, format!("{shown}, made when it is needed"));
    }
    match tokio::time::timeout(Duration::from_secs(5), Archive::reach(&url)).await {
        Ok(Ok(())) => Check::ok(NAME, shown),
        Ok(Err(error)) => Check::fail(NAME, format!("{shown}: {}", redact::text(&error.to_string())), FIX),
        Err(_) => Check::fail(NAME, format!("{shown}: no answer within 5 s"), FIX),
    }
}
