//! A worker on the crate `celery` 0.5.5 that offers the tasks of `benches/celery`: rusty_celery BROKER_URL QUEUE PREFETCH
//!
//! It stores no results (the crate has no result backend), so only the scenarios whose tasks ignore theirs can be measured.

// The crate's macro puts its impls where newer compilers warn.
#![allow(non_local_definitions)]

use celery::prelude::*;

#[celery::task(name = "bench.noop")]
async fn noop() -> TaskResult<()> {
    Ok(())
}

#[celery::task(name = "bench.add")]
async fn add(x: i64, y: i64) -> TaskResult<i64> {
    Ok(x + y)
}

#[celery::task(name = "bench.sleep")]
async fn sleep(ms: u64) -> TaskResult<u64> {
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    Ok(ms)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or_else(|| anyhow::anyhow!("usage: rusty_celery BROKER_URL QUEUE PREFETCH ({what} is missing)"));
    let (broker, queue, prefetch) = (next("BROKER_URL")?, next("QUEUE")?, next("PREFETCH")?.parse::<u16>()?);
    let app = celery::app!(
        broker = RedisBroker { broker },
        tasks = [noop, add, sleep],
        task_routes = [],
        prefetch_count = prefetch,
        default_queue = &queue,
    )
    .await?;
    app.consume().await?;
    Ok(())
}
