//! The wait of a delivery for its ETA and a slot.
//!
//! # Celery
//! The timer and the pool's queue. Difference: who waits in vain goes back, so that an idle neighbour may have it.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Request;
use crate::task::request::RequestInfo;
use crate::worker::state::Tracked;
use crate::worker::window::{PATIENCE, Permit};

/// How long what must not go back waits for a slot: as long as it takes.
const PATIENT: Duration = Duration::from_secs(365 * 86_400);

/// A slot, and how long it was waited for.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) permit: Permit,
    pub(super) waited: Duration,
}

impl Request {
    /// Waits for the ETA and for a free slot; `None` when the worker stops first, or when no slot comes free for so long that another
    /// worker may have one.
    pub(super) async fn slot(&self, info: &RequestInfo, tracked: &Tracked) -> Option<Slot> {
        let wait = info.eta().and_then(|eta| (eta - self.now()).to_std().ok()).unwrap_or_default();
        let ready = async {
            // Even a sleep of nothing lasts until the timer's next tick, a millisecond away.
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
                tracked.reserved();
            }
            let window = &self.shared.window;
            let since = Instant::now();
            match timeout(self.patience(info), window.slots.acquire()).await {
                Ok(permit) => permit.map(|permit| Slot { permit, waited: since.elapsed() }),
                Err(_) => {
                    window.waited();
                    None
                }
            }
        };
        tokio::select! {
            biased;
            () = self.shared.shutdown.stopping().cancelled() => None,
            slot = ready => slot,
        }
    }

    /// How long it waits for a slot: what has been given a turn keeps it.
    fn patience(&self, info: &RequestInfo) -> Duration {
        let limited = self.task(info).is_some_and(|task| self.shared.state.rates.limits(&self.shared, task));
        if limited { PATIENT } else { PATIENCE }
    }
}
