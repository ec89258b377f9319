//! A worker that dies at each of its calls in turn, or at each of its commands to Redis, and another that does the rest: nothing is lost, no
//! chord hangs, and no more is run again than what was running.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use celeriac::app::App;
use celeriac::backend;
use celeriac::backend::Backend;
use celeriac::broker::{self, Broker, memory};
use celeriac::canvas::{chain, chord};
use celeriac::config::{Rate, RateScope, Seconds, Settings};
use celeriac::error::Result;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};
use celeriac::worker::{Shutdown, StopReason, Worker, WorkerOptions};
use futures::StreamExt;
use tokio::task::JoinHandle;

use crate::fate::{Fate, Side, mortal};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(100);
/// How many tasks a worker runs at once.
const SLOTS: usize = 2;

/// Counts how often tasks began.
pub(crate) type Runs = Arc<AtomicUsize>;

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

pub(crate) type Stores = (Arc<dyn Broker>, Arc<dyn Backend>);

pub(crate) fn app(runs: &Runs, stores: Stores, lease: f64) -> App {
    app_that_acks(true, runs, stores, lease)
}

pub(crate) fn app_that_acks(late: bool, runs: &Runs, stores: Stores, lease: f64) -> App {
    app_of(late, runs, stores, lease, |_| {})
}

/// With more tasks.
pub(crate) fn app_of(
    late: bool,
    runs: &Runs,
    (broker, backend): Stores,
    lease: f64,
    more: impl FnOnce(&mut celeriac::app::AppBuilder),
) -> App {
    let mut settings = Settings::default();
    settings.task_acks_late = late;
    // Here workers die more often than tasks may be to blame for.
    settings.celeriac.max_deliveries = 0;
    settings.celeriac.lease = Seconds::new(lease);
    let mut app = App::builder(settings);
    app.task("d.add", add);
    app.task("d.sum", sum);
    app.task("d.flaky", flaky).default_retry_delay(Duration::from_millis(50));
    app.task("d.limited", add).rate_limit(Rate::per_second(10.0), RateScope::Cluster);
    app.state(Arc::clone(runs));
    more(&mut app);
    app.connect_with(broker, backend)
}

pub(crate) fn work(app: App, nodename: &str) -> (Shutdown, JoinHandle<Result<StopReason>>) {
    let options = WorkerOptions { queues: vec!["celery".into()], concurrency: SLOTS, nodename: nodename.into(), children: None };
    let shutdown = Shutdown::new();
    let run = Worker::new(app, options).run(shutdown.clone());
    #[allow(clippy::disallowed_methods, reason = "the handle is the owner")]
    let worker = tokio::spawn(run);
    (shutdown, worker)
}

/// What is sent: calls with their results, and how many runs they need.
pub(crate) struct Calls {
    pub(crate) calls: Vec<(Signature, i64)>,
    runs: usize,
}

fn add_of(name: &str, x: i64) -> Signature {
    Signature::new(name).arg(x)
}

/// A task that holds a key, also while it waits for its retry.
fn unique() -> Signature {
    Signature::new("d.flaky").unique_key("k")
}

pub(crate) fn canvases() -> Calls {
    let header = || (1..=3).map(|n| add_of("d.add", n).arg(n));
    let mut calls = vec![
        (add_of("d.add", 1).arg(1), 2),
        (chain([add_of("d.add", 1).arg(1), add_of("d.add", 10), add_of("d.add", 100)]), 112),
        (chord(header(), Signature::new("d.sum")), 12),
        (unique(), 1),
    ];
    calls.extend((0..3).map(|n| (add_of("d.limited", n).arg(n), 2 * n)));
    Calls { calls, runs: 1 + 3 + 4 + 2 + 3 }
}

pub(crate) async fn results(app: &App, sent: &[(String, i64)]) {
    for (id, expected) in sent {
        let meta = app.result(id, LONG).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(meta.result, Value::Int(*expected), "{meta:?}");
    }
}

