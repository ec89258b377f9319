//! A worker for a mixed fleet: it serves, under the same names, tasks that a Python application has too (`tests/interop/proj.py`).
//!
//! `interop_worker worker -Q a,b -c 4 -n name@%h`, with `CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND` in the environment.
#![allow(clippy::exit, clippy::disallowed_methods, reason = "some of its tasks are there to exit")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::canvas::{chain, chord, group};
use celeriac::cli::Program;
use celeriac::pool::{Failure, Functions, Isolated};
use celeriac::protocol::exception::Exception;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::{Map, Value};
use celeriac::task::{Arguments, Context, TaskError};
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn add(_: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
    Ok(x + y)
}

async fn xsum(_: Context, (numbers,): (Vec<i64>,)) -> Result<i64, TaskError> {
    Ok(numbers.iter().sum())
}

async fn side(_: Context, (x,): (i64,)) -> Result<(i64, &'static str), TaskError> {
    Ok((x, "celeriac"))
}

async fn collect(_: Context, (pairs,): (Vec<(i64, String)>,)) -> Result<BTreeMap<String, Vec<i64>>, TaskError> {
    let mut sides = BTreeMap::from([("python".to_owned(), Vec::new()), ("celeriac".to_owned(), Vec::new())]);
    for (x, by) in pairs {
        sides.entry(by).or_default().push(x);
    }
    sides.values_mut().for_each(|numbers| numbers.sort_unstable());
    Ok(sides)
}

#[derive(Deserialize)]
struct Part {
    x: i64,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    fails: bool,
}

/// Takes its time, then returns its number or fails.
async fn part(_: Context, Part { x, seconds, fails }: Part) -> Result<i64, TaskError> {
    tokio::time::sleep(Duration::try_from_secs_f64(seconds)?).await;
    if fails { Err(TaskError::builtin("ValueError", format!("part {x}"))) } else { Ok(x) }
}

async fn echo(_: Context, call: Arguments) -> Result<Value, TaskError> {
    Ok(Value::List(vec![Value::List(call.args), Value::Map(call.kwargs)]))
}

/// Fails with its last argument.
async fn fails(_: Context, mut call: Arguments) -> Result<(), TaskError> {
    Err(TaskError::failure(Exception::new("builtins", "ValueError", call.args.pop().into_iter().collect())))
}

/// An errback of the old style: of one argument, so both sides send it as a message.
async fn told(_: Context, (task_id,): (String,)) -> Result<String, TaskError> {
    Ok(task_id)
}

/// Fails until it was retried so often.
async fn flaky(ctx: Context, (failures,): (u32,)) -> Result<u32, TaskError> {
    let retries = ctx.request().retries();
    if retries < failures {
        return Err(ctx.retry(TaskError::builtin("ConnectionError", "not yet")).countdown(Duration::from_millis(10)));
    }
    Ok(retries)
}

/// Says what its message said of it, and which side has run it.
async fn request(ctx: Context, _: Arguments) -> Result<Map, TaskError> {
    let message = &ctx.request().message;
    Ok(Map::from_iter([
        ("by".to_owned(), Value::from("celeriac")),
        ("priority".to_owned(), Value::Int(message.properties.priority)),
        ("retries".to_owned(), Value::from(u64::from(message.headers.retries))),
        ("root_id".to_owned(), Value::from(ctx.request().root_id())),
        ("parent_id".to_owned(), ctx.request().parent_id().map_or(Value::Null, Value::from)),
        ("stamped_headers".to_owned(), message.headers.stamped_headers.iter().flatten().map(Value::from).collect()),
        ("stamps".to_owned(), Value::Map(message.headers.stamps.clone())),
    ]))
}

/// Is replaced by a canvas of this kind, whose tasks go to `queue`.
async fn replaced(ctx: Context, (kind, x, queue): (String, i64, String)) -> Result<i64, TaskError> {
    let add = |y: i64| Signature::new("proj.add").arg(y).set("queue", queue.clone());
    let with = match kind.as_str() {
        "task" => add(x).arg(1),
        "chain" => chain([add(x).arg(1), add(2)]),
        "group" => group([add(x).arg(1), add(x).arg(2)]),
        "chord" => chord([add(x).arg(1), add(x).arg(2)], Signature::new("proj.xsum").set("queue", queue.clone())),
        other => return Err(TaskError::builtin("ValueError", format!("no canvas of the kind {other:?}"))),
    };
    Err(ctx.replace(with))
}

/// Takes its time without ever letting another task have its thread.
async fn busy(_: Context, (seconds,): (f64,)) -> Result<(), TaskError> {
    std::thread::sleep(Duration::try_from_secs_f64(seconds)?);
    Ok(())
}

#[derive(Deserialize)]
struct Logged {
    /// The port of a Redis that keeps the log; nothing else does.
    port: u16,
    x: i64,
    seconds: f64,
}

/// Says in a log of its own when it begins and when it has ended. It says the latter and ends in one step, so that nothing can come between.
async fn logged(_: Context, Logged { port, x, seconds }: Logged) -> Result<i64, TaskError> {
    let mut log = begin(port, x).await?;
    tokio::time::sleep(Duration::try_from_secs_f64(seconds)?).await;
    log.write_all(entry("ended", x).as_bytes()).await?;
    Ok(x)
}

