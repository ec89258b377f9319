//! Unique tasks: one of a kind at a time, and no lock that outlives whoever held it.

use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::canvas::{chain, chord};
use celeriac::config::Settings;
use celeriac::protocol::meta::Meta;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};

use super::house::{House, Running};

fn blocking() -> Signature {
    Signature::new("t.blocks").unique_key("k")
}

/// A task that is running, and blocks.
async fn begun(house: &House, signature: Signature) -> String {
    let id = house.send(signature).await;
    house.traces.begun.notified().await;
    id
}

/// What a duplicate of `holder` ends in.
fn refused(meta: &Meta, holder: &str) {
    let exception = meta.exception().unwrap();
    assert_eq!(meta.status, State::Failure);
    assert_eq!((exception.exc_module.as_str(), exception.exc_type.as_str()), ("celery.exceptions", "Reject"));
    assert_eq!(exception.exc_message, [Value::from(format!("duplicate of {holder}")), Value::Bool(false)]);
}

/// The key is free: another runs, and ends.
async fn runs_again(house: &House, signature: Signature) {
    let id = begun(house, signature).await;
    house.traces.release.notify_one();
    assert_eq!(house.ended(&id).await.status, State::Success);
}

async fn stop(house: &House, worker: Running) {
    worker.stop().await;
    assert_eq!((house.broker.leased_len(), house.broker.queue_len("celery").await.unwrap()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn duplicates_of_a_running_task_are_refused_and_afterwards_it_runs_again() {
    for house in [House::new(), House::apart(), House::with(Settings::default())] {
        let worker = house.worker(2);
        let first = begun(&house, blocking()).await;
        for _ in 0..10 {
            refused(&house.call(blocking()).await, &first);
        }
        assert_eq!(house.call(Signature::new("t.echo").unique_key("k")).await.status, State::Success, "a key is its task's own");
        house.traces.release.notify_one();
        assert_eq!(house.ended(&first).await.status, State::Success);
        assert_eq!(house.traces.runs(), 1);
        runs_again(&house, blocking()).await;
        stop(&house, worker).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_that_wait_in_the_queue_the_first_runs() {
    let house = House::new();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(house.send(blocking()).await);
    }
    let workers = [house.named("a@test", 1), house.named("b@test", 1)];
    house.traces.begun.notified().await;
    for id in &ids[1..] {
        refused(&house.ended(id).await, &ids[0]);
    }
    house.traces.release.notify_one();
    assert_eq!((house.ended(&ids[0]).await.status, house.traces.runs()), (State::Success, 1));
    for worker in workers {
        stop(&house, worker).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_may_be_unique_by_its_arguments_as_its_author_or_its_deployment_says() {
    let mut annotated = Settings::default();
    annotated.task_annotations = serde_json::from_str(r#"{"t.sleeps": {"unique": true, "unique_for": 5}}"#).unwrap();
    let authored = House::furnished(Settings::default(), |app| {
        app.task("t.once", |_: Context, (seconds,): (u64,)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, TaskError>(seconds)
        })
        .unique()
        .unique_for(Duration::from_secs(5));
    });
    for (house, task) in [(House::with(annotated), "t.sleeps"), (authored, "t.once")] {
        let worker = house.worker(4);
        let call = |seconds: i64| Signature::new(task).arg(seconds);
        let first = house.send(call(8)).await;
        assert_eq!(house.call(call(1)).await.status, State::Success, "that is another call");
        refused(&house.call(call(8)).await, &first);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let second = house.send(call(8)).await;
        assert_eq!(house.ended(&first).await.status, State::Success);
        refused(&house.call(call(8)).await, &second);
        assert_eq!(house.ended(&second).await.status, State::Success, "the first has held its key for long enough");
        stop(&house, worker).await;
    }
}

/// The wall clock is not paused, and an ETA is of the wall clock.
#[tokio::test]
async fn a_task_that_waits_for_its_retry_or_its_time_keeps_its_key() {
    for late in [true, false] {
        let mut settings = Settings::default();
        settings.task_acks_late = late;
        let house = House::with(settings);
        let worker = house.worker(2);
        let flaky = || Signature::new("t.flaky").arg(1).unique_key("k");
        let first = house.send(flaky()).await;
        while house.state(&first).await.is_none_or(|meta| meta.status != State::Retry) {
            tokio::task::yield_now().await;
        }
        refused(&house.call(flaky()).await, &first);
        assert_eq!(house.ended(&first).await.status, State::Success);
        assert_eq!((house.call(flaky()).await.status, house.traces.runs()), (State::Success, 4));

        let scheduled = parked(&house, flaky().countdown(4.0).unique_for(0.2)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        refused(&house.call(flaky()).await, &scheduled);
        assert_eq!(house.ended(&scheduled).await.status, State::Success);
        stop(&house, worker).await;
    }
}

/// A task that waits for its time.
async fn parked(house: &House, signature: Signature) -> String {
    let id = house.send(signature).await;
    while house.broker.parked_len() == 0 {
        tokio::task::yield_now().await;
    }
    id
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_worker_dies_runs_once_more_and_frees_its_key() {
    let house = House::new();
    let first_worker = house.worker(2);
    let first = begun(&house, blocking()).await;
    first_worker.dies().await;
    let duplicate = house.send(blocking()).await;
    let heir = house.named("heir@test", 2);
    refused(&house.ended(&duplicate).await, &first);
    house.traces.begun.notified().await;
    house.traces.release.notify_one();
    assert_eq!((house.ended(&first).await.result, house.traces.runs()), (Value::Int(1), 2));
    runs_again(&house, blocking()).await;
    stop(&house, heir).await;
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_run_that_was_acked_early_is_free_soon_after_its_worker_died() {
    let house = House::new();
    let early = || Signature::new("t.early").unique_key("k");
    let dying = house.worker(2);
    let first = begun(&house, early()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    refused(&house.call(early()).await, &first);
    dying.dies().await;
    let last = house.named("last@test", 1);
    refused(&house.call(early()).await, &first);
    tokio::time::sleep(Duration::from_secs(13)).await;
    runs_again(&house, early()).await;
    assert_eq!(house.traces.runs(), 2, "what was acked early is lost with its worker, as in Celery");
    stop(&house, last).await;
}

#[tokio::test(start_paused = true)]
async fn a_cold_stop_frees_the_key_of_what_it_cuts_off_and_keeps_that_of_what_runs_again() {
    for (task, late) in [("t.early", false), ("t.blocks", true)] {
        let house = House::new();
        let call = || Signature::new(task).unique_key("k");
        let worker = house.worker(2);
        let first = begun(&house, call()).await;
        worker.shutdown.cold();
        worker.ended().await;
        let next = house.worker(2);
        let second = house.send(call()).await;
        if late {
            refused(&house.ended(&second).await, &first);
        }
        house.traces.begun.notified().await;
        house.traces.release.notify_one();
        assert_eq!(house.ended(if late { &first } else { &second }).await.status, State::Success);
        stop(&house, next).await;
    }
}

#[tokio::test]
async fn one_that_is_revoked_keeps_its_key_only_if_it_runs_already() {
    let house = House::new();
    let worker = house.worker(2);
    let first = parked(&house, blocking().countdown(3600.0)).await;
    refused(&house.call(blocking()).await, &first);
    house.app.control().revoke(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(house.ended(&first).await.status, State::Revoked);
    runs_again(&house, blocking()).await;
    let running = begun(&house, blocking()).await;
    house.app.control().revoke(std::slice::from_ref(&running)).await.unwrap();
    refused(&house.call(blocking()).await, &running);
    house.traces.release.notify_one();
    assert_eq!(house.ended(&running).await.status, State::Success);
    stop(&house, worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_member_ends_its_chord_and_its_chain() {
    let house = House::new();
    let worker = house.worker(2);
    let first = begun(&house, blocking()).await;
    let echo = || Signature::new("t.echo");
    let body = house.call(chord([echo().arg(1), blocking()], echo())).await;
    let error = body.exception().unwrap();
    assert_eq!((error.exc_type.as_str(), body.status), ("ChordError", State::Failure));
    assert!(error.message().contains(&format!("duplicate of {first}")), "{error}");
    refused(&house.call(chain([blocking(), echo()])).await, &first);
    let told = house.call(blocking().link_error(echo().id("told"))).await;
    refused(&told, &first);
    assert_eq!(house.ended("told").await.result, Value::List(vec![Value::from(told.task_id)]));
    house.traces.release.notify_one();
    house.ended(&first).await;
    stop(&house, worker).await;
}

async fn retries_too_large(ctx: Context, (): ()) -> Result<(), TaskError> {
    Err(ctx.retry_later().args([Value::from("x".repeat(100_000))]).countdown(Duration::from_secs(1)))
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_cannot_be_sent_frees_its_key() {
    let mut settings = Settings::default();
    settings.celeriac.max_message_bytes = 50_000;
    let house = House::furnished(settings, |app| {
        app.task("t.retries_too_large", retries_too_large);
    });
    let worker = house.worker(1);
    for _ in 0..2 {
        let failed = house.call(Signature::new("t.retries_too_large").unique_key("k")).await;
        assert_eq!((failed.status.clone(), failed.exception().unwrap().exc_type.as_str()), (State::Failure, "TooLarge"));
    }
    stop(&house, worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_copy_of_its_message_is_dropped_while_it_runs() {
    let house = House::new();
    let worker = house.worker(2);
    let one = || blocking().id("one");
    begun(&house, one()).await;
    house.send(one()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((house.broker.leased_len(), house.broker.queue_len("celery").await.unwrap()), (1, 0));
    house.traces.release.notify_one();
    assert_eq!((house.ended("one").await.status, house.traces.runs()), (State::Success, 1));
    runs_again(&house, blocking()).await;
    stop(&house, worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_none_fails_with_what_it_should_be() {
    let house = House::new();
    let worker = house.worker(1);
    for (header, value, told) in [
        ("unique_key", Value::Int(7), "unique_key must be a text of 1 to 1024 bytes, not 7"),
        ("unique_for", Value::from("soon"), "unique_for must be a number of seconds above 0, not 'soon'"),
    ] {
        let meta = house.call(blocking().header(header, value)).await;
        let exception = meta.exception().unwrap();
        assert_eq!((exception.exc_type.as_str(), exception.message().as_str()), ("ValueError", told));
    }
    assert_eq!(house.traces.runs(), 0);
    stop(&house, worker).await;
}
