//! The worker that the load harness measures: `bench.noop`, `bench.add`, `bench.sum`, `bench.echo`, `bench.sleep`, `bench.burn`.
//!
//! `bench_worker --broker URL --backend URL -Q QUEUE -c CONCURRENCY`; `BENCH_ACKS_LATE=1` acks late, `BENCH_PREFETCH` sets the multiplier.
#![allow(clippy::disallowed_methods, reason = "an example is a program and reads its environment")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use celeriac::app::{App, AppBuilder};
use celeriac::config::{Seconds, Settings};
use celeriac::protocol::value::Value;
use celeriac::task::{Arguments, Context, TaskError};
use celeriac::worker::{Shutdown, Worker, WorkerOptions};

async fn noop(_: Context, _: Arguments) -> Result<(), TaskError> {
    Ok(())
}

async fn add(_: Context, (x, y): (f64, f64)) -> Result<f64, TaskError> {
    Ok(x + y)
}

async fn sum(_: Context, (values,): (Vec<i64>,)) -> Result<i64, TaskError> {
    Ok(values.iter().sum())
}

async fn echo(_: Context, (payload,): (Value,)) -> Result<Value, TaskError> {
    Ok(payload)
}

async fn sleep(_: Context, (ms,): (u64,)) -> Result<u64, TaskError> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(ms)
}

/// Computes for so long, and never awaits: what no async task should do, and some will.
async fn burn(_: Context, (ms,): (u64,)) -> Result<u64, TaskError> {
    let until = Instant::now() + Duration::from_millis(ms);
    let mut rounds = 0_u64;
    while Instant::now() < until {
        rounds = std::hint::black_box(rounds.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
    Ok(rounds)
}

/// The value after a flag, or of an environment variable.
fn option(flag: &str, variable: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|arg| arg != flag);
    args.nth(1).or_else(|| std::env::var(variable).ok())
}

fn queue() -> String {
    option("-Q", "BENCH_QUEUE").unwrap_or_else(|| "bench".to_owned())
}

fn app() -> AppBuilder {
    let mut settings = Settings::default();
    settings.broker_url = option("--broker", "BENCH_BROKER");
    settings.result_backend = option("--backend", "BENCH_BACKEND");
    settings.result_expires = Some(Seconds::new(3600.0));
    // A chord's body names no queue: it goes where the sender's default is, which is ours.
    settings.task_default_queue = queue();
    settings.task_acks_late = option("--acks-late", "BENCH_ACKS_LATE").is_some_and(|value| value == "1");
    if let Some(multiplier) = option("--prefetch", "BENCH_PREFETCH").and_then(|text| text.parse().ok()) {
        settings.worker_prefetch_multiplier = multiplier;
    }
    let mut app = App::builder(settings);
    app.task("bench.noop", noop);
    app.task("bench.add", add);
    app.task("bench.sum", sum);
    app.task("bench.echo", echo);
    app.task("bench.sleep", sleep);
    app.task("bench.burn", burn);
    app
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let shutdown = Shutdown::new();
    let run = async {
        let options = WorkerOptions {
            queues: vec![queue()],
            concurrency: option("-c", "BENCH_CONC").and_then(|text| text.parse().ok()).unwrap_or(2),
            nodename: format!("bench-{}@localhost", std::process::id()),
            children: None,
        };
        Worker::new(app().connect()?, options).run(shutdown.clone()).await
    };
    let signals = async {
        while tokio::signal::ctrl_c().await.is_ok() {
            shutdown.escalate();
        }
    };
    tokio::select! {
        ended = run => match ended {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the worker failed");
                ExitCode::FAILURE
            }
        },
        () = signals => ExitCode::FAILURE,
    }
}