/// Says that it begins, and hears that this is written down.
async fn begin(port: u16, x: i64) -> std::io::Result<TcpStream> {
    let mut log = TcpStream::connect(("127.0.0.1", port)).await?;
    log.write_all(entry("begun", x).as_bytes()).await?;
    let _ = log.read(&mut [0; 64]).await?;
    Ok(log)
}

/// An entry of the log, with the process that writes it; the server adds the time.
fn entry(what: &str, x: i64) -> String {
    format!("XADD log * {what} {x} pid {}\r\n", std::process::id())
}

#[derive(Deserialize)]
struct Poisoned {
    /// As in [`Logged`].
    port: u16,
    x: i64,
    kind: Death,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Death {
    Abort,
    Segv,
    /// An instruction the processor does not know.
    Ill,
    /// Calls itself until its stack is full.
    Overflow,
    Exit,
    /// Says that all is well, and is gone.
    Zero,
    /// As the kernel does when memory is short.
    Kill,
    /// Asks for more memory than its limit allows.
    Oom,
    Hang,
    /// Stands still, as one that a debugger has stopped.
    Stop,
    /// Takes the whole worker along.
    Worker,
}

/// Says in the log that it begins, then kills the process it runs in.
async fn poisoned(ctx: Context, Poisoned { port, x, kind }: Poisoned) -> Result<(), TaskError> {
    begin(port, x).await?;
    match kind {
        Death::Worker => Ok(kill_process(getpid(), Signal::KILL)?),
        kind => Ok(ctx.isolated(&DEATHS, kind).await?),
    }
}

fn die(kind: Death) -> Result<(), Failure> {
    match kind {
        Death::Abort => std::process::abort(),
        Death::Exit => std::process::exit(3),
        Death::Zero => std::process::exit(0),
        Death::Overflow => drop(deeper(0)),
        // Twice: Rust's handler lets the first pass and expects the fault to come again.
        Death::Segv => kill_process(getpid(), Signal::SEGV).and_then(|()| kill_process(getpid(), Signal::SEGV))?,
        Death::Ill => kill_process(getpid(), Signal::ILL)?,
        Death::Stop => kill_process(getpid(), Signal::STOP)?,
        Death::Kill | Death::Worker => kill_process(getpid(), Signal::KILL)?,
        Death::Oom => {
            let limit = Rlimit { current: Some(1 << 30), maximum: Some(1 << 30) };
            setrlimit(Resource::As, limit)?;
            std::mem::forget(vec![1_u8; 2 << 30]);
        }
        Death::Hang => std::thread::sleep(Duration::from_secs(3600)),
    }
    Ok(())
}

/// Never comes back; what it adds to keeps the call from being the last thing it does.
#[allow(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let page = std::hint::black_box([depth; 512]);
    deeper(depth + 1) + page[0]
}

const DEATHS: Isolated<Death, ()> = Isolated::new("proj.deaths");
const SLEEPS: Isolated<Sleeps, u32> = Isolated::new("proj.child_sleeps");
const EXITS: Isolated<Exits, ()> = Isolated::new("proj.child_exits");
const DIES: Isolated<(), ()> = Isolated::new("proj.child_dies");
const GROWS: Isolated<Grows, u32> = Isolated::new("proj.child_grows");

#[derive(Serialize, Deserialize)]
struct Sleeps {
    seconds: f64,
}

#[derive(Serialize, Deserialize)]
struct Exits {
    code: i32,
}

#[derive(Serialize, Deserialize)]
struct Grows {
    mib: usize,
}

/// Whole tasks in child processes, as Celery's pool runs them all; those that return say in which process they ran.
fn functions() -> Functions {
    Functions::new()
        .with(&SLEEPS, |_| {
            Ok(|Sleeps { seconds }| {
                std::thread::sleep(Duration::try_from_secs_f64(seconds)?);
                Ok::<_, Failure>(std::process::id())
            })
        })
        .with(&EXITS, |_| Ok(|Exits { code }| -> Result<(), Failure> { std::process::exit(code) }))
        .with(&DEATHS, |_| Ok(die))
        .with(&DIES, |_| Ok(|()| -> Result<(), Failure> { std::process::abort() }))
        .with(&GROWS, |_| {
            Ok(|Grows { mib }| {
                // Kept: its process stays as large.
                std::mem::forget(vec![1_u8; mib << 20]);
                Ok::<_, Failure>(std::process::id())
            })
        })
}

fn tasks(app: &mut AppBuilder) {
    app.settings().task_acks_late = true;
    app.settings().worker_prefetch_multiplier = 1;
    app.task("proj.add", add);
    app.task("proj.xsum", xsum);
    app.task("proj.side", side);
    app.task("proj.collect", collect);
    app.task("proj.part", part);
    app.task("proj.echo", echo);
    app.task("proj.fails", fails);
    app.task("proj.told", told);
    app.task("proj.flaky", flaky).max_retries(10);
    app.task("proj.request", request);
    app.task("proj.replaced", replaced);
    app.task("proj.early", part).acks_early();
    app.task("proj.busy", busy);
    app.task("proj.logged", logged);
    app.task("proj.logged_early", logged).acks_early();
    app.task("proj.poisoned", poisoned).reject_on_worker_lost().acks_on_timeout(false);
    app.isolated_task(&SLEEPS);
    app.isolated_task(&EXITS);
    app.isolated_task(&DIES);
    app.isolated_task(&GROWS);
}

fn main() -> ExitCode {
    Program::new(tasks).functions(functions).main()
}
