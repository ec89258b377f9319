//! The dump is responsible for writing to the log, when it is asked for, what the worker does: what runs and since when, what waits, its
//! leases, slots, children and memory. A line each, so that a search finds it.
//!
//! # Celery
//! `install_cry_handler` of `apps/worker.py`, which writes the stack of every thread.

use std::sync::Arc;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::request::Shared;
use super::state::{Held, Leases, Phase};
use crate::protocol::envelope::Envelope;
use crate::protocol::message::Message;

/// So many waiting messages are named, the others counted.
const NAMED: usize = 50;

/// Waits for being asked, until `stop`.
pub(super) async fn listen(shared: Arc<Shared>, leases: Arc<Leases>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.shutdown.dumped() => dump(&shared, &leases).await,
        }
    }
}

async fn dump(shared: &Shared, leases: &Leases) {
    let held = shared.state.requests.all();
    let (running, waiting): (Vec<&Held>, Vec<&Held>) = held.iter().partition(|held| held.phase == Phase::Active);
    let (slots, queues) = (&shared.window.slots, shared.state.queues.borrow().clone());
    let memory_kib = resident_kib("self").await;
    tracing::info!(
        uptime = shared.state.uptime().as_secs(),
        stage = ?shared.shutdown.stage(),
        ?queues,
        slots = slots.size(),
        free = slots.free(),
        running = running.len(),
        waiting = waiting.len(),
        leases = leases.tags().len(),
        memory_kib,
        "state: {}",
        shared.nodename
    );
    for held in running {
        let seconds = held.time_start.map(|begun| (Utc::now() - begun).as_seconds_f64());
        tracing::info!(seconds, acknowledged = held.acknowledged, "state: running {}", name(shared, held));
    }
    for held in waiting.iter().take(NAMED) {
        tracing::info!(phase = ?held.phase, "state: waiting {}", name(shared, held));
    }
    if waiting.len() > NAMED {
        tracing::info!("state: waiting {} more", waiting.len() - NAMED);
    }
    let children = match shared.window.children() {
        Some(children) => children.children().await,
        None => Vec::new(),
    };
    for child in children {
        let memory_kib = resident_kib(&child.pid.to_string()).await;
        tracing::info!(pid = child.pid, runs = child.runs, running = child.running, memory_kib, "state: child");
    }
}

/// As Celery names it.
fn name(shared: &Shared, held: &Held) -> String {
    let message = Envelope::parse(&held.envelope).ok().and_then(|envelope| Message::decode(envelope, &shared.decode).ok());
    format!("{}[{}]", message.map_or_else(|| "?".to_owned(), |message| message.headers.task), held.id)
}

/// The memory of a process; nothing where the system does not say.
async fn resident_kib(pid: &str) -> Option<u64> {
    let status = tokio::fs::read_to_string(format!("/proc/{pid}/status")).await.ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
