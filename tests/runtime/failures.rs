//! How a run ends when it does not succeed.

use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use tokio::time::Instant;

use super::house::House;

#[tokio::test(start_paused = true)]
async fn a_failure_carries_its_exception_as_python_expects_it() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.fail")).await;
    let exception = meta.exception().unwrap();
    assert_eq!(meta.status, State::Failure);
    assert_eq!((exception.exc_module.as_str(), exception.exc_type.as_str()), ("builtins", "ValueError"));
    assert_eq!(exception.exc_message, [Value::from("boom")]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_that_task_only() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.panics")).await;
    assert_eq!(meta.exception().unwrap().exc_message, [Value::from("a bug")]);
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_runs_again_until_it_succeeds() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.flaky").arg(3)).await;
    assert_eq!((meta.status, meta.result), (State::Success, Value::Int(3)));
    assert_eq!(house.traces.runs(), 4);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn used_up_retries_fail_with_their_cause() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.flaky").arg(9)).await;
    assert_eq!(meta.exception().unwrap().exc_type, "ConnectionError");
    assert_eq!(house.traces.runs(), 4);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reject_with_requeue_comes_back_and_without_it_fails() {
    let house = House::new();
    let worker = house.worker(1);
    assert_eq!(house.call(Signature::new("t.rejects").arg(true)).await.result, Value::from("second"));
    assert_eq!(house.traces.runs(), 2);
    let meta = house.call(Signature::new("t.rejects").arg(false)).await;
    assert_eq!(meta.exception().unwrap().exc_type, "Reject");
    worker.stop().await;
    assert_eq!(house.broker.queue_len("celery").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hard_limit_cuts_a_task_off() {
    let house = House::new();
    let worker = house.worker(1);
    let begun = Instant::now();
    let meta = house.call(Signature::new("t.limited").arg(1000)).await;
    assert_eq!(meta.exception().unwrap().exc_type, "TimeLimitExceeded");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_limit_lets_a_task_tidy_up_and_then_cuts_it_off() {
    let house = House::new();
    let worker = house.worker(1);
    assert_eq!(house.call(Signature::new("t.obeys")).await.result, Value::from("tidied up"));
    let meta = house.call(Signature::new("t.stubborn").arg(1000)).await;
    assert_eq!(meta.exception().unwrap().exc_type, "SoftTimeLimitExceeded");
    worker.stop().await;
}
