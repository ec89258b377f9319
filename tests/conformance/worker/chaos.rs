//! Tasks that die, for tests of faults: each does to its child process what it says; `chaos.kill_worker` does it to the worker itself.
//!
//! All are acked late, so that a worker's death gives their message back.

use std::process::{abort, exit};
use std::thread::sleep;
use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::pool::{Failure, Functions, Isolated};
use celeriac::protocol::Value;
use celeriac::task::{Context, TaskError};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::redis_client;

const ABORT: Isolated<(), ()> = Isolated::new("chaos.abort");
const SEGV: Isolated<(), ()> = Isolated::new("chaos.segv");
const EXIT: Isolated<Exit, ()> = Isolated::new("chaos.exit");
const HANG: Isolated<Hang, ()> = Isolated::new("chaos.hang");
const ALLOC: Isolated<Alloc, usize> = Isolated::new("chaos.alloc");
/// Called by a task of another kind: the child has no connection to Redis.
const KILL: Isolated<(), ()> = Isolated::new("chaos.kill");

pub(crate) fn register(app: &mut AppBuilder) {
    app.isolated_task(&ABORT).acks_late();
    app.isolated_task(&SEGV).acks_late();
    app.isolated_task(&EXIT).acks_late();
    app.isolated_task(&HANG).acks_late();
    app.isolated_task(&ALLOC).acks_late();
    app.task("chaos.kill_child", kill_child).acks_late();
    app.task("chaos.kill_worker", kill_worker).acks_late();
}

/// What runs in the children.
pub(crate) fn functions() -> Functions {
    Functions::new()
        .with(&ABORT, |_| Ok(|()| -> Result<(), Failure> { abort() }))
        .with(&SEGV, |_| Ok(|()| signal(Signal::SEGV)))
        .with(&EXIT, |_| Ok(|Exit { code }| -> Result<(), Failure> { exit(code) }))
        .with(&HANG, |_| Ok(hang))
        .with(&ALLOC, |_| Ok(allocate))
        .with(&KILL, |_| Ok(|()| signal(Signal::KILL)))
}

#[derive(Serialize, Deserialize)]
struct Exit {
    code: i32,
}

#[derive(Serialize, Deserialize)]
struct Hang {
    seconds: f64,
}

#[derive(Serialize, Deserialize)]
struct Alloc {
    mib: usize,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

async fn kill_child(ctx: Context, Key { key }: Key) -> Result<(), TaskError> {
    tell(&ctx, &key).await?;
    Ok(ctx.isolated(&KILL, ()).await?)
}

async fn kill_worker(ctx: Context, Key { key }: Key) -> Result<(), TaskError> {
    tell(&ctx, &key).await?;
    Ok(kill_process(getpid(), Signal::KILL)?)
}

/// Says that it is about to die, once for each run.
async fn tell(ctx: &Context, key: &str) -> Result<(), TaskError> {
    redis_client::push(ctx, key, &Value::from(ctx.request().id())).await
}

/// Sends its own process a signal, twice: Rust's handler of SIGSEGV lets the first pass and expects the fault to come again.
fn signal(signal: Signal) -> Result<(), Failure> {
    kill_process(getpid(), signal)?;
    Ok(kill_process(getpid(), signal)?)
}

/// Sleeps without looking at anything, as native code that hangs.
fn hang(Hang { seconds }: Hang) -> Result<(), Failure> {
    sleep(Duration::try_from_secs_f64(seconds)?);
    Ok(())
}

/// Holds so much memory, every page of it written to; how many bytes.
fn allocate(Alloc { mib }: Alloc) -> Result<usize, Failure> {
    let memory = vec![1_u8; mib << 20];
    Ok(memory.iter().map(|&byte| usize::from(byte)).sum())
}
