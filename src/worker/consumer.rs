//! The consumer is responsible for fetching no more than the worker may hold: a permit before a fetch.
//!
//! One task owns the fetch connection, awaits each fetch to its end and hands the batch over; stopping is told and never a dropped
//! future, so that a leased message is never forgotten in a socket.
//!
//! # Celery
//! `worker/consumer/consumer.py` and kombu's QoS. Difference: a permit is bound to its message instead of a count that can drift.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::state::Leases;
use crate::broker::{Consumer, Delivery};

/// At most so many messages in one fetch.
const BATCH: usize = 64;

/// A message the worker has taken, with its permit to hold it.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) delivery: Delivery,
    /// Cancelled when the lease was lost.
    pub(super) lost: CancellationToken,
    pub(super) permit: OwnedSemaphorePermit,
}

/// The fetch loop.
#[derive(Debug)]
pub(super) struct Fetcher {
    /// Owned by this loop alone.
    pub(super) consumer: Box<dyn Consumer>,
    /// How many messages may be held at once.
    pub(super) reservations: Arc<Semaphore>,
    /// How many must be free before the next fetch of a queue that had more than was asked for. Fetching one by one costs several
    /// times as much a message; what is still held meanwhile keeps every slot busy.
    pub(super) refill: usize,
    pub(super) leases: Arc<Leases>,
    pub(super) stop: CancellationToken,
    pub(super) batches: mpsc::Sender<Vec<Reserved>>,
}

impl Fetcher {
    /// Fetches until told to stop.
    pub(super) async fn run(self) {
        let Self { mut consumer, reservations, refill, leases, stop, batches } = self;
        let mut least = 1;
        while let Some(permits) = permits(&reservations, least, &stop).await {
            let asked = permits.len();
            let deliveries = match consumer.fetch(permits.len()).await {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "fetch failed; trying again in a second");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            least = if deliveries.len() == asked { refill.clamp(1, BATCH) } else { 1 };
            let reserve = |(delivery, permit): (Delivery, OwnedSemaphorePermit)| {
                let lost = leases.hold(&delivery.tag);
                Reserved { delivery, lost, permit }
            };
            let batch: Vec<Reserved> = deliveries.into_iter().zip(permits).map(reserve).collect();
            if !batch.is_empty() && batches.send(batch).await.is_err() {
                return;
            }
        }
    }
}

/// At least so many permits, and as many more as are free; `None` when stopping.
async fn permits(reservations: &Arc<Semaphore>, least: usize, stop: &CancellationToken) -> Option<Vec<OwnedSemaphorePermit>> {
    let count = u32::try_from(least).ok()?;
    let mut first = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        permit = Arc::clone(reservations).acquire_many_owned(count) => permit.ok()?,
    };
    let mut permits: Vec<_> = std::iter::from_fn(|| first.split(1)).collect();
    while permits.len() < BATCH {
        match Arc::clone(reservations).try_acquire_owned() {
            Ok(permit) => permits.push(permit),
            Err(_) => break,
        }
    }
    Some(permits)
}
