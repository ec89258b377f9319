//! Signals become the stages of a stop: TERM and INT warm, a second one cold; QUIT cold at once.

use celeriac::worker::Shutdown;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Listens until it is dropped.
pub(crate) fn listen(shutdown: Shutdown) -> std::io::Result<JoinSet<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut listener = JoinSet::new();
    listener.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => drop(shutdown.escalate()),
                _ = interrupt.recv() => drop(shutdown.escalate()),
                _ = quit.recv() => shutdown.cold(),
            }
        }
    });
    Ok(listener)
}
