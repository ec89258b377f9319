//! What remote control speaks to the world with: connections of its own, beside those that tasks use.
//!
//! # Celery
//! The connection of `worker/pidbox.py: gPidbox`, which has one for itself in a thread of its own.

use std::sync::Arc;

use crate::app::App;
use crate::backend::Backend;
use crate::broker::{Broker, Listener};
use crate::control::Control;
use crate::error::Result;
use crate::revocations::Revocations;

/// Broker and backend over connections of their own. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Aside {
    pub(in crate::worker) broker: Arc<dyn Broker>,
    pub(in crate::worker) backend: Arc<dyn Backend>,
    app: App,
}

impl Aside {
    pub(in crate::worker) fn new(app: &App) -> Result<Self> {
        Ok(Self { broker: app.broker().sibling()?, backend: app.backend().sibling()?, app: app.clone() })
    }

    /// Keeps what is revoked, and finds it again.
    pub(in crate::worker) fn revocations(&self) -> Revocations {
        Revocations::new(Arc::clone(&self.broker), self.app.settings())
    }

    /// Asks other workers.
    pub(in crate::worker) fn control(&self) -> Control {
        Control::new(Arc::clone(&self.broker), self.app.settings(), Arc::clone(self.app.clock()), self.app.decode_options())
    }

    /// Listens to remote control from the very start; where that fails, the mailbox tries again.
    pub(in crate::worker) async fn listener(self) -> Option<Box<dyn Listener>> {
        let settings = self.app.settings();
        if !settings.worker_enable_remote_control {
            return None;
        }
        self.broker.listen(&format!("{}.pidbox", settings.control_exchange), "").await.ok()
    }
}
