//! The scrape is responsible for what a worker says of itself to Prometheus and to who asks whether it lives and takes work.
//!
//! # Celery
//! celery-exporter's `track_queue_metrics` and `track_worker_heartbeat`. Difference: a queue's length counts all its priority steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::loops::Loops;
use super::request::Shared;
use crate::error::{Error, Result};
use crate::metrics::{Metrics, Snapshot, http};

/// How long the broker may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take for the worker to be ready.
const READY: Duration = Duration::from_millis(250);

/// Answers at the address that the settings name, if they do.
pub(super) async fn answer(loops: &mut Loops, shared: &Arc<Shared>) -> Result<()> {
    let settings = &shared.app.settings().celeriac;
    let (Some(metrics), Some(address)) = (shared.app.metrics(), &settings.metrics_addr) else { return Ok(()) };
    let wrong = |error: std::io::Error| Error::config(format!("celeriac.metrics_addr: cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address.as_str()).await.map_err(wrong)?;
    let shown = listener.local_addr().map_or_else(|_| address.clone(), |address| address.to_string());
    tracing::info!("metrics on http://{shown}/metrics");
    let site = Arc::new(Scrape { shared: Arc::clone(shared), metrics: Arc::clone(metrics), queues: settings.metrics_queues });
    loops.spawn(http::serve(listener, site, loops.ended()));
    Ok(())
}

struct Scrape {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    /// Whether the lengths of queues are told.
    queues: bool,
}

impl Scrape {
    async fn lengths(&self) -> Vec<(String, Option<usize>)> {
        let broker = self.shared.app.broker();
        let mut lengths = Vec::new();
        let queues = self.shared.state.queues.borrow().clone();
        for queue in queues {
            let length = if self.queues { broker.queue_len(&queue).await.ok() } else { None };
            lengths.push((queue, length));
        }
        lengths
    }
}

#[async_trait]
impl http::Site for Scrape {
    async fn metrics(&self) -> String {
        let (shared, asked) = (&self.shared, Instant::now());
        let vitals = timeout(PATIENCE, shared.app.broker().vitals()).await.ok().and_then(Result::ok);
        let vitals = vitals.map(|vitals| (vitals, asked.elapsed()));
        let queues = match vitals {
            Some(_) => timeout(PATIENCE, self.lengths()).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let children = match shared.window.children() {
            Some(children) => children.children().await,
            None => Vec::new(),
        };
        let busy = children.iter().filter(|child| child.running.is_some()).count();
        self.metrics.render(&Snapshot {
            nodename: shared.nodename.clone(),
            active: shared.state.requests.active(),
            slots: shared.window.slots.size(),
            queues,
            children: (busy, children.len() - busy),
            restarts: shared.window.children().map(|children| children.ended()).unwrap_or_default(),
            vitals,
        })
    }

    async fn ready(&self) -> std::result::Result<(), &'static str> {
        if self.shared.shutdown.quieted().is_cancelled() {
            return Err("draining");
        }
        match timeout(READY, self.shared.app.broker().vitals()).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err("the broker does not answer"),
        }
    }
}
