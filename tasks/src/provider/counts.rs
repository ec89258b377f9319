//! What is counted of providers, by the names that Prometheus is told. No label has an id in it.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::Kind;
use crate::error::{Code, DocumentError};
use crate::result::ModelUsage;

type Labels = Vec<(&'static str, String)>;
type Seconds = Counter<f64, AtomicU64>;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    /// It asks to slow down.
    RateLimited,
    /// It says no: to the question, the key, the account.
    Refused,
    /// It failed, or could not be reached.
    Failed,
    /// It was not asked.
    CircuitOpen,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::CircuitOpen => "circuit_open",
        }
    }

    pub(super) fn of(error: &DocumentError) -> Self {
        match error.code {
            Code::LlmRateLimited => Self::RateLimited,
            Code::LlmFailed | Code::TtsFailed if error.retryable() => Self::Failed,
            _ => Self::Refused,
        }
    }
}

/// The counts. Clones share them.
#[derive(Debug, Clone)]
pub struct Counts {
    requests: Family<Labels, Counter>,
    request_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    tokens: Family<Labels, Counter>,
    cost: Family<Labels, Seconds>,
    throttled: Seconds,
    speech_requests: Family<Labels, Counter>,
    speech_request_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    spoken: Family<Labels, Seconds>,
    circuit: Family<Labels, Gauge>,
}

fn seconds() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0])
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            tokens: Family::default(),
            cost: Family::default(),
            throttled: Counter::default(),
            speech_requests: Family::default(),
            speech_request_seconds: Family::new_with_constructor(seconds),
            spoken: Family::default(),
            circuit: Family::default(),
        }
    }
}

impl Counts {
    /// Enters all but what the circuit is, which one process cannot say for another.
    pub fn register(&self, registry: &mut Registry) {
        add(registry, "celeriac_llm_requests", "Questions to a language model, by what came of them", &self.requests);
        add(registry, "celeriac_llm_request_seconds", "How long a language model took to answer", &self.request_seconds);
        add(registry, "celeriac_llm_tokens", "Tokens that language models took", &self.tokens);
        add(registry, "celeriac_llm_cost_usd", "What language models cost, by the price table", &self.cost);
        add(registry, "celeriac_llm_throttle_seconds", "How long language models asked to wait", &self.throttled);
        add(registry, "celeriac_tts_requests", "Texts given to a speech model, by what came of them", &self.speech_requests);
        add(registry, "celeriac_tts_request_seconds", "How long a speech model took for a text", &self.speech_request_seconds);
        add(registry, "celeriac_tts_seconds", "Seconds of speech that were made", &self.spoken);
    }

    /// Enters whether the circuit is open.
    pub fn register_circuit(&self, registry: &mut Registry) {
        add(registry, "celeriac_circuit_open", "Whether a provider is left alone now, because it fails", &self.circuit);
    }

    pub(super) fn asked(&self, kind: Kind, provider: &str, model: &str, status: Status) {
        let mut labels = of_model(provider, model);
        labels.push(("status", status.as_str().to_owned()));
        let requests = match kind {
            Kind::Model => &self.requests,
            Kind::Speech => &self.speech_requests,
        };
        requests.get_or_create(&labels).inc();
    }

    pub(super) fn took(&self, kind: Kind, provider: &str, model: &str, time: Duration) {
        let seconds = match kind {
            Kind::Model => &self.request_seconds,
            Kind::Speech => &self.speech_request_seconds,
        };
        seconds.get_or_create(&of_model(provider, model)).observe(time.as_secs_f64());
    }

    pub(super) fn throttled(&self, kind: Kind, wait: Duration) {
        if kind == Kind::Model {
            self.throttled.inc_by(wait.as_secs_f64());
        }
    }

    pub(super) fn used(&self, provider: &str, model: &str, usage: &ModelUsage) {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens);
        for (kind, count) in [("input", fresh), ("cached_input", usage.cached_input_tokens), ("output", usage.output_tokens)] {
            let mut labels = of_model(provider, model);
            labels.push(("type", kind.to_owned()));
            self.tokens.get_or_create(&labels).inc_by(count);
        }
        if let Some(cost) = usage.cost_usd {
            self.cost.get_or_create(&vec![("model", model.to_owned())]).inc_by(cost);
        }
    }

    pub(super) fn spoke(&self, provider: &str, seconds: f64) {
        self.spoken.get_or_create(&of(provider)).inc_by(seconds);
    }

    pub(super) fn circuit(&self, provider: &str, open: bool) {
        self.circuit.get_or_create(&of(provider)).set(i64::from(open));
    }
}

fn of(provider: &str) -> Labels {
    vec![("provider", provider.to_owned())]
}

fn of_model(provider: &str, model: &str) -> Labels {
    vec![("provider", provider.to_owned()), ("model", model.to_owned())]
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: &M) {
    registry.register(name, help, metric.clone());
}
