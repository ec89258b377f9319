//! Stopping: what runs is finished or handed back, what has not begun is handed back in order.

use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::config::{Seconds, Settings};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::worker::{Stage, StopReason};

use super::house::{House, Running};

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

fn late() -> Settings {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    settings
}

fn soft(seconds: f64) -> Settings {
    let mut settings = late();
    settings.worker_soft_shutdown_timeout = Seconds::new(seconds);
    settings
}

fn within(grace: f64) -> Settings {
    let mut settings = late();
    settings.celeriac.shutdown_grace = Some(Seconds::new(grace));
    settings
}

/// A worker of one slot that runs a blocking task; the task's id.
async fn blocked(house: &House) -> (Running, String) {
    let worker = house.worker(1);
    let id = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    (worker, id)
}

/// How many seconds it took to end, and why it did.
async fn ended(worker: Running, since: tokio::time::Instant) -> (StopReason, f64) {
    let reason = worker.ended().await;
    (reason, (since.elapsed().as_secs_f64() * 10.0).round() / 10.0)
}

async fn queued_and_leased(house: &House) -> (usize, usize) {
    (house.broker.queue_len("celery").await.unwrap(), house.broker.leased_len())
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_waits_for_what_runs_and_no_longer() {
    let house = House::with(soft(10.0));
    let (worker, id) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.cold();
    tokio::time::sleep(Duration::from_secs(4)).await;
    house.traces.release.notify_one();
    assert_eq!(ended(worker, since).await, (StopReason::Warm, 4.0));
    assert_eq!(house.state(&id).await.unwrap().status, State::Success);
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_cuts_off_what_takes_longer() {
    let house = House::with(soft(10.0));
    let (worker, _) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.cold();
    assert_eq!(ended(worker, since).await, (StopReason::Cold, 10.0));
    assert_eq!(queued_and_leased(&house).await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_further_signal_cuts_a_soft_stop_short() {
    let house = House::with(soft(10.0));
    let (worker, _) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.cold();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(worker.shutdown.escalate(), Stage::Cold);
    assert_eq!(ended(worker, since).await, (StopReason::Cold, 2.0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_has_no_soft_stop_unless_the_settings_say_so() {
    for (on_idle, seconds) in [(false, 0.0), (true, 10.0)] {
        let mut settings = soft(10.0);
        settings.worker_enable_soft_shutdown_on_idle = on_idle;
        let house = House::with(settings);
        let worker = house.worker(1);
        house.call(Signature::new("t.echo")).await;
        let since = tokio::time::Instant::now();
        worker.shutdown.cold();
        assert_eq!(ended(worker, since).await, (StopReason::Warm, seconds), "{on_idle}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_stop_turns_cold_before_its_grace_is_over() {
    let house = House::with(within(30.0));
    let (worker, id) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.warm();
    assert_eq!(ended(worker, since).await, (StopReason::Cold, 25.0));
    assert_eq!(queued_and_leased(&house).await, (1, 0));
    let next = house.worker(1);
    house.traces.begun.notified().await;
    house.traces.release.notify_one();
    assert_eq!(house.ended(&id).await.result, Value::Int(0), "a stop is no death");
    next.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_ends_with_the_grace() {
    let mut settings = within(30.0);
    settings.worker_soft_shutdown_timeout = Seconds::new(600.0);
    let house = House::with(settings);
    let (worker, _) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.warm();
    tokio::time::sleep(Duration::from_secs(20)).await;
    worker.shutdown.cold();
    assert_eq!(ended(worker, since).await, (StopReason::Cold, 25.0));
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_a_warm_stop_takes_as_long_as_its_tasks() {
    let house = House::new();
    let (worker, _) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.warm();
    tokio::time::sleep(Duration::from_secs(7200)).await;
    house.traces.release.notify_one();
    assert_eq!(ended(worker, since).await, (StopReason::Warm, 7200.0));
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_leaves_what_is_held_to_its_lease() {
    let house = House::new();
    let (worker, id) = blocked(&house).await;
    let since = tokio::time::Instant::now();
    worker.shutdown.hard();
    assert_eq!(ended(worker, since).await, (StopReason::Hard, 0.0));
    assert_eq!(queued_and_leased(&house).await, (0, 1));
    let next = house.worker(1);
    house.traces.begun.notified().await;
    house.traces.release.notify_one();
    assert_eq!(house.ended(&id).await.result, Value::Int(1), "it counts as a death");
    next.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_worker_finishes_what_it_has_and_fetches_nothing_more() {
    let house = House::new();
    let (worker, running) = blocked(&house).await;
    worker.shutdown.quiet();
    let next = house.send(Signature::new("t.echo").arg(1)).await;
    house.traces.release.notify_one();
    assert_eq!(house.ended(&running).await.status, State::Success);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((queued_and_leased(&house).await, house.state(&next).await), ((1, 0), None));
    assert_eq!(worker.stop().await, StopReason::Warm);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_a_warm_stop_that_says_so() {
    let house = House::new();
    let (worker, id) = blocked(&house).await;
    worker.shutdown.restart();
    house.traces.release.notify_one();
    assert_eq!(worker.ended().await, StopReason::Restart);
    assert_eq!(house.state(&id).await.unwrap().status, State::Success);
}

#[tokio::test(start_paused = true)]
async fn several_tasks_cut_off_go_back_to_the_head_in_their_order() {
    let house = House::new();
    let worker = house.worker(3);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(house.send(Signature::new("t.blocks")).await);
        house.traces.begun.notified().await;
    }
    ids.push(house.send(Signature::new("t.blocks")).await);
    worker.shutdown.cold();
    assert_eq!(worker.ended().await, StopReason::Cold);
    assert_eq!(queued_and_leased(&house).await, (4, 0));

    let next = house.worker(1);
    let mut done = Vec::new();
    for id in &ids {
        house.traces.begun.notified().await;
        house.traces.release.notify_one();
        done.push(house.ended(id).await.date_done.unwrap().moment());
    }
    next.stop().await;
    assert!(done.is_sorted(), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_not_begun_is_handed_back_at_once_and_not_when_the_last_task_ends() {
    let house = House::new();
    let worker = house.worker(1);
    // Short tasks make it hold more than it runs.
    for _ in 0..20 {
        house.call(Signature::new("t.echo")).await;
    }
    let running = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    house.send(Signature::new("t.echo")).await;
    while house.broker.leased_len() < 2 {
        tokio::task::yield_now().await;
    }
    let since = tokio::time::Instant::now();
    worker.shutdown.warm();
    while house.broker.leased_len() == 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(since.elapsed() < Duration::from_millis(20), "{:?}", since.elapsed());
    assert_eq!(queued_and_leased(&house).await, (1, 1));
    house.traces.release.notify_one();
    assert_eq!(worker.ended().await, StopReason::Warm);
    assert_eq!(house.state(&running).await.unwrap().status, State::Success);
}
