//! Signals become the stages of a stop.
//!
//! # Celery
//! TERM and INT: warm, a second one: cold; QUIT: cold at once. `REMAP_SIGTERM=SIGQUIT` makes TERM cold, for platforms that send
//! nothing else.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::exit::{Exit, Failure};
use crate::config::Env;
use crate::worker::Shutdown;

/// Listens until it is dropped.
pub(super) fn listen(shutdown: Shutdown, env: &Env) -> Result<JoinSet<()>, Failure> {
    let on = |kind| signal(kind).map_err(|error| Failure::new(Exit::Failure, "cannot listen for signals").why(error));
    let remapped = env.get("REMAP_SIGTERM").is_some_and(|name| name == "SIGQUIT");
    let mut signals = Signals {
        terminate: on(SignalKind::terminate())?,
        interrupt: on(SignalKind::interrupt())?,
        quit: on(SignalKind::quit())?,
        remapped,
    };
    let mut listener = JoinSet::new();
    listener.spawn(async move {
        loop {
            signals.next(&shutdown).await;
        }
    });
    Ok(listener)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    remapped: bool,
}

impl Signals {
    async fn next(&mut self, shutdown: &Shutdown) {
        let cold = tokio::select! {
            _ = self.terminate.recv() => self.remapped,
            _ = self.interrupt.recv() => false,
            _ = self.quit.recv() => true,
        };
        if cold || shutdown.stopping().is_cancelled() {
            tracing::warn!("cold shutdown: what runs is cut off and handed back");
            shutdown.cold();
        } else {
            tracing::info!("warm shutdown: what runs is finished; again for a cold one");
            shutdown.warm();
        }
    }
}