/// A worker that dies when its fate says so, and one that does the rest; false when the first one was done before.
async fn dies(fate: &Fate, doomed: Stores, safe: Stores, calls: Calls, lease: f64) -> bool {
    let (at, runs, broker) = (fate.to_string(), Runs::default(), Arc::clone(&safe.0));
    let client = app(&runs, safe, lease);
    let mut sent = Vec::new();
    for (call, expected) in calls.calls {
        sent.push((client.send(call).await.unwrap().id().to_owned(), expected));
    }

    let (shutdown, mut first) = work(app(&runs, doomed, lease), "celery@first");
    let done = async {
        results(&client, &sent).await;
        shutdown.warm();
        (&mut first).await.unwrap().unwrap()
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
    // Its key outlives nobody.
    let again = client.send(unique()).await.unwrap().id().to_owned();
    results(&client, &[(again, 1)]).await;
    shutdown.warm();
    second.await.unwrap().unwrap();

    let (waiting, dead) = (broker.depth("celery").await.unwrap().total(), broker.vitals().await.unwrap().dead_letters);
    assert_eq!((waiting, dead), (0, 0), "{at}: waiting, dead");
    let needed = calls.runs + 2;
    let extra = runs.load(Ordering::SeqCst).checked_sub(needed);
    let allowed = if died { SLOTS } else { 0 };
    assert!(extra.is_some_and(|extra| extra <= allowed), "{at}: {runs:?} runs, {needed} are needed");
    died
}

async fn dies_in_memory(at: usize, side: Side) -> bool {
    let (broker, backend) = memory::pair();
    let stores = || -> Stores { (Arc::new(broker.clone()), Arc::new(backend.clone())) };
    let fate = Fate::new(at, side);
    let died = dies(&fate, mortal(stores(), &fate), stores(), canvases(), 12.0).await;
    assert_eq!(broker.leased_len(), 0, "{fate}");
    died
}

async fn dies_at_each(side: Side) {
    let mut at = 0;
    while dies_in_memory(at, side).await {
        at += 1;
    }
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

/// How many deaths are tried at a time: they mostly wait for leases.
const AT_ONCE: usize = 40;
/// Of so many deaths every one is tried, of more a part; all with `CELERIAC_ALL_DEATHS`.
const SAMPLE: usize = 60;

/// Dies at a command that a connection of the worker sends to Redis, in a database of its own; whether it did, and how many it sent.
async fn dies_on_redis(server: &RedisServer, db: usize, at: usize, side: Side) -> (bool, usize) {
    let fate = Fate::new(at, side);
    let proxy = Proxy::start(server.port(), &fate).await;
    let stores = |port: u16| -> Stores {
        let url = format!("redis://127.0.0.1:{port}/{db}");
        (broker::open(&url, broker::Options::default()).unwrap(), backend::open(&url, backend::Options::default()).unwrap())
    };
    let mut calls = canvases();
    calls.calls.push((add_of("d.add", 5).arg(5).countdown(0.3), 10));
    calls.runs += 1;
    let died = dies(&fate, stores(proxy.port()), stores(server.port()), calls, 8.0).await;
    let mut raw = redis::Client::open(server.url(u32::try_from(db).unwrap())).unwrap().get_connection().unwrap();
    let leased: (usize, usize) =
        redis::pipe().cmd("HLEN").arg("unacked").cmd("ZCARD").arg("unacked_index").query(&mut raw).unwrap();
    assert_eq!(leased, (0, 0), "{fate}: leased");
    (died, fate.calls())
}

#[tokio::test]
async fn a_death_between_any_two_commands_to_redis_loses_nothing() {
    let databases = |port: u16| ["--port", &port.to_string(), "--databases", "4000"].map(str::to_owned).to_vec();
    let Some(server) = RedisServer::start_with(databases) else { return };
    let (_, commands) = dies_on_redis(&server, 0, usize::MAX, Side::Before).await;
    assert!(commands > 80, "a worker sends more than {commands} commands for that");
    let step = if std::env::var_os("CELERIAC_ALL_DEATHS").is_some() { 1 } else { commands.div_ceil(SAMPLE) };
    // Another part of them each time, each of which is told when it fails.
    let first = fastrand::usize(0..step);
    let fates = (first..commands).step_by(step).flat_map(|at| [(at, Side::Before), (at, Side::After)]);
    let deaths = fates.enumerate().map(|(number, (at, side))| dies_on_redis(&server, number + 1, at, side));
    let tried: Vec<bool> = futures::stream::iter(deaths).buffer_unordered(AT_ONCE).map(|(died, _)| died).collect().await;
    // The last of them may not come to pass: a worker that is sooner done sends fewer.
    let died = tried.iter().filter(|died| **died).count();
    assert!(died * 2 > tried.len(), "{died} deaths of {}, with {commands} commands", tried.len());
}
