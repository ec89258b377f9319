//! Every key in Redis expires or has an owner who removes it: the table of docs/operations.md, and what a busy fleet leaves behind.

use std::sync::Arc;
use std::time::Duration;

use celeriac::app::App;
use celeriac::beat::{Beat, BeatOptions};
use celeriac::canvas::{chord, group};
use celeriac::config::{Rate, RateScope, Seconds, Settings};
use celeriac::protocol::{Map, Signature, State};
use celeriac::schedules::Schedule;
use celeriac::settlement::Outgoing;
use celeriac::task::{Context, TaskError};
use celeriac::worker::{Shutdown, Worker, WorkerOptions};
use redis::Commands;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A row of the table.
struct Row {
    patterns: Vec<String>,
    expires: bool,
}

impl Row {
    fn all() -> Vec<Self> {
        let page = include_str!("../../docs/operations.md");
        let table = page.split("## Keys in Redis").nth(1).expect("the page has the table").split("\n## ").next().unwrap();
        let row = |line: &str| {
            let [_, keys, _, until, _] = line.split('|').collect::<Vec<_>>()[..] else { return None };
            let patterns: Vec<String> = keys.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (!patterns.is_empty()).then(|| Self { patterns, expires: until.trim_start().starts_with("expires") })
        };
        table.lines().filter_map(row).collect()
    }

    fn names(&self, key: &str) -> bool {
        self.patterns.iter().any(|pattern| fits(&pattern.replace("QUEUE", "celery").replace("\\x06\\x16", "\u{6}\u{16}"), key))
    }
}

/// A pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text
            .strip_prefix(head)
            .is_some_and(|tail| (0..=tail.len()).any(|at| tail.is_char_boundary(at) && fits(rest, &tail[at..]))),
    }
}

async fn add(_: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
    Ok(x + y)
}

async fn sum(_: Context, (numbers,): (Vec<i64>,)) -> Result<i64, TaskError> {
    Ok(numbers.iter().sum())
}

async fn fails(_: Context, (): ()) -> Result<(), TaskError> {
    Err(TaskError::builtin("ValueError", "boom"))
}

async fn marks(ctx: Context, (): ()) -> Result<(), TaskError> {
    ctx.mark("celeriac-job-1-pages", &[(3, 1)]).await?;
    ctx.progress(&1).await?;
    Err(ctx.retry_later())
}

/// Runs until it is terminated.
async fn holds(_: Context, (): ()) -> Result<(), TaskError> {
    std::future::pending().await
}

/// Adds a part to its chord.
async fn grows(ctx: Context, (): ()) -> Result<i64, TaskError> {
    ctx.add_to_chord(Signature::new("t.add").arg(1).arg(1))?;
    Ok(1)
}

fn app(ground: &Ground) -> App {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    settings.celeriac.lease = Seconds::new(12.0);
    let mut app = App::builder(settings);
    app.task("t.add", add);
    app.task("t.sum", sum);
    app.task("t.fails", fails);
    app.task("t.marks", marks);
    app.task("t.grows", grows);
    app.task("t.holds", holds);
    app.task("t.limited", add).rate_limit(Rate::per_hour(1.0), RateScope::Cluster);
    app.periodic_task("tick", Schedule::every(0.1).unwrap(), Signature::new("t.add").arg(1).arg(1).queue("ticks"));
    app.connect_with(Arc::clone(&ground.broker), Arc::clone(&ground.backend))
}

