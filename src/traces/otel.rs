//! Spans as OpenTelemetry has them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::{Ended, Place};
use crate::config::Env;
use crate::error::{Error, Result};
use crate::protocol::{Exception, Map, Message, TRACE_HEADERS, Value, trace_headers};
use crate::routing::Address;

/// How long the last spans may take to go out.
const LAST: Duration = Duration::from_secs(3);
/// Either makes spans go out.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Makes spans. Clones make them together.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: Arc<TextMapCompositePropagator>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Spans that this provider samples and exports.
    pub fn new(provider: SdkTracerProvider) -> Self {
        let tracer = provider.tracer("celeriac");
        let propagator =
            TextMapCompositePropagator::new(vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())]);
        Self { provider, tracer, propagator: Arc::new(propagator) }
    }

    /// Spans that go to a collector as OTLP over HTTP, as the standard `OTEL_…` variables of this environment say; `None`: no endpoint is
    /// named, or spans are switched off (`OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none`).
    pub fn from_env(env: &Env) -> Result<Option<Self>> {
        let set = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if disabled || set("OTEL_TRACES_EXPORTER") == Some("none") || !ENDPOINTS.iter().any(|name| set(name).is_some()) {
            return Ok(None);
        }
        // Whoever installed one before us is right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().build();
        let exporter = exporter.map_err(|error| Error::config(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")))?;
        let named = set("OTEL_SERVICE_NAME").is_some()
            || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
        let resource = Resource::builder();
        let resource = if named { resource } else { resource.with_service_name("celeriac") };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
        Ok(Some(Self::new(provider)))
    }

    /// Sends the last spans; it blocks for as long as that takes, a few seconds at most.
    pub fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST) {
            tracing::debug!(%error, "the last spans are lost");
        }
    }

    /// The span of a message that is sent, as a child of what its headers name; from then on they name it.
    pub(crate) fn publish(&self, message: &mut Message, address: &Address) {
        let headers = &message.headers;
        let parent = self.extract(&trace_headers(headers));
        let attributes = [
            ("celery.action", "apply_async".to_owned()),
            ("celery.task_name", headers.task.clone()),
            ("messaging.message.id", headers.id.clone()),
            ("messaging.destination", address.routing_key.clone()),
            ("messaging.destination.name", address.queue.name.clone()),
            ("messaging.operation.type", "send".to_owned()),
            ("messaging.system", "redis".to_owned()),
        ];
        let span = self.tracer.span_builder(format!("apply_async/{}", headers.task)).with_kind(SpanKind::Producer);
        let span = span.with_attributes(attributes.map(|(name, value)| KeyValue::new(name, value)));
        let context = parent.with_span(span.start_with_context(&self.tracer, &parent));
        self.inject(&context, &mut message.headers.custom);
        context.span().end();
    }

    /// The span of a run, as a child of what its message names; from then on the message names it, for what follows the task.
    pub(crate) fn run(&self, message: &mut Message, place: Place<'_>) -> Run {
        let parent = self.extract(&trace_headers(&message.headers));
        let span = self.tracer.span_builder(format!("run/{}", message.headers.task)).with_kind(SpanKind::Consumer);
        let span = span.with_attributes(run_attributes(message, place));
        let context = parent.with_span(span.start_with_context(&self.tracer, &parent));
        self.inject(&context, &mut message.headers.custom);
        Run(context)
    }

    fn extract(&self, headers: &Map) -> Context {
        self.propagator.extract_with_context(&Context::new(), &Carrier::of(headers))
    }

    fn inject(&self, context: &Context, headers: &mut Map) {
        let mut carrier = Carrier::default();
        self.propagator.inject_context(context, &mut carrier);
        for name in TRACE_HEADERS {
            match carrier.0.remove(name).filter(|value| !value.is_empty()) {
                Some(value) => drop(headers.insert(name.to_owned(), value.into())),
                None => drop(headers.shift_remove(name)),
            }
        }
    }
}

/// A run's span; dropped, it ends.
pub(crate) struct Run(Context);

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

impl Run {
    /// Says how it went.
    pub(crate) fn end(self, ended: Ended<'_>) {
        let span = self.0.span();
        if let Some((exception, traceback)) = ended.failure {
            span.set_status(Status::error(exception.message()));
            span.add_event("exception", exception_attributes(exception, traceback));
        }
        if let Some(reason) = ended.retry {
            span.set_attribute(KeyValue::new("celery.retry.reason", reason.message()));
        }
        span.set_attribute(KeyValue::new("celery.state", ended.state));
        span.end();
    }
}

/// What the Python instrumentation says of a request, and today's conventions.
fn run_attributes(message: &Message, place: Place<'_>) -> Vec<KeyValue> {
    let (headers, properties) = (&message.headers, &message.properties);
    let delivery = &properties.delivery_info;
    let mut attributes = vec![
        KeyValue::new("celery.action", "run"),
        KeyValue::new("celery.task_name", headers.task.clone()),
        KeyValue::new("celery.hostname", place.hostname.to_owned()),
        KeyValue::new("messaging.message.id", headers.id.clone()),
        KeyValue::new("messaging.destination", delivery.routing_key.clone()),
        KeyValue::new("messaging.destination.name", place.queue.to_owned()),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.system", "redis"),
    ];
    let limit = |limit: Option<f64>| limit.map_or_else(String::new, |seconds| seconds.to_string());
    let limits = place.timelimit;
    let timelimit =
        [limits.hard, limits.soft].iter().any(Option::is_some).then(|| format!("{}, {}", limit(limits.hard), limit(limits.soft)));
    let optional = [
        ("messaging.conversation_id", Some(properties.correlation_id.clone().unwrap_or_else(|| headers.id.clone()))),
        ("celery.eta", headers.eta.map(|eta| eta.to_string())),
        ("celery.expires", headers.expires.map(|expires| expires.to_string())),
        ("celery.timelimit", timelimit),
        ("celery.delivery_info", Some(format!("exchange={} routing_key={}", delivery.exchange, delivery.routing_key))),
    ];
    attributes.extend(optional.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?))));
    if headers.retries > 0 {
        attributes.push(KeyValue::new("celery.retries", i64::from(headers.retries)));
    }
    attributes
}

fn exception_attributes(exception: &Exception, traceback: Option<&str>) -> Vec<KeyValue> {
    let shown = exception.to_string();
    let mut attributes = vec![
        KeyValue::new("exception.type", shown.split('(').next().unwrap_or_default().to_owned()),
        KeyValue::new("exception.message", exception.message()),
    ];
    attributes.extend(traceback.map(|traceback| KeyValue::new("exception.stacktrace", traceback.to_owned())));
    attributes
}

/// Headers as texts.
#[derive(Default)]
struct Carrier(BTreeMap<String, String>);

impl Carrier {
    fn of(headers: &Map) -> Self {
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Self(headers.iter().filter_map(text).collect())
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }
}
