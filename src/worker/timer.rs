//! The timer is responsible for what happens by the clock: leases are renewed, a dead worker's messages are put back, due messages return.
//!
//! Each is a loop of its own, so that none waits behind another, and none behind tasks.
//!
//! # Celery
//! kombu's `maybe_restore_messages` (visibility timeout) and `worker/consumer`'s ETA timer. Difference: leases of seconds, renewed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::state::Leases;
use crate::broker::Broker;
use crate::outage::Outage;
use crate::spill::Spill;

/// At most so many parked messages return in one step.
const RELEASE: usize = 500;
/// How long the releaser sleeps when nothing is parked, and at most: a worker that dies leaves what it parked to others.
const RELEASE_EVERY: Duration = Duration::from_millis(1250);
/// How often dead letters are counted, about.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// How often large results are looked through, about.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

/// Renews every lease a quarter of its length apart, and says when.
pub(super) async fn renew_leases(
    broker: Arc<dyn Broker>,
    leases: Arc<Leases>,
    lease: Duration,
    renewed: watch::Sender<Instant>,
    stop: CancellationToken,
) {
    let mut outage = Outage::new("renewing leases");
    let mut wait = lease / 4;
    while pause(wait, &stop).await {
        let (tags, asked) = (leases.tags(), Instant::now());
        let lost = match tags.is_empty() {
            true => Some(Vec::new()),
            false => outage.seen(broker.renew(&tags).await),
        };
        // A try that failed may have taken most of what the lease lasts: the next one follows at once.
        wait = lease / if lost.is_some() { 4 } else { 40 };
        if let Some(lost) = lost {
            lost.iter().for_each(|tag| leases.lose(tag));
            renewed.send_replace(asked);
        }
    }
}

/// Tells all that hold a lease when it may soon run out because it cannot be renewed: before another worker may take the task over.
pub(super) async fn doubt_leases(leases: Arc<Leases>, lease: Duration, mut renewed: watch::Receiver<Instant>) {
    let mut since = Instant::now();
    loop {
        since = since.max(*renewed.borrow_and_update());
        tokio::select! {
            biased;
            ended = renewed.changed() => if ended.is_err() { return },
            () = tokio::time::sleep_until(since + lease.mul_f64(0.875)) => {
                leases.doubt();
                // Once an outage; what is held from now on was leased after it.
                if renewed.changed().await.is_err() {
                    return;
                }
                since = Instant::now();
            }
        }
    }
}

/// Puts back what dead workers held. Workers look at random times, so that they do not all look at once; one that stood still itself
/// lets its own leases be renewed first.
pub(super) async fn restore_orphans(broker: Arc<dyn Broker>, lease: Duration, stop: CancellationToken) {
    let mut outage = Outage::new("looking for orphaned messages");
    loop {
        if let Some(count @ 1..) = outage.seen(broker.restore_orphans(lease).await) {
            tracing::warn!(count, "put back messages of workers that died");
            continue;
        }
        loop {
            let (spread, since) = (lease.mul_f64(0.1 + 0.1 * fastrand::f64()), Instant::now());
            if !pause(spread, &stop).await {
                return;
            }
            if since.elapsed() < lease / 2 {
                break;
            }
        }
    }
}

/// Returns parked messages when they are due; `parked` tells that one more is.
pub(super) async fn release_due(broker: Arc<dyn Broker>, parked: Arc<Notify>, stop: CancellationToken) {
    let mut outage = Outage::new("returning parked messages");
    loop {
        let released = outage.seen(broker.release_due(RELEASE).await).unwrap_or_default();
        let wait =
            if released.count == RELEASE { Duration::ZERO } else { released.next_in.unwrap_or(RELEASE_EVERY).min(RELEASE_EVERY) };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parked.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Removes dead letters that are too old or too many.
pub(super) async fn trim_dead_letters(broker: Arc<dyn Broker>, older: Option<Duration>, most: usize, stop: CancellationToken) {
    let mut outage = Outage::new("removing old dead letters");
    loop {
        if let Some(count @ 1..) = outage.seen(broker.trim_dead_letters(older, most).await) {
            tracing::warn!(count, "removed dead letters that were too old or too many");
            continue;
        }
        if !pause(TRIM_EVERY.mul_f64(0.5 + fastrand::f64()), &stop).await {
            return;
        }
    }
}

/// Removes large results that have expired.
pub(super) async fn expire_results(spill: Spill, age: Duration, stop: CancellationToken) {
    let mut outage = Outage::new("removing large results that have expired");
    loop {
        if let Some(count @ 1..) = outage.seen(spill.expire(age).await) {
            tracing::info!(count, "removed large results that have expired");
        }
        if !pause(EXPIRE_EVERY.mul_f64(0.5 + fastrand::f64()), &stop).await {
            return;
        }
    }
}

/// Sleeps; false when told to stop.
pub(super) async fn pause(length: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = tokio::time::sleep(length) => true,
    }
}
