//! Spans of what is sent and run, as a collector gets them, and the trace that passes on with a message.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, outside of test functions too")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::app::App;
use celeriac::broker::memory;
use celeriac::canvas::{chain, chord};
use celeriac::config::{Env, Settings};
use celeriac::protocol::{Map, Signature, Value};
use celeriac::task::{Context, TaskError};
use celeriac::traces::Traces;
use celeriac::worker::{Shutdown, Worker, WorkerOptions};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

const LONG: Duration = Duration::from_secs(600);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Keeps spans instead of sending them.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Kept {
    fn named(&self, name: &str) -> SpanData {
        let spans = self.0.lock().unwrap();
        let found: Vec<&SpanData> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} of {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
        found[0].clone()
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| attribute.value.to_string())
}

async fn add(_: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
    Ok(x + y)
}

async fn fail(_: Context, (): ()) -> Result<(), TaskError> {
    Err(TaskError::builtin("ValueError", "boom"))
}

async fn total(_: Context, (numbers,): (Vec<i64>,)) -> Result<i64, TaskError> {
    Ok(numbers.iter().sum())
}

async fn sends(ctx: Context, (): ()) -> Result<(), TaskError> {
    ctx.send(Signature::new("t.add").arg(1).arg(1)).await?;
    Ok(())
}

async fn again(ctx: Context, (): ()) -> Result<Value, TaskError> {
    match ctx.request().retries() {
        0 => Err(ctx.retry(TaskError::builtin("ConnectionError", "not yet"))),
        _ => trace_of(ctx, ()).await,
    }
}

/// Which trace its message belongs to.
async fn trace_of(ctx: Context, (): ()) -> Result<Value, TaskError> {
    Ok(ctx.request().custom_headers().get("traceparent").cloned().unwrap_or_default())
}

fn app(traces: Option<Traces>) -> App {
    let (broker, backend) = memory::pair();
    let mut app = App::builder(Settings::default());
    app.task("t.add", add);
    app.task("t.fail", fail);
    app.task("t.total", total);
    app.task("t.sends", sends);
    app.task("t.again", again).max_retries(3).default_retry_delay(Duration::from_millis(50));
    app.task("t.trace_of", trace_of);
    if let Some(traces) = traces {
        app.traces(traces);
    }
    app.connect_with(Arc::new(broker), Arc::new(backend))
}

/// Runs a call and all that follows it.
async fn run(app: &App, call: impl Into<Signature>) -> Result<Value, TaskError> {
    let options = WorkerOptions { queues: vec!["celery".into()], concurrency: 1, nodename: "celery@test".into(), children: None };
    let shutdown = Shutdown::new();
    let mut worker = tokio::task::JoinSet::new();
    worker.spawn(Worker::new(app.clone(), options).run(shutdown.clone()));
    let id = app.send(call).await.unwrap().id().to_owned();
    let meta = app.result(&id, LONG).await.unwrap();
    // What it has sent besides is run, too.
    while app.broker().queue_len("celery").await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.warm();
    worker.join_all().await;
    Ok(meta.result)
}

async fn traced(call: impl Into<Signature>) -> (Kept, Value) {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let result = run(&app(Some(Traces::new(provider))), call).await.unwrap();
    (kept, result)
}

fn within(mut call: Signature, parent: &str) -> Signature {
    let headers = Map::from_iter([("traceparent".to_owned(), parent.into()), ("tracestate".to_owned(), "vendor=1".into())]);
    call.set_option("headers", headers);
    call
}

#[tokio::test(start_paused = true)]
async fn a_task_has_a_span_of_its_sending_and_one_of_its_run_within_it() {
    let (kept, _) = traced(within(Signature::new("t.add").arg(1).arg(2), PARENT)).await;
    let (sent, ran) = (kept.named("apply_async/t.add"), kept.named("run/t.add"));
    assert_eq!((&sent.span_kind, &ran.span_kind), (&SpanKind::Producer, &SpanKind::Consumer));
    assert_eq!(sent.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(ran.parent_span_id, sent.span_context.span_id());
    assert_eq!(ran.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(ran.span_context.trace_state().header(), "vendor=1");
    for (name, value) in [
        ("celery.action", "run"),
        ("celery.state", "SUCCESS"),
        ("celery.task_name", "t.add"),
        ("celery.hostname", "celery@test"),
        ("messaging.system", "redis"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "celery"),
        ("messaging.destination", "celery"),
    ] {
        assert_eq!(attribute(&ran, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(attribute(&ran, "messaging.message.id"), attribute(&sent, "messaging.message.id"));
    assert_eq!(attribute(&sent, "celery.action").as_deref(), Some("apply_async"));
    assert_eq!(ran.status, Status::Unset);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_in_its_span() {
    let (kept, _) = traced(Signature::new("t.fail")).await;
    let ran = kept.named("run/t.fail");
    assert_eq!(ran.status, Status::error("boom"));
    let event = &ran.events.events[0];
    assert_eq!(event.name, "exception");
    assert!(event.attributes.iter().any(|attribute| attribute.value.to_string() == "ValueError"), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_task_and_what_it_sends_is_within_its_run() {
    let header = [Signature::new("t.add").arg(1).arg(2)];
    let (kept, _) = traced(chain([chord(header, Signature::new("t.total")), Signature::new("t.sends").immutable()])).await;
    let parent = |name: &str| kept.named(name).parent_span_id;
    let id = |name: &str| kept.named(name).span_context.span_id();
    assert_eq!(
        parent("apply_async/t.total"),
        kept.0.lock().unwrap().iter().find(|span| span.name == "run/t.add").unwrap().span_context.span_id()
    );
    assert_eq!(parent("run/t.total"), id("apply_async/t.total"));
    assert_eq!(parent("apply_async/t.sends"), id("run/t.total"));
    let traces: std::collections::BTreeSet<String> =
        kept.0.lock().unwrap().iter().map(|span| span.span_context.trace_id().to_string()).collect();
    assert_eq!(traces.len(), 1, "one canvas, one trace");
}

#[tokio::test(start_paused = true)]
async fn without_spans_a_trace_passes_on_as_it_came() {
    let app = app(None);
    for call in [
        within(Signature::new("t.trace_of"), PARENT),
        within(Signature::new("t.again"), PARENT),
        chain([within(Signature::new("t.add").arg(1).arg(2), PARENT), Signature::new("t.trace_of").immutable()]),
    ] {
        assert_eq!(run(&app, call).await.unwrap(), Value::from(PARENT));
    }
    assert!(run(&app, Signature::new("t.trace_of")).await.unwrap().is_null(), "nobody began a trace");
}

#[test]
fn spans_are_made_only_where_an_endpoint_is_named() {
    let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Env>();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    for off in [&[][..], &[endpoint, ("OTEL_SDK_DISABLED", "true")], &[endpoint, ("OTEL_TRACES_EXPORTER", "none")]] {
        assert!(Traces::from_env(&env(off)).unwrap().is_none(), "{off:?}");
    }
    assert!(Traces::from_env(&env(&[endpoint])).unwrap().is_some());
}
