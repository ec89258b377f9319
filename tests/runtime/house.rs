//! A worker with the tasks of these tests, on a memory broker and backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use celeriac::app::{App, AppBuilder};
use celeriac::backend::memory::MemoryBackend;
use celeriac::broker::memory::{self, MemoryBroker};
use celeriac::broker::{Broker, Consumer, ConsumerOptions, Options};
use celeriac::canvas::{chord, group};
use celeriac::config::Settings;
use celeriac::protocol::meta::Meta;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::Value;
use celeriac::task::{Arguments, Context, TaskError};
use celeriac::worker::{Shutdown, StopReason, Worker, WorkerOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes; time is paused, so it costs nothing.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// What tasks leave behind for a test to look at.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// How many runs began.
    pub(crate) runs: AtomicUsize,
    /// Told when a blocking task began.
    pub(crate) begun: Notify,
    /// Lets blocking tasks end.
    pub(crate) release: Notify,
}

impl Traces {
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

async fn add(_: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
    Ok(x + y)
}

async fn sum(_: Context, (values,): (Vec<i64>,)) -> Result<i64, TaskError> {
    Ok(values.iter().sum())
}

async fn echo(_: Context, call: Arguments) -> Result<Value, TaskError> {
    Ok(Value::List(call.args))
}

async fn fail(_: Context, _: Arguments) -> Result<(), TaskError> {
    Err(TaskError::builtin("ValueError", "boom"))
}

async fn panics(_: Context, (): ()) -> Result<(), TaskError> {
    panic!("a bug")
}

async fn flaky(ctx: Context, (failures,): (u32,)) -> Result<u32, TaskError> {
    count(&ctx)?;
    if ctx.request().retries() < failures {
        return Err(ctx.retry(TaskError::builtin("ConnectionError", "not yet")));
    }
    Ok(ctx.request().retries())
}

async fn rejects(ctx: Context, (requeue,): (bool,)) -> Result<&'static str, TaskError> {
    count(&ctx)?;
    if ctx.request().redelivered() { Ok("second") } else { Err(TaskError::Reject { requeue, reason: "not me".into() }) }
}

async fn ignores(_: Context, (): ()) -> Result<(), TaskError> {
    Err(TaskError::Ignore)
}

async fn progresses(ctx: Context, (): ()) -> Result<&'static str, TaskError> {
    ctx.progress(&[("current", 3), ("total", 10)].into_iter().collect::<std::collections::BTreeMap<_, _>>()).await?;
    ctx.state::<Arc<Traces>>()?.begun.notify_one();
    ctx.state::<Arc<Traces>>()?.release.notified().await;
    Ok("done")
}

/// Runs until the test lets it go.
async fn blocks(ctx: Context, (): ()) -> Result<u32, TaskError> {
    let traces = ctx.state::<Arc<Traces>>()?;
    count(&ctx)?;
    traces.begun.notify_one();
    traces.release.notified().await;
    Ok(ctx.request().lost_deliveries())
}

async fn sleeps(_: Context, (seconds,): (u64,)) -> Result<&'static str, TaskError> {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok("slept")
}

/// Ends when it is told to.
async fn obeys(ctx: Context, (): ()) -> Result<&'static str, TaskError> {
    ctx.cancelled().cancelled().await;
    Ok("tidied up")
}

/// Replaces itself by a chord of tasks each of which replaces itself by a chord: the shape of the document pipeline.
async fn document(ctx: Context, (batches,): (i64,)) -> Result<(), TaskError> {
    let header = (0..batches).map(|batch| Signature::new("t.batch").arg(batch));
    Err(ctx.replace(chord(header, Signature::new("t.sum"))))
}

async fn batch(ctx: Context, (batch,): (i64,)) -> Result<(), TaskError> {
    let header = (0..3).map(|page| Signature::new("t.add").arg(batch * 10).arg(page));
    Err(ctx.replace(chord(header, Signature::new("t.sum"))))
}

/// Replaces itself by a group.
async fn several(ctx: Context, (): ()) -> Result<(), TaskError> {
    Err(ctx.replace(group((0..3).map(|n| Signature::new("t.add").arg(n).arg(n)))))
}

async fn sends(ctx: Context, (): ()) -> Result<String, TaskError> {
    Ok(ctx.send(group([Signature::new("t.add").arg(1).arg(1)])).await?)
}

fn count(ctx: &Context) -> Result<(), TaskError> {
    ctx.state::<Arc<Traces>>()?.runs.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// An app with its tasks, and the memory it runs on.
pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) broker: MemoryBroker,
    pub(crate) traces: Arc<Traces>,
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) shutdown: Shutdown,
    worker: JoinHandle<StopReason>,
}

impl Running {
    /// Waits for its end.
    pub(crate) async fn ended(self) -> StopReason {
        self.worker.await.unwrap()
    }

