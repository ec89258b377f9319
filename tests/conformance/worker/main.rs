//! The worker that Celery's integration suite is run against: it serves every task of `t/integration/tasks.py`, written against the
//! public API only, and some that die on purpose, for tests of faults.
//!
//! # Celery
//! `t/integration/tasks.py` of 5.7.0, one file of ours for each group of its tasks; the settings are those the suite gives its own worker.
#![allow(clippy::disallowed_methods, reason = "it is a program, and reads its environment")]
#![allow(clippy::disallowed_names, reason = "the suite's own names of arguments")]
#![allow(clippy::exit, clippy::print_stderr, reason = "it is a program, and some of its tasks are there to exit")]

mod basic;
mod callback;
mod chaos;
mod chord;
mod errback;
mod failure;
mod ids;
mod options;
mod python;
mod redis_client;
mod reject;
mod replace;
mod request;
mod retries;
mod settings;
mod signals;
mod signatures;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use celeriac::app::{App, AppBuilder};
use celeriac::pool::{CHILD_ARGUMENT, ChildPool, ChildPoolOptions, Sandbox, child_main};
use celeriac::worker::{Shutdown, Worker, WorkerOptions};

use self::settings::{Start, Trouble};

/// The module the suite's tasks and exceptions live in.
const MODULE: &str = "t.integration.tasks";

/// A task's name in Python.
fn name(task: &str) -> String {
    format!("{MODULE}.{task}")
}

fn register(app: &mut AppBuilder) {
    basic::register(app);
    callback::register(app);
    chaos::register(app);
    chord::register(app);
    errback::register(app);
    failure::register(app);
    ids::register(app);
    options::register(app);
    reject::register(app);
    replace::register(app);
    request::register(app);
    retries::register(app);
    signatures::register(app);
}

/// The children in which tasks die; nothing is kept from them, since they have to do harm.
fn children(size: usize) -> ChildPool {
    let mut options = ChildPoolOptions::this_program(size);
    options.sandbox = Sandbox::none();
    options.inherit_environment = true;
    ChildPool::new(options)
}

async fn serve(start: Start) -> Result<(), Trouble> {
    let shutdown = Shutdown::new();
    let _signals = signals::listen(shutdown.clone())?;
    let children = Arc::new(children(start.concurrency));
    let mut app = App::builder(start.settings);
    register(&mut app);
    app.written(start.written);
    app.state(redis_client::connect()?);
    let options = WorkerOptions {
        queues: start.queues,
        concurrency: start.concurrency,
        nodename: start.nodename,
        children: Some(Arc::clone(&children)),
    };
    let ended = Worker::new(app.connect()?, options).run(shutdown).await;
    children.close(Duration::from_secs(2)).await;
    ended?;
    Ok(())
}

fn run() -> Result<(), Trouble> {
    let start = settings::start()?;
    tracing_subscriber::fmt().with_max_level(start.level).with_writer(std::io::stderr).with_ansi(false).init();
    for note in &start.notes {
        tracing::info!("{note}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(start));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == CHILD_ARGUMENT) {
        return child_main(chaos::functions());
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("conformance_worker: {trouble}");
            ExitCode::FAILURE
        }
    }
}
