//! Stopping: what runs is finished or handed back, what has not begun is handed back in order.

use celeriac::broker::Broker;
use celeriac::config::Settings;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::worker::StopReason;

use super::house::House;

#[tokio::test(start_paused = true)]
async fn a_warm_stop_finishes_what_runs_and_hands_the_rest_back_in_order() {
    let house = House::new();
    let worker = house.worker(1);
    let running = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    let mut waiting = Vec::new();
    for n in 0..3 {
        waiting.push(house.send(Signature::new("t.echo").arg(n)).await);
    }
    worker.shutdown.warm();
    house.traces.release.notify_one();
    assert_eq!(worker.ended().await, StopReason::Warm);
    assert_eq!(house.state(&running).await.unwrap().status, State::Success);
    assert_eq!((house.broker.queue_len("celery").await.unwrap(), house.broker.leased_len()), (3, 0));

    let next = house.worker(1);
    let mut done = Vec::new();
    for id in &waiting {
        done.push(house.ended(id).await.date_done.unwrap().moment());
    }
    next.stop().await;
    assert!(done.is_sorted(), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cold_stop_hands_a_late_task_back() {
    let house = House::new();
    let worker = house.worker(1);
    let id = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    worker.shutdown.cold();
    assert_eq!(worker.ended().await, StopReason::Cold);
    assert_eq!((house.broker.queue_len("celery").await.unwrap(), house.broker.leased_len()), (1, 0));
    let next = house.worker(1);
    house.traces.begun.notified().await;
    house.traces.release.notify_one();
    assert_eq!(house.ended(&id).await.result, Value::Int(0), "a stop is no death");
    next.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cold_stop_says_that_an_early_task_was_cut_off() {
    let house = House::with(Settings::default());
    let worker = house.worker(1);
    let id = house.send(Signature::new("t.early")).await;
    house.traces.begun.notified().await;
    worker.shutdown.cold();
    worker.ended().await;
    assert_eq!(house.broker.queue_len("celery").await.unwrap(), 0);
    assert_eq!(house.state(&id).await.unwrap().status, State::Retry);
}
