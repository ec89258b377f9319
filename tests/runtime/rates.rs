//! Rate limits: how often tasks begin, on one worker and on all together.

use std::time::Duration;

use celeriac::config::{Rate, RateScope, Settings};
use celeriac::protocol::signature::Signature;
use celeriac::task::{Context, TaskError};
use tokio::time::Instant;

use super::control::{Client, object};
use super::house::House;

async fn nothing(_: Context, (): ()) -> Result<(), TaskError> {
    Ok(())
}

/// With a task of ten runs a second.
fn house(scope: RateScope) -> House {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    House::furnished(settings, |app| {
        app.task("t.limited_rate", nothing).rate_limit(Rate::per_second(10.0), scope);
    })
}

async fn send(house: &House, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(house.send(Signature::new("t.limited_rate")).await);
    }
    ids
}

/// How long it takes until all have ended.
async fn taken(house: &House, ids: &[String], since: Instant) -> Duration {
    for id in ids {
        house.ended(id).await;
    }
    since.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_limited_task_begins_at_its_rate_and_holds_nobody_up() {
    let house = house(RateScope::Worker);
    let worker = house.worker(1);
    let since = Instant::now();
    let ids = send(&house, 21).await;
    let other = house.send(Signature::new("t.add").arg(1).arg(1)).await;
    house.ended(&other).await;
    assert!(since.elapsed() < Duration::from_millis(50), "{:?}", since.elapsed());
    assert!(house.broker.leased_len() <= 1, "what waits for its turn is in nobody's hands");
    let time = taken(&house, &ids, since).await;
    assert!((2.0..2.1).contains(&time.as_secs_f64()), "{time:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_cluster_is_that_of_all_workers_and_each_workers_own_is_not() {
    for (scope, seconds) in [(RateScope::Cluster, 6.0), (RateScope::Worker, 2.0)] {
        let house = house(scope);
        let since = Instant::now();
        let ids = send(&house, 61).await;
        let workers = ["a@test", "b@test", "c@test"].map(|name| house.named(name, 1));
        let time = taken(&house, &ids, since).await.as_secs_f64();
        assert!((seconds - 0.2..seconds + 0.2).contains(&time), "{scope:?}: {time}");
        for worker in workers {
            worker.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_also_holds_for_what_waits_already() {
    let house = house(RateScope::Cluster);
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let set = |rate: &str| object([("task_name", "t.limited_rate".into()), ("rate_limit", rate.into())]);
    assert_eq!(client.says("rate_limit", set("1/h")).await, "new rate limit set successfully");
    let registered = client.call("registered", object([("taskinfoitems", ["rate_limit"].into())])).await;
    let shown = registered.as_list().unwrap().iter().filter_map(|line| line.as_str());
    assert_eq!(shown.filter(|line| line.contains("rate_limit")).collect::<Vec<_>>(), ["t.limited_rate [rate_limit=1/h]"]);
    let since = Instant::now();
    let ids = send(&house, 10).await;
    house.ended(&ids[0]).await;
    assert_eq!(client.says("rate_limit", set("0")).await, "rate limit disabled successfully");
    let time = taken(&house, &ids, since).await;
    assert!(time < Duration::from_secs(1), "{time:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_a_turn_of_its_own_and_limits_can_be_switched_off() {
    let mut settings = Settings::default();
    settings.task_default_rate_limit = Some(Rate::per_minute(1.0));
    let limited = House::with(settings.clone());
    let worker = limited.worker(1);
    let since = Instant::now();
    limited.call(Signature::new("t.flaky").arg(2)).await;
    assert!((120.0..121.0).contains(&since.elapsed().as_secs_f64()), "{:?}", since.elapsed());
    worker.stop().await;

    settings.worker_disable_rate_limits = true;
    let free = House::with(settings);
    let worker = free.worker(1);
    let since = Instant::now();
    free.call(Signature::new("t.flaky").arg(2)).await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    worker.stop().await;
}
