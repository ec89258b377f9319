//! How a run ends when it does not succeed.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::config::Settings;
use celeriac::protocol::exception::Exception;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::task::{Context, Failure, TaskError};
use tokio::time::Instant;

use super::house::{House, LONG, Traces};

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

/// Its child dies until it was delivered or tried so often.
async fn loses_its_child(ctx: Context, (times,): (u32,)) -> Result<(u32, u32), TaskError> {
    let (deliveries, retries) = (ctx.request().lost_deliveries(), ctx.request().retries());
    if deliveries + retries < times {
        return Err(TaskError::WorkerLost(Box::new(Failure::new(Exception::worker_lost("signal 9")))));
    }
    Ok((deliveries, retries))
}

/// Takes for ever, unless it was delivered before.
async fn hangs_once(ctx: Context, (): ()) -> Result<&'static str, TaskError> {
    if !ctx.request().redelivered() {
        std::future::pending::<()>().await;
    }
    ctx.state::<Arc<Traces>>()?.begun.notify_one();
    Ok("second")
}

fn house_of_losses() -> House {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    House::furnished(settings, |app| {
        app.task("t.lost", loses_its_child);
        app.task("t.lost_again", loses_its_child).reject_on_worker_lost();
        app.task("t.lost_early", loses_its_child).reject_on_worker_lost().acks_early();
        app.task("t.lost_retried", loses_its_child).retry_on_worker_lost().default_retry_delay(Duration::from_millis(10));
        app.task("t.hangs", hangs_once).time_limit(Duration::from_secs(1));
        app.task("t.hangs_again", hangs_once).time_limit(Duration::from_secs(1)).acks_on_timeout(false);
    })
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_child_dies_fails_unless_it_says_otherwise() {
    let house = house_of_losses();
    let worker = house.worker(1);
    for name in ["t.lost", "t.lost_early"] {
        assert_eq!(house.call(Signature::new(name).arg(1)).await.exception().unwrap().exc_type, "WorkerLostError", "{name}");
    }
    let again = house.call(Signature::new("t.lost_again").arg(2)).await;
    assert_eq!(again.result, Value::List(vec![2.into(), 0.into()]), "the same message, counted");
    let retried = house.call(Signature::new("t.lost_retried").arg(2)).await;
    assert_eq!(retried.result, Value::List(vec![0.into(), 2.into()]), "new messages");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_child_dies_each_time_is_given_up_or_has_used_up_its_retries() {
    let house = house_of_losses();
    let worker = house.worker(1);
    for name in ["t.lost_again", "t.lost_retried"] {
        assert_eq!(house.call(Signature::new(name).arg(99)).await.exception().unwrap().exc_type, "WorkerLostError", "{name}");
    }
    worker.stop().await;
    assert_eq!((house.broker.leased_len(), house.broker.dead_letters_len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hard_limit_is_the_end_unless_the_message_is_to_come_back() {
    let house = house_of_losses();
    let worker = house.worker(1);
    assert_eq!(house.call(Signature::new("t.hangs")).await.exception().unwrap().exc_type, "TimeLimitExceeded");
    let told = Signature::new("t.echo").id("told");
    house.app.send(Signature::new("t.hangs_again").id("again").link_error(told)).await.unwrap();
    house.traces.begun.notified().await;
    worker.stop().await;
    assert_eq!(house.state("again").await.unwrap().result, Value::from("second"));
    let told = house.state("told").await.unwrap().result;
    assert_eq!(told, Value::List(vec!["again".into()]), "the first run is a failure in any case");
}

/// A worker may die of one suspect before it has put the others aside, which it fetched with it.
#[tokio::test(start_paused = true)]
async fn a_suspect_that_its_worker_only_held_when_it_died_is_not_given_up() {
    let house = House::new();
    let id = house.send(Signature::new("t.blocks")).await;
    for runs in [true, true, false, true, false, true] {
        if runs {
            let worker = house.worker(1);
            house.traces.begun.notified().await;
            worker.dies().await;
            tokio::time::advance(LONG).await;
            house.broker.restore_orphans(Duration::ZERO).await.unwrap();
        } else {
            let held = house.consumer("celery", LONG).await.fetch(1).await.unwrap().remove(0);
            house.broker.put_back(&[held.tag], true).await.unwrap();
        }
    }
    let survivor = house.worker(1);
    assert_eq!(house.ended(&id).await.exception().unwrap().exc_type, "WorkerLostError");
    survivor.stop().await;
    let letter = house.app.dead_letters().find(&id).await.unwrap().unwrap();
    assert_eq!((house.traces.runs(), letter.dead.letter.deliveries), (4, 6));
}

/// Which of them kills the worker, the next death would not say if they ran side by side; those that did nothing would be given up too.
#[tokio::test(start_paused = true)]
async fn of_messages_whose_worker_died_twice_one_runs_at_a_time() {
    let house = House::new();
    let suspects = [house.send(Signature::new("t.blocks")).await, house.send(Signature::new("t.blocks")).await];
    for _ in 0..2 {
        let worker = house.worker(4);
        house.traces.begun.notified().await;
        house.traces.begun.notified().await;
        worker.dies().await;
        house.broker.restore_orphans(Duration::ZERO).await.unwrap();
    }
    let worker = house.worker(4);
    house.traces.begun.notified().await;
    let fresh = house.send(Signature::new("t.add").arg(1).arg(1)).await;
    assert_eq!(house.ended(&fresh).await.status, State::Success, "others run beside it");
    assert!(tokio::time::timeout(Duration::from_secs(60), house.traces.begun.notified()).await.is_err(), "the second waits");
    house.traces.release.notify_one();
    house.traces.begun.notified().await;
    house.traces.release.notify_one();
    for id in &suspects {
        assert_eq!(house.ended(id).await.result, Value::from(2_u64));
    }
    worker.stop().await;
}
