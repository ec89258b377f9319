//! From a message to its result.

use celeriac::broker::Broker;
use celeriac::canvas::chord;
use celeriac::config::Settings;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::settlement::Outgoing;
use celeriac::task::{Context, TaskError};

use super::house::House;

#[tokio::test(start_paused = true)]
async fn a_task_runs_and_its_result_is_stored() {
    let house = House::new();
    let worker = house.worker(2);
    let meta = house.call(Signature::new("t.add").arg(2).arg(3)).await;
    assert_eq!((meta.status, meta.result), (State::Success, Value::Int(5)));
    assert!(meta.date_done.is_some());
    worker.stop().await;
    assert_eq!(house.broker.leased_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_are_a_type_error() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.add").arg(2)).await;
    let exception = meta.exception().unwrap();
    assert_eq!((meta.status, exception.exc_type.as_str()), (State::Failure, "TypeError"));
    assert!(exception.to_string().contains("t.add() "), "{exception}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_task_fails_as_not_registered_and_the_worker_goes_on() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.nobody")).await;
    let exception = meta.exception().unwrap();
    assert_eq!((exception.exc_type.as_str(), exception.exc_module.as_str()), ("NotRegistered", "celery.exceptions"));
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_task_is_dropped_and_the_worker_goes_on() {
    let house = House::new();
    let junk = [
        r#"{"body": "e30=", "headers": {}, "properties": {}}"#,
        r#"{"body": "%%%", "content-type": "application/json", "headers": {"task": "t.add", "id": "1"}, "properties": {"body_encoding": "base64"}}"#,
        r#"{"body": "gAJdcQAu", "content-type": "application/x-python-serialize", "headers": {"task": "t.add", "id": "2"}, "properties": {"body_encoding": "base64"}}"#,
    ];
    let outgoing = junk.map(|envelope| Outgoing { queue: "celery".into(), priority: 0, envelope: envelope.into() });
    house.broker.publish(&outgoing).await.unwrap();
    let worker = house.worker(1);
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success);
    worker.stop().await;
    assert_eq!((house.broker.leased_len(), house.broker.queue_len("celery").await.unwrap()), (0, 0));
    assert!(house.state("2").await.is_none(), "a refused message leaves no result");
}

#[tokio::test(start_paused = true)]
async fn progress_is_seen_before_the_result() {
    let house = House::new();
    let worker = house.worker(1);
    let id = house.send(Signature::new("t.progresses")).await;
    house.traces.begun.notified().await;
    let meta = house.state(&id).await.unwrap();
    assert_eq!(meta.status.as_str(), "PROGRESS");
    assert_eq!(meta.result.get("current"), Some(&Value::Int(3)));
    house.traces.release.notify_one();
    assert_eq!(house.ended(&id).await.result, Value::from("done"));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_its_result_stores_none() {
    let house = House::new();
    let worker = house.worker(1);
    let silent = house.send(Signature::new("t.silent").arg(1).arg(1)).await;
    let ignored = house.send(Signature::new("t.ignores")).await;
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success);
    assert!(house.state(&silent).await.is_none());
    assert!(house.state(&ignored).await.is_none());
    worker.stop().await;
    assert_eq!(house.broker.leased_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_ack_survives_a_killed_worker() {
    let house = House::new();
    let first = house.named("celery@first", 1);
    let id = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    first.dies().await;
    let second = house.named("celery@second", 1);
    house.traces.begun.notified().await;
    house.traces.release.notify_one();
    let meta = house.ended(&id).await;
    assert_eq!((meta.status, meta.result), (State::Success, Value::Int(1)), "the second run knows that a worker died");
    second.stop().await;
    assert_eq!(house.traces.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_workers_keep_dying_is_given_up() {
    let house = House::new();
    let id = house.send(Signature::new("t.blocks")).await;
    for life in 0..5 {
        let worker = house.named(&format!("celery@{life}"), 1);
        house.traces.begun.notified().await;
        worker.dies().await;
    }
    let survivor = house.named("celery@survivor", 1);
    let meta = house.ended(&id).await;
    assert_eq!(meta.exception().unwrap().exc_type, "WorkerLostError");
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success);
    survivor.stop().await;
    assert_eq!((house.broker.dead_letters_len(), house.traces.runs()), (1, 5));
    let letter = house.app.dead_letters().find(&id).await.unwrap().unwrap();
    assert_eq!((letter.task.as_deref(), letter.dead.letter.nodename.as_str()), (Some("t.blocks"), "celery@survivor"));
    assert_eq!((letter.dead.letter.deliveries, letter.dead.queue.as_str()), (5, "celery"));
    assert!(letter.dead.letter.reason.contains("delivered 5 times"), "{}", letter.dead.letter.reason);
}

/// Stores its success itself, then fails.
async fn succeeds_and_fails(ctx: Context, (): ()) -> Result<(), TaskError> {
    ctx.update_state("SUCCESS", &"stored by hand").await?;
    Err(TaskError::builtin("ValueError", "too late"))
}

#[tokio::test(start_paused = true)]
async fn a_stored_success_stays_however_results_are_written() {
    for (serializer, compression) in [("json", None), ("msgpack", None), ("json", Some("gzip")), ("msgpack", Some("zstd"))] {
        let mut settings = Settings::default();
        settings.result_serializer = serializer.to_owned();
        settings.result_compression = compression.map(str::to_owned);
        let house = House::furnished(settings, |app| {
            app.task("t.both", succeeds_and_fails);
        });
        let worker = house.worker(1);
        let sum = chord([Signature::new("t.add").arg(1).arg(2), Signature::new("t.add").arg(3).arg(4)], Signature::new("t.sum"));
        assert_eq!(house.call(sum).await.result, Value::Int(10), "{serializer} {compression:?}");
        let meta = house.call(Signature::new("t.both")).await;
        worker.stop().await;
        let kept = house.state(&meta.task_id).await.unwrap();
        assert_eq!((kept.status, kept.result), (State::Success, Value::from("stored by hand")), "{serializer} {compression:?}");
    }
}
