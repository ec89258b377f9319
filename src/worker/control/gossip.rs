//! Elections: this worker votes in every one, because a worker whose heartbeats are heard and whose votes are not stalls them all.
//!
//! # Celery
//! `worker/consumer/gossip.py`. Differences: it votes and never stands: what an elected worker does is left to Python workers; it votes
//! with `--without-gossip`, too.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Listener};
use crate::events::{Clock, EventDispatcher};
use crate::protocol::envelope::Envelope;
use crate::protocol::event::Event;
use crate::protocol::json;
use crate::protocol::value::Value;

/// How long to wait before listening again.
const AGAIN: Duration = Duration::from_secs(5);

/// What is listened to without gossip. To hear nothing at all would be cheaper, but the others' elections count who has a heart.
const ELECTIONS: &str = "worker.elect";

/// Votes until `stop`; with `gossip` the clock follows the other workers', too.
pub(in crate::worker) async fn vote(
    broker: Arc<dyn Broker>,
    exchange: String,
    gossip: bool,
    events: EventDispatcher,
    clock: Arc<Clock>,
    stop: CancellationToken,
) {
    let listening = async {
        loop {
            match broker.listen(&exchange, if gossip { "worker.#" } else { ELECTIONS }).await {
                Ok(mut listener) => attend(&mut *listener, &events, &clock).await,
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot listen to other workers"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    // Dropped while it waits for the next envelope; a vote is sent by the dispatcher.
    tokio::select! {
        () = stop.cancelled() => {}
        () = listening => {}
    }
}

async fn attend(listener: &mut dyn Listener, events: &EventDispatcher, clock: &Clock) {
    while let Ok(Some(envelope)) = listener.next().await {
        let Some(event) = read(&envelope) else { continue };
        if let Some(other) = event.get("clock").and_then(Value::as_i64).and_then(|clock| u64::try_from(clock).ok()) {
            clock.adjust(other);
        }
        if event.get("type").and_then(Value::as_str) == Some("worker-elect")
            && let Some(id) = event.get("id")
        {
            events.send(&Event::new("worker-elect-ack", [("id", id.clone())]));
        }
    }
}

fn read(envelope: &[u8]) -> Option<Value> {
    json::parse(&Envelope::parse(envelope).ok()?.body_bytes().ok()?).ok()
}
