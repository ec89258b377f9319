//! A worker that dies at each of its calls in turn, and another that does the rest: nothing is lost, no chord hangs, and no more is run
//! again than what was running.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use celeriac::app::App;
use celeriac::backend::Backend;
use celeriac::broker::{Broker, memory};
use celeriac::canvas::{chain, chord};
use celeriac::config::{Rate, RateScope, Settings};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};
use celeriac::worker::{Shutdown, StopReason, Worker, WorkerOptions};
use tokio::task::JoinHandle;

use crate::fate::{Fate, Side, mortal};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(600);
/// How many tasks a worker runs at once.
const SLOTS: usize = 2;

/// Counts how often tasks began.
type Runs = Arc<AtomicUsize>;

fn begun(ctx: &Context) -> Result<(), TaskError> {
    ctx.state::<Runs>()?.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

async fn add(ctx: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
    begun(&ctx)?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(x + y)
}

async fn sum(ctx: Context, (values,): (Vec<i64>,)) -> Result<i64, TaskError> {
    begun(&ctx)?;
    Ok(values.iter().sum())
}

async fn flaky(ctx: Context, (): ()) -> Result<i64, TaskError> {
    begun(&ctx)?;
    match ctx.request().retries() {
        0 => Err(ctx.retry(TaskError::builtin("ConnectionError", "not yet"))),
        retries => Ok(retries.into()),
    }
}

type Stores = (Arc<dyn Broker>, Arc<dyn Backend>);

fn app(runs: &Runs, (broker, backend): Stores) -> App {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    let mut app = App::builder(settings);
    app.task("d.add", add);
    app.task("d.sum", sum);
    app.task("d.flaky", flaky).default_retry_delay(Duration::from_millis(50));
    app.task("d.limited", add).rate_limit(Rate::per_second(10.0), RateScope::Cluster);
    app.state(Arc::clone(runs));
    app.connect_with(broker, backend)
}

fn work(app: App, nodename: &str) -> (Shutdown, JoinHandle<StopReason>) {
    let options = WorkerOptions { queues: vec!["celery".into()], concurrency: SLOTS, nodename: nodename.into(), children: None };
    let shutdown = Shutdown::new();
    let run = Worker::new(app, options).run(shutdown.clone());
    #[allow(clippy::disallowed_methods, reason = "the handle is the owner")]
    let worker = tokio::spawn(async move { run.await.unwrap() });
    (shutdown, worker)
}

/// What is sent: calls with their results, and how many runs they need.
struct Calls {
    calls: Vec<(Signature, i64)>,
    runs: usize,
}

fn add_of(name: &str, x: i64) -> Signature {
    Signature::new(name).arg(x)
}

fn canvases() -> Calls {
    let header = || (1..=3).map(|n| add_of("d.add", n).arg(n));
    let mut calls = vec![
        (add_of("d.add", 1).arg(1), 2),
        (chain([add_of("d.add", 1).arg(1), add_of("d.add", 10), add_of("d.add", 100)]), 112),
        (chord(header(), Signature::new("d.sum")), 12),
        (Signature::new("d.flaky"), 1),
    ];
    calls.extend((0..3).map(|n| (add_of("d.limited", n).arg(n), 2 * n)));
    Calls { calls, runs: 1 + 3 + 4 + 2 + 3 }
}

async fn results(app: &App, sent: &[(String, i64)]) {
    for (id, expected) in sent {
        let meta = app.result(id, LONG).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(meta.result, Value::Int(*expected), "{meta:?}");
    }
}

/// A worker that dies at this call, and one that does the rest; false when the first one was done before.
async fn dies_at(at: usize, side: Side, calls: Calls) -> bool {
    let (broker, backend) = memory::pair();
    let stores = || -> Stores { (Arc::new(broker.clone()), Arc::new(backend.clone())) };
    let (runs, fate) = (Runs::default(), Fate::new(at, side));
    let client = app(&runs, stores());
    let mut sent = Vec::new();
    for (call, expected) in calls.calls {
        sent.push((client.send(call).await.unwrap().id().to_owned(), expected));
    }

    let (shutdown, mut first) = work(app(&runs, mortal(stores(), &fate)), "celery@first");
    let done = async {
        results(&client, &sent).await;
        shutdown.warm();
        (&mut first).await.unwrap()
    };
    let died = tokio::select! {
        biased;
        () = fate.dead.cancelled() => true,
        _ = done => false,
    };
    if died {
        first.abort();
        let _gone = first.await;
    }

    let (shutdown, second) = work(client.clone(), "celery@second");
    results(&client, &sent).await;
    // What the first has settled and not heard of, or still held, is over when nothing is leased: two leases later at the latest.
    tokio::time::sleep(2 * client.settings().celeriac.lease.duration()).await;
    shutdown.warm();
    second.await.unwrap();

    let depth = broker.depth("celery").await.unwrap().total();
    let dead = broker.vitals().await.unwrap().dead_letters;
    assert_eq!((broker.leased_len(), depth, dead), (0, 0, 0), "{side:?} call {at}: leased, waiting, dead");
    let extra = runs.load(Ordering::SeqCst).checked_sub(calls.runs);
    let allowed = if died { SLOTS } else { 0 };
    assert!(extra.is_some_and(|extra| extra <= allowed), "{side:?} call {at}: {runs:?} runs, {} are needed", calls.runs);
    died
}

async fn dies_at_each(side: Side) {
    let mut at = 0;
    while dies_at(at, side, canvases()).await {
        at += 1;
    }
    println!("{side:?}: died at each of {at} calls");
    assert!(at > 50, "a worker makes more than {at} calls for that");
}

#[tokio::test(start_paused = true)]
async fn a_death_before_any_call_loses_nothing() {
    dies_at_each(Side::Before).await;
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_call_before_its_answer_is_seen_loses_nothing() {
    dies_at_each(Side::After).await;
}
