//! An outage: what a loop logs while something it does again and again fails.
//!
//! # Celery
//! Logs every try.

use crate::error::Error;

/// Logs the first failure and the recovery with its downtime, never one line a try.
#[derive(Debug)]
pub(crate) struct Outage {
    what: &'static str,
    since: Option<tokio::time::Instant>,
}

impl Outage {
    /// Of what is being done: `renewing leases`.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, since: None }
    }

    /// What was answered, if it was.
    pub(crate) fn seen<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                if let Some(since) = self.since.take() {
                    tracing::info!(downtime = since.elapsed().as_secs_f64(), "{} works again", self.what);
                }
                Some(value)
            }
            Err(error) => {
                if self.since.is_none() {
                    tracing::warn!(error = &error as &dyn std::error::Error, "{} failed; trying again", self.what);
                    self.since = Some(tokio::time::Instant::now());
                }
                None
            }
        }
    }
}
