//! The consumer is responsible for fetching no more than the worker may hold: a permit before a fetch.
//!
//! One task owns the fetch connection, awaits each fetch to its end and hands the batch over; stopping is told and never a dropped
//! future, so that a leased message is never forgotten in a socket.
//!
//! # Celery
//! `worker/consumer/consumer.py` and kombu's QoS. Difference: a permit is bound to its message instead of a count that can drift.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::shutdown::Shutdown;
use super::state::Leases;
use super::window::{Permit, Permits, Window};
use crate::broker::{Broker, Consumer, ConsumerOptions, Delivery};
use crate::error::{Error, Result};

/// At most so many messages in one fetch.
const BATCH: usize = 64;

/// A message the worker has taken, with its permit to hold it.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) delivery: Delivery,
    /// Cancelled when the lease was lost.
    pub(super) lost: CancellationToken,
    /// Cancelled when the lease may run out, because it cannot be renewed.
    pub(super) doubted: CancellationToken,
    pub(super) permit: Permit,
}

/// The fetch loop.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) broker: Arc<dyn Broker>,
    /// How to consume; `queues` says what.
    pub(super) options: ConsumerOptions,
    /// The queues as they are now: remote control may change them.
    pub(super) queues: watch::Receiver<Vec<String>>,
    /// How many messages may be held at once.
    pub(super) window: Arc<Window>,
    pub(super) leases: Arc<Leases>,
    pub(super) batches: mpsc::Sender<Vec<Reserved>>,
    pub(super) shutdown: Shutdown,
}

impl Fetcher {
    /// Fetches until told to be quiet, and ends when told to stop: what is held meanwhile is still served.
    pub(super) async fn run(mut self) {
        if self.fetch_all().await {
            self.shutdown.stopping().cancelled().await;
        }
    }

    /// Fetches with one consumer until the queues change, then with another; false when nobody takes what is fetched any more.
    async fn fetch_all(&mut self) -> bool {
        let stop = self.shutdown.quieted().clone();
        while !stop.is_cancelled() {
            let queues = self.queues.borrow_and_update().clone();
            if queues.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = self.queues.changed() => continue,
                }
            }
            let turn = stop.child_token();
            let options = ConsumerOptions { queues, stop: turn.clone(), ..self.options.clone() };
            match self.broker.consumer(options).await {
                Ok(mut consumer) => {
                    if !self.consume(&mut *consumer, &turn).await {
                        return false;
                    }
                }
                Err(error) => failed(&error, &stop).await,
            }
        }
        true
    }

    /// Fetches until the turn ends; false when nobody takes what is fetched any more.
    async fn consume(&mut self, consumer: &mut dyn Consumer, turn: &CancellationToken) -> bool {
        let mut least = 1;
        while let Some(permits) = permits(&self.window.held, least, turn).await {
            let asked = permits.len();
            let deliveries = match self.fetch(consumer, asked, turn).await {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    failed(&error, turn).await;
                    continue;
                }
            };
            least = if deliveries.len() == asked { self.window.refill().min(BATCH) } else { 1 };
            let doubted = self.leases.doubted();
            let reserve = |(delivery, permit): (Delivery, Permit)| {
                let lost = self.leases.hold(&delivery.tag);
                Reserved { delivery, lost, doubted: doubted.clone(), permit }
            };
            let batch: Vec<Reserved> = deliveries.into_iter().zip(permits).map(reserve).collect();
            if !batch.is_empty() && self.batches.send(batch).await.is_err() {
                return false;
            }
        }
        true
    }

    /// One fetch, awaited to its end; a change of the queues makes it the last of its turn.
    async fn fetch(&mut self, consumer: &mut dyn Consumer, limit: usize, turn: &CancellationToken) -> Result<Vec<Delivery>> {
        let mut fetch = consumer.fetch(limit);
        loop {
            tokio::select! {
                biased;
                fetched = &mut fetch => return fetched,
                _ = self.queues.changed(), if !turn.is_cancelled() => turn.cancel(),
            }
        }
    }
}

async fn failed(error: &Error, stop: &CancellationToken) {
    tracing::error!(error = error as &dyn std::error::Error, "fetch failed; trying again in a second");
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
}

/// At least so many permits, and as many more as are free; `None` when stopping.
async fn permits(held: &Arc<Permits>, least: usize, stop: &CancellationToken) -> Option<Vec<Permit>> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        permits = held.acquire_some(least, BATCH) => permits,
    }
}
