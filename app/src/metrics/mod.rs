//! What Prometheus is told: the cluster under celery-exporter's names, jobs and pages, what the HTTP service does, Redis, the process.
//!
//! What happens is counted where it happens, or from the ledger's events; what somebody else keeps is looked up when it is asked for.
//! No metric has a label with an id of a job, a user or a page in it.

mod cluster;
mod http;
mod jobs;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use celeriac::metrics::Process;
use celeriac_tasks::provider::Counts;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use self::cluster::Cluster;
pub(crate) use self::http::{Http, measured};
use self::jobs::Jobs;
use crate::jobs::Desk;

/// The media type of what is told.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long what is looked up may take; then only what is counted is told.
const PATIENCE: Duration = Duration::from_secs(3);

type Labels = Vec<(&'static str, String)>;
/// Counters with labels.
pub(crate) type Counters = Family<Labels, Counter>;
type Number = Gauge<f64, AtomicU64>;
type Gauges = Family<Labels, Number>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// All metrics of the service. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    registry: Registry,
    http: Http,
    jobs: Jobs,
    cluster: Cluster,
    deliveries: Counters,
    process: Process,
}

impl Metrics {
    /// With celery-exporter's metrics or without, and with what this process asks of models.
    pub(crate) fn new(celery: bool, models: Option<&Counts>) -> Self {
        let mut registry = Registry::default();
        if let Some(models) = models {
            models.register(&mut registry);
        }
        registry.register("celeriac_build", "What runs", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let deliveries =
            added(&mut registry, "celeriac_webhook_deliveries", "Tries to tell others, by how they went", Counters::default());
        for outcome in ["delivered", "failed"] {
            // What never happened is shown as 0, so that a first failure is an increase.
            let _at_zero = deliveries.get_or_create(&label("outcome", outcome));
        }
        let (http, jobs) = (Http::register(&mut registry), Jobs::register(&mut registry));
        let (cluster, process) = (Cluster::register(&mut registry, celery), Process::register(&mut registry));
        Self(Arc::new(All { registry, http, jobs, cluster, deliveries, process }))
    }

    /// What counts deliveries of webhooks, by `outcome`.
    pub(crate) fn deliveries(&self) -> Counters {
        self.0.deliveries.clone()
    }

    pub(crate) fn http(&self) -> &Http {
        &self.0.http
    }

    /// Counts what happens to jobs, for as long as it is polled.
    pub(crate) async fn count(self, desk: Desk) {
        self.0.jobs.count(&desk).await;
    }

    /// Everything as text, with the cluster as it is now.
    pub(crate) async fn render(&self, desk: &Desk) -> String {
        self.0.cluster.look(desk, PATIENCE).await;
        self.0.process.read();
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn added<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
