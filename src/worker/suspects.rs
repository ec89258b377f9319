//! Suspects are messages whose process died more than once while they were leased. Of these one runs at a time, so that the next death
//! says which one it was: those that only ran beside it are not given up with it.
//!
//! # Celery
//! Nothing there: what takes its worker along runs again for ever, and so does what runs beside it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::task::request::RequestInfo;

/// After so many deaths. One is what any crash of a machine costs all that was running, which is not to be run one by one for that.
const DEATHS: u32 = 2;
/// How long another suspect waits in the broker, in seconds; drawn, so that they do not all come back together.
const ASIDE: std::ops::Range<f64> = 1.0..3.0;

/// The place in which a worker runs its suspects.
#[derive(Debug)]
pub(super) struct Suspects {
    place: Arc<Semaphore>,
    /// After how many deaths a message is one: always before it is given up, if it may die more than once at all.
    deaths: u32,
}

/// Whether a message may run now.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may; a suspect keeps the place for as long as it holds this.
    Runs(Option<OwnedSemaphorePermit>),
    /// Another suspect runs: look again after this.
    Waits(Duration),
}

impl Suspects {
    pub(super) fn new(max_deliveries: u32) -> Self {
        let deaths = if max_deliveries == 0 { DEATHS } else { DEATHS.min(max_deliveries.saturating_sub(1)).max(1) };
        Self { place: Arc::new(Semaphore::new(1)), deaths }
    }

    /// Whether a message is one of them.
    pub(super) fn is_suspect(&self, request: &RequestInfo) -> bool {
        request.lost_deliveries() >= self.deaths
    }

    pub(super) fn admit(&self, request: &RequestInfo) -> Admission {
        if !self.is_suspect(request) {
            return Admission::Runs(None);
        }
        match Arc::clone(&self.place).try_acquire_owned() {
            Ok(place) => Admission::Runs(Some(place)),
            Err(_) => Admission::Waits(Duration::from_secs_f64(ASIDE.start + fastrand::f64() * (ASIDE.end - ASIDE.start))),
        }
    }
}