    /// Stops it warmly and waits.
    pub(crate) async fn stop(self) -> StopReason {
        self.shutdown.warm();
        self.ended().await
    }

    /// Its process dies: nothing it held is handed back.
    pub(crate) async fn dies(self) {
        self.worker.abort();
        let _ = self.worker.await;
    }
}

impl House {
    pub(crate) fn new() -> Self {
        let mut settings = Settings::default();
        settings.task_acks_late = true;
        Self::with(settings)
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::over(settings, memory::pair())
    }

    /// Broker and backend as on two servers: settled step by step.
    pub(crate) fn apart() -> Self {
        let mut settings = Settings::default();
        settings.task_acks_late = true;
        Self::over(settings, (MemoryBroker::new(Options::default()), MemoryBackend::new()))
    }

    /// With more tasks, those of one test.
    pub(crate) fn furnished(settings: Settings, furnish: impl FnOnce(&mut AppBuilder)) -> Self {
        Self::build(settings, memory::pair(), furnish)
    }

    fn over(settings: Settings, memory: (MemoryBroker, MemoryBackend)) -> Self {
        Self::build(settings, memory, |_| {})
    }

    fn build(settings: Settings, (broker, backend): (MemoryBroker, MemoryBackend), furnish: impl FnOnce(&mut AppBuilder)) -> Self {
        let traces = Arc::<Traces>::default();
        let mut app = App::builder(settings);
        app.task("t.add", add);
        app.task("t.sum", sum);
        app.task("t.echo", echo);
        app.task("t.fail", fail);
        app.task("t.panics", panics);
        app.task("t.flaky", flaky).max_retries(3).default_retry_delay(Duration::from_millis(50));
        app.task("t.rejects", rejects);
        app.task("t.ignores", ignores);
        app.task("t.progresses", progresses);
        app.task("t.blocks", blocks);
        app.task("t.early", blocks).acks_early();
        app.task("t.sleeps", sleeps);
        app.task("t.limited", sleeps).time_limit(Duration::from_secs(5));
        app.task("t.obeys", obeys).soft_time_limit(Duration::from_secs(2));
        app.task("t.stubborn", sleeps).soft_time_limit(Duration::from_secs(2));
        app.task("t.silent", add).ignore_result();
        app.task("t.document", document);
        app.task("t.batch", batch);
        app.task("t.several", several);
        app.task("t.sends", sends);
        app.state(Arc::clone(&traces));
        furnish(&mut app);
        let app = app.connect_with(Arc::new(broker.clone()), Arc::new(backend));
        Self { app, broker, traces }
    }

    /// Starts a worker.
    pub(crate) fn worker(&self, concurrency: usize) -> Running {
        self.named("celery@test", concurrency)
    }

    pub(crate) fn named(&self, nodename: &str, concurrency: usize) -> Running {
        let options = WorkerOptions { queues: vec!["celery".into()], concurrency, nodename: nodename.into(), children: None };
        let shutdown = Shutdown::new();
        let run = Worker::new(self.app.clone(), options).run(shutdown.clone());
        #[allow(clippy::disallowed_methods, reason = "the handle is the owner")]
        let worker = tokio::spawn(async move { run.await.unwrap() });
        Running { shutdown, worker }
    }

    /// Consumes a queue as somebody who is no worker.
    pub(crate) async fn consumer(&self, queue: &str, lease: Duration) -> Box<dyn Consumer> {
        let options = ConsumerOptions {
            queues: vec![queue.into()],
            nodename: "client".into(),
            max_bytes: 1 << 20,
            lease,
            stop: CancellationToken::new(),
        };
        self.broker.consumer(options).await.unwrap()
    }

    /// Runs a worker that cannot start; what it says.
    pub(crate) async fn fails_to_start(&self) -> String {
        let options =
            WorkerOptions { queues: vec!["celery".into()], concurrency: 1, nodename: "celery@test".into(), children: None };
        Worker::new(self.app.clone(), options).run(Shutdown::new()).await.unwrap_err().to_string()
    }

    /// Sends a call, waits for its end and gives its meta.
    pub(crate) async fn call(&self, signature: impl Into<Signature>) -> Meta {
        let id = self.send(signature).await;
        self.ended(&id).await
    }

    /// Sends a call; its id.
    pub(crate) async fn send(&self, signature: impl Into<Signature>) -> String {
        self.app.send(signature).await.unwrap().id().to_owned()
    }

    pub(crate) async fn ended(&self, id: &str) -> Meta {
        self.app.result(id, LONG).await.unwrap()
    }

    /// The state stored for an id now.
    pub(crate) async fn state(&self, id: &str) -> Option<Meta> {
        self.app.state_of(id).await.unwrap()
    }
}
