//! A worker for a mixed fleet: it serves, under the same names, tasks that a Python application has too (`tests/interop/proj.py`).
//!
//! `interop_worker worker -Q a,b -c 4 -n name@%h`, with `CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND` in the environment.
#![allow(clippy::disallowed_methods, reason = "an example is a program and reads its environment")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use celeriac::app::{App, AppBuilder};
use celeriac::config::Settings;
use celeriac::task::{Context, TaskError};
use celeriac::worker::{Shutdown, Worker, WorkerOptions};
use tokio::signal::unix::{SignalKind, signal};

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

/// The value after a flag.
fn flag(name: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != name).nth(1)
}

fn app() -> AppBuilder {
    let mut settings = Settings::default();
    settings.broker_url = std::env::var("CELERY_BROKER_URL").ok();
    settings.result_backend = std::env::var("CELERY_RESULT_BACKEND").ok();
    settings.task_acks_late = true;
    settings.worker_prefetch_multiplier = 1;
    let mut app = App::builder(settings);
    app.task("proj.add", add);
    app.task("proj.xsum", xsum);
    app.task("proj.side", side);
    app.task("proj.collect", collect);
    app
}

/// TERM stops warmly, a second one cold.
async fn stop_on_term(shutdown: Shutdown) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    while term.recv().await.is_some() {
        shutdown.escalate();
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let shutdown = Shutdown::new();
    let options = WorkerOptions {
        queues: flag("-Q").unwrap_or_else(|| "celery".to_owned()).split(',').map(ToOwned::to_owned).collect(),
        concurrency: flag("-c").and_then(|text| text.parse().ok()).unwrap_or(2),
        nodename: flag("-n").unwrap_or_else(|| "celeriac@%h".to_owned()).replace("%h", "localhost"),
        children: None,
    };
    let run = async { Worker::new(app().connect()?, options).run(shutdown.clone()).await };
    tokio::select! {
        ended = run => match ended {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the worker failed");
                ExitCode::FAILURE
            }
        },
        _ = stop_on_term(shutdown.clone()) => ExitCode::FAILURE,
    }
}
