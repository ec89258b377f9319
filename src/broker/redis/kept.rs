//! Texts that all peers share for a while: what was revoked, for workers that did not hear of it.
//!
//! # Celery
//! None: a revocation that a Python worker did not hear is lost, or comes back with its own `--statedb`.

use std::time::Duration;

use super::Shared;
use crate::broker::Kept;
use crate::error::Result;

/// How many texts one call carries.
const PAGE: usize = 2000;

impl Shared {
    pub(super) async fn keep(&self, set: &str, texts: &[String], expires: Duration, most: usize) -> Result<()> {
        for page in texts.chunks(PAGE) {
            let call = self.scripts.keep.call(&[self.keys.kept(set)]).arg(millis(expires)).arg(most).arg(page);
            self.link.call::<()>("keeping what was revoked", &call).await?;
        }
        Ok(())
    }

    pub(super) async fn kept(&self, set: &str, since: u64, expires: Duration, most: usize) -> Result<Kept> {
        let call = self.scripts.kept.call(&[self.keys.kept(set)]).arg(since).arg(millis(expires)).arg(most);
        let (now, rows): (u64, Vec<(String, f64)>) = self.link.call("reading what was revoked", &call).await?;
        let age = |at: f64| Duration::from_millis(now.saturating_sub(at as u64));
        Ok(Kept { now, texts: rows.into_iter().rev().map(|(text, at)| (text, age(at))).collect() })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 12)
}
