//! The leases a worker really holds.
//!
//! # Celery
//! kombu's `QoS`, which counts what was delivered and not acked; it renews nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The leases a worker really holds: only these are renewed, so that a message whose reply was lost comes back by itself.
#[derive(Debug, Default)]
pub(in crate::worker) struct Leases {
    held: Mutex<HashMap<String, CancellationToken>>,
    /// One for all that are held, and another for those held after it was cancelled.
    doubted: Mutex<CancellationToken>,
}

impl Leases {
    fn held(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a lease; the token tells when it was lost.
    pub(in crate::worker) fn hold(&self, tag: &str) -> CancellationToken {
        let lost = CancellationToken::new();
        self.held().insert(tag.to_owned(), lost.clone());
        lost
    }

    /// Lets a lease go: it is settled or handed back.
    pub(in crate::worker) fn release(&self, tag: &str) {
        self.held().remove(tag);
    }

    /// Lets a lease go that another has taken, and tells its request.
    pub(in crate::worker) fn lose(&self, tag: &str) {
        if let Some(lost) = self.held().remove(tag) {
            lost.cancel();
        }
    }

    /// Cancelled when the leases held now may run out, because they cannot be renewed.
    pub(in crate::worker) fn doubted(&self) -> CancellationToken {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says so to all that hold a lease now.
    pub(in crate::worker) fn doubt(&self) {
        std::mem::take(&mut *self.doubted.lock().unwrap_or_else(PoisonError::into_inner)).cancel();
    }

    /// All tags held.
    pub(in crate::worker) fn tags(&self) -> Vec<String> {
        self.held().keys().cloned().collect()
    }
}