/// What a fleet does: results, failures, chords that end well, badly and never, retries, dead letters, limits, schedules, control.
async fn work(app: &App) {
    app.send(Signature::new("t.holds").id("held")).await.unwrap();
    let call = |x: i64| Signature::new("t.add").arg(x).arg(x);
    let ended = |signature: Signature| async move { app.send(signature).await.unwrap().get_value(LONG).await.is_ok() };
    assert!(ended(call(1)).await);
    assert!(!ended(Signature::new("t.fails")).await);
    assert!(ended(chord([call(1), Signature::new("t.grows")], Signature::new("t.sum"))).await);
    assert!(!ended(chord([call(1), Signature::new("t.fails")], Signature::new("t.sum"))).await);
    app.send(chord([call(1), call(2).countdown(3600.0)], Signature::new("t.sum"))).await.unwrap();
    app.send(group([call(1), call(2)])).await.unwrap().group().unwrap().save().await.unwrap();
    let retried = app.send(Signature::new("t.marks")).await.unwrap();
    while retried.state().await.unwrap() != State::Retry {
        tokio::task::yield_now().await;
    }
    for n in 0..3 {
        app.send(Signature::new("t.limited").arg(n).arg(n)).await.unwrap();
    }
    while app.broker().depth("celery").await.unwrap().limited < 2 {
        tokio::task::yield_now().await;
    }
    let unreadable = Outgoing { queue: "celery".into(), priority: 0, envelope: "no message".into() };
    app.broker().publish(&[unreadable]).await.unwrap();
    while app.broker().vitals().await.unwrap().dead_letters == 0 {
        tokio::task::yield_now().await;
    }
    let control = app.control();
    control.revoke(&["a".to_owned()]).await.unwrap();
    control.revoke_by_stamped_headers(Map::from_iter([("tenant".to_owned(), "t1".into())]), None).await.unwrap();
    assert_eq!(control.inspect().timeout(LONG).ping().await.unwrap().len(), 1);
}

/// Asks, and is gone before the answer comes.
async fn asks_in_vain(ground: &Ground) {
    let exchange = "reply.celery.pidbox";
    let expires = Duration::from_secs(10);
    ground.broker.bind(exchange, "gone", "gone.reply.celery.pidbox", expires).await.unwrap();
    let request = r#"{"body": "eyJtZXRob2QiOiAicGluZyIsICJhcmd1bWVudHMiOiB7fSwgInJlcGx5X3RvIjogeyJleGNoYW5nZSI6ICJyZXBseS5jZWxlcnkucGlkYm94IiwgInJvdXRpbmdfa2V5IjogImdvbmUifSwgInRpY2tldCI6ICIxIn0=", "content-type": "application/json", "content-encoding": "utf-8", "headers": {}, "properties": {"body_encoding": "base64"}}"#;
    ground.broker.broadcast("celery.pidbox", "", request).await.unwrap();
    while ground.broker.queue_len("gone.reply.celery.pidbox").await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_that_a_busy_fleet_leaves_behind_expires_or_has_an_owner() {
    let Some(ground) = Ground::plain_redis() else { return };
    let app = app(&ground);
    let (shutdown, stop, mut running) = (Shutdown::new(), CancellationToken::new(), JoinSet::new());
    let options = WorkerOptions { queues: vec!["celery".into()], concurrency: 3, nodename: "celery@test".into(), children: None };
    let worker = Worker::new(app.clone(), options).run(shutdown.clone());
    running.spawn(async move {
        let _ = worker.await.unwrap();
    });
    let options = BeatOptions { nodename: "beat@test".into(), max_interval: None, remote_control: None };
    running.spawn(Beat::new(app.clone(), options).run(stop.clone()));
    work(&app).await;
    asks_in_vain(&ground).await;
    while ground.broker.queue_len("ticks").await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let (rows, mut raw) = (Row::all(), ground.raw(0));
    let keys: Vec<String> = raw.scan().unwrap().collect::<Result<_, _>>().unwrap();
    let (mut lasting, mut wrong) = (0, Vec::new());
    for key in &keys {
        let ttl: i64 = raw.pttl(key).unwrap();
        lasting += usize::from(ttl == -1);
        match rows.iter().find(|row| row.names(key)) {
            // -2: it is gone by now.
            Some(row) if ttl != -1 || !row.expires => {}
            Some(_) => wrong.push(format!("{key:?} should expire")),
            None if key == "ticks" => {}
            None => wrong.push(format!("{key:?} is in no row")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    for row in &rows {
        let seen = keys.iter().any(|key| row.names(key));
        assert!(
            seen || row.patterns.iter().any(|pattern| pattern.contains("\\x06") || pattern == "unacked_mutex"),
            "{:?}",
            row.patterns
        );
    }
    assert!(lasting >= 10, "{keys:?}");
    app.control().terminate(&["held".to_owned()], "SIGTERM").await.unwrap();
    shutdown.warm();
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}
