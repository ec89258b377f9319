//! How much a worker takes on: what it holds, and what it leaves to others.

use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::config::{Autoscale, Seconds, Settings};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::Value;
use tokio::time::Instant;

use super::control::{Client, object};
use super::house::House;

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_behind_a_long_task_goes_to_an_idle_neighbour() {
    let house = House::new();
    let busy = house.worker(1);
    // Short tasks: from now on it holds messages beside the one that runs.
    for _ in 0..20 {
        let id = house.send(Signature::new("t.add").arg(1).arg(1)).await;
        house.ended(&id).await;
    }
    let mut ids = vec![house.send(Signature::new("t.blocks")).await];
    for n in 0..3 {
        ids.push(house.send(Signature::new("t.echo").arg(n)).await);
    }
    // Time stands still while somebody has something to do: nobody has lost patience yet.
    while house.broker.leased_len() < 4 {
        tokio::task::yield_now().await;
    }

    let (idle, since) = (house.worker(1), Instant::now());
    let mut done = Vec::new();
    for id in &ids[1..] {
        done.push(house.ended(id).await.date_done.unwrap().moment());
    }
    assert!(since.elapsed() < Duration::from_millis(50), "a slot was idle for {:?}", since.elapsed());
    assert!(done.is_sorted(), "they came back in their order: {done:?}");
    assert_eq!(house.broker.leased_len(), 1);
    house.traces.release.notify_one();
    house.ended(&ids[0]).await;
    busy.stop().await;
    idle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_long_tasks_takes_only_what_it_can_run() {
    let house = House::new();
    let worker = house.worker(2);
    for _ in 0..5 {
        house.send(Signature::new("t.blocks")).await;
    }
    house.traces.begun.notified().await;
    house.traces.begun.notified().await;
    assert_eq!((house.broker.leased_len(), house.broker.queue_len("celery").await.unwrap()), (2, 3));
    (0..2).for_each(|_| house.traces.release.notify_one());
    worker.shutdown.cold();
    worker.ended().await;
}

/// The slots, as `stats` shows them.
async fn slots(client: &mut Client<'_>) -> i64 {
    let stats = client.call("stats", Value::map()).await;
    stats.get("pool").and_then(|pool| pool.get("max-concurrency")).and_then(Value::as_i64).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_sizes_itself_grows_with_the_queue_and_shrinks_when_it_is_empty() {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    settings.celeriac.autoscale = Some(Autoscale { max: 8, min: 2 });
    settings.celeriac.autoscaling_interval = Seconds::new(30.0);
    let house = House::with(settings);
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    assert_eq!(slots(&mut client).await, 2);
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(house.send(Signature::new("t.sleeps").arg(5)).await);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let stats = client.call("stats", Value::map()).await;
    let scaler = stats.get("autoscaler").unwrap();
    let shown = ["max", "min", "current", "qty"].map(|name| scaler.get(name).and_then(Value::as_i64).unwrap());
    assert_eq!(shown, [8, 2, 8, 8]);
    let said = client.says("autoscale", object([("max", 4.into()), ("min", Value::Null)])).await;
    assert_eq!(said, "autoscale now max=4 min=2");
    assert!(client.says("pool_grow", Value::map()).await.contains("not supported with autoscale"));
    for id in &ids {
        house.ended(id).await;
    }
    assert_eq!(slots(&mut client).await, 4);
    tokio::time::sleep(Duration::from_secs(32)).await;
    assert_eq!(slots(&mut client).await, 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_high_priority_is_served_first_and_starves_no_low_one() {
    let house = House::new();
    let mut low = Vec::new();
    for priority in [9, 6, 3] {
        let mut signature = Signature::new("t.sleeps").arg(1);
        signature.set_option("priority", priority);
        low.push((priority, house.send(signature).await));
    }
    let mut high = Vec::new();
    for _ in 0..200 {
        high.push(house.send(Signature::new("t.sleeps").arg(1)).await);
    }
    let worker = house.worker(1);
    for (priority, id) in &low {
        house.ended(id).await;
        let mut before = 0;
        for id in &high {
            before += usize::from(house.state(id).await.is_some());
        }
        // Each lower step gives one message while two hundred of the first one wait, and none of them comes soon.
        assert!((9..50).contains(&before), "priority {priority} ran after {before} of priority 0");
    }
    for id in &high {
        house.ended(id).await;
    }
    worker.stop().await;
}
