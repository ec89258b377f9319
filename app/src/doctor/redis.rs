//! Redis: reached, of a version that works, and keeping what it is given.

use std::time::Duration;

use celeriac::app::App;
use celeriac::config::{Loaded, Origin, redact};

use crate::exit::chain;

use super::Check;

const NAME: &str = "redis";
const START: &str = "start one (redis-server, or docker run -p 6379:6379 redis:7), or set CELERY_BROKER_URL; `process` needs none";

pub(super) async fn checks(loaded: &Loaded) -> Vec<Check> {
    let shown = redact::text(loaded.settings.broker_url.as_deref().unwrap_or_default());
    if shown.starts_with("memory:") {
        return vec![Check::ok(NAME, "not used: messages stay in this process")];
    }
    match tokio::time::timeout(Duration::from_secs(5), reach(loaded)).await {
        Ok(Ok(())) => vec![Check::ok(NAME, shown)],
        Ok(Err(why)) => vec![unreachable(loaded, format!("{shown}: {why}"))],
        Err(_) => vec![unreachable(loaded, format!("{shown}: no answer within 5 s"))],
    }
}

async fn reach(loaded: &Loaded) -> Result<(), String> {
    let told = |error: &celeriac::Error| redact::text(&chain(error));
    let app = App::builder(loaded.settings.clone()).connect().map_err(|error| told(&error))?;
    app.broker().location().await.map_err(|error| told(&error))?;
    Ok(())
}

/// Nobody asked for a Redis on this machine: then its absence is no failure, for `process` needs none.
fn unreachable(loaded: &Loaded, detail: String) -> Check {
    let default = loaded.get("broker_url").is_none_or(|value| value.origin == Origin::Default);
    if default { Check::warn(NAME, detail, START) } else { Check::fail(NAME, detail, START) }
}
