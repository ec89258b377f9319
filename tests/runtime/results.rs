//! What a caller of a task or canvas is promised of its result.

use std::time::Duration;

use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::result::GetError;
use celeriac::task::TaskError;

use super::house::{House, LONG};

fn add(x: i64, y: i64) -> Signature {
    Signature::new("t.add").arg(x).arg(y)
}

fn fail() -> Signature {
    Signature::new("t.fail")
}

fn sum() -> Signature {
    Signature::new("t.sum")
}

/// One whose time is over before it is run: it is revoked, and nobody tells what should have followed.
fn revoked() -> Signature {
    add(1, 1).expires_in(-5.0)
}

fn failure(error: GetError) -> (String, State, String) {
    match error {
        GetError::Failed(failure) => (failure.task_id, failure.state, failure.exception.exc_type),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_is_a_value_of_the_wanted_type() {
    let house = House::new();
    let worker = house.worker(1);
    let result = house.app.send(add(1, 2)).await.unwrap();
    assert_eq!(result.get::<i64>(LONG).await.unwrap(), 3);
    assert!(matches!(result.get::<Vec<String>>(LONG).await, Err(GetError::Unfit { id, .. }) if id == result.id()));
    assert!(result.ready().await.unwrap() && result.successful().await.unwrap() && !result.failed().await.unwrap());
    assert_eq!((result.state().await.unwrap(), result.info().await.unwrap()), (State::Success, Value::Int(3)));
    let by_name = house.app.send_task("t.add", [1, 5], []).await.unwrap();
    assert_eq!(by_name.get::<i64>(LONG).await.unwrap(), 6);
    assert_eq!(house.app.async_result(by_name.id()).get::<i64>(LONG).await.unwrap(), 6);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_holds_the_exception_that_was_stored() {
    let house = House::new();
    let worker = house.worker(1);
    let result = house.app.send(fail()).await.unwrap();
    let error = result.get::<()>(LONG).await.unwrap_err();
    assert_eq!(error.exception().unwrap().to_string(), "ValueError('boom')");
    assert_eq!(error.to_string(), format!("task {} ended in FAILURE: ValueError('boom')", result.id()));
    assert!(result.failed().await.unwrap());
    assert_eq!(result.exception().await.unwrap().unwrap().message(), "boom");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hands_on_what_another_failed_with_fails_with_the_same() {
    let house = House::new();
    let worker = house.worker(1);
    let error = house.app.send(fail()).await.unwrap().get::<()>(LONG).await.unwrap_err();
    let exception = error.exception().unwrap().clone();
    assert_eq!(TaskError::from(error).into_failure().unwrap().exception, exception);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_says_whose_result_did_not_come_and_how_long_it_was_waited_for() {
    let house = House::new();
    let result = house.app.send(add(1, 2)).await.unwrap();
    let error = result.get::<i64>(Duration::from_secs(3)).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), format!("the result of {} did not come within 3s", result.id()));
    assert_eq!(result.state().await.unwrap(), State::Pending);
    let worker = house.worker(1);
    assert_eq!(result.get::<i64>(LONG).await.unwrap(), 3, "it may still come");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_results_of_a_group_come_in_its_order_and_in_its_shape() {
    let house = House::new();
    let worker = house.worker(4);
    let result = house.app.send(group((0..20).map(|n| add(n, n)))).await.unwrap();
    let expected: Vec<i64> = (0..20).map(|n| 2 * n).collect();
    assert_eq!(result.get::<Vec<i64>>(LONG).await.unwrap(), expected);
    let members = result.group().unwrap();
    assert_eq!(members.get::<i64>(LONG).await.unwrap(), expected);
    assert_eq!((members.len(), members.completed_count().await.unwrap(), members.waiting().await.unwrap()), (20, 20, false));
    assert_eq!(members.results()[3].get::<i64>(LONG).await.unwrap(), 6);

    let nested = house.app.send(group([add(1, 1), chain([add(1, 1), group([add(1, 0), add(2, 0)])])])).await.unwrap();
    let error = nested.get::<(i64, Vec<i64>)>(LONG).await.unwrap_err();
    assert_eq!(failure(error).2, "TypeError", "three arguments for two");
    let echo = Signature::new("t.echo");
    let nested = house.app.send(group([add(1, 1), chain([add(1, 1), group([echo.clone(), echo])])])).await.unwrap();
    assert_eq!(nested.get::<(i64, Vec<Vec<i64>>)>(LONG).await.unwrap(), (2, vec![vec![2], vec![2]]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_with_a_failed_member_fails_before_the_others_have_ended() {
    let house = House::new();
    let worker = house.worker(4);
    let result = house.app.send(group([Signature::new("t.blocks"), fail()])).await.unwrap();
    assert_eq!(failure(result.get_value(LONG).await.unwrap_err()).2, "ValueError");
    let members = result.group().unwrap();
    assert!(members.failed().await.unwrap() && members.waiting().await.unwrap() && !members.successful().await.unwrap());
    house.traces.release.notify_one();
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_come_any_more_fails_with_what_had_to_come_before_it() {
    let house = House::new();
    let worker = house.worker(1);
    let result = house.app.send(chain([revoked(), Signature::new("t.echo"), Signature::new("t.echo")])).await.unwrap();
    let first = result.parent().unwrap().parent().unwrap();
    let (id, state, class) = failure(result.get_value(LONG).await.unwrap_err());
    assert_eq!((id.as_str(), state, class.as_str()), (first.id(), State::Revoked, "TaskRevokedError"));
    assert_eq!(result.state().await.unwrap(), State::Pending);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chord_fails_with_its_own_error_and_leads_to_its_header() {
    let house = House::new();
    let worker = house.worker(2);
    let result = house.app.send(chord([add(1, 1), fail()], sum())).await.unwrap();
    let (id, _, class) = failure(result.get_value(LONG).await.unwrap_err());
    assert_eq!((id.as_str(), class.as_str()), (result.id(), "ChordError"));
    let header = result.parent().unwrap().group().unwrap();
    assert_eq!(header.results()[0].get::<i64>(LONG).await.unwrap(), 2);
    assert_eq!(failure(header.join(LONG).await.unwrap_err()).2, "ValueError");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn children_are_the_results_of_what_a_task_sent() {
    let house = House::new();
    let worker = house.worker(1);
    let result = house.app.send(chain([add(1, 1), add(1, 0).immutable()])).await.unwrap();
    result.get::<i64>(LONG).await.unwrap();
    let first = result.parent().unwrap();
    let children = first.children().await.unwrap();
    assert_eq!(children.iter().map(|child| child.id()).collect::<Vec<_>>(), [result.id()]);
    assert!(result.children().await.unwrap().is_empty());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_result_is_gone_with_those_before_it() {
    let house = House::new();
    let worker = house.worker(1);
    let result = house.app.send(chain([add(1, 1), add(1, 0).immutable()])).await.unwrap();
    result.get::<i64>(LONG).await.unwrap();
    result.forget().await.unwrap();
    assert_eq!(result.meta().await.unwrap(), None);
    assert_eq!(result.parent().unwrap().meta().await.unwrap(), None);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_saved_group_is_restored_by_its_id_until_it_is_deleted() {
    let house = House::new();
    let worker = house.worker(2);
    let sent = house.app.send(group([add(1, 1), add(2, 2)])).await.unwrap().group().unwrap();
    assert!(house.app.restore_group(sent.id()).await.unwrap().is_none());
    sent.save().await.unwrap();
    let restored = house.app.restore_group(sent.id()).await.unwrap().unwrap();
    assert_eq!(restored.as_tuple(), sent.as_tuple());
    assert_eq!(restored.get::<i64>(LONG).await.unwrap(), [2, 4]);
    restored.delete().await.unwrap();
    assert!(house.app.restore_group(sent.id()).await.unwrap().is_none());
    restored.forget().await.unwrap();
    assert_eq!(restored.completed_count().await.unwrap(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn unrelated_results_are_waited_for_as_one() {
    let house = House::new();
    let worker = house.worker(2);
    let one = house.app.send(add(1, 1)).await.unwrap();
    let two = house.app.send(chord([add(1, 1), add(2, 2)], sum())).await.unwrap();
    let both = house.app.result_set("both", vec![one.clone(), two, one]);
    assert_eq!(both.get::<i64>(LONG).await.unwrap(), [2, 6, 2]);
    assert_eq!(house.app.result_set("none", Vec::new()).get::<i64>(LONG).await.unwrap(), [0; 0]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_whose_result_is_ignored() {
    let house = House::new();
    let result = house.app.send(add(1, 1).ignore_result(true)).await.unwrap();
    assert_eq!(result.get::<Option<i64>>(LONG).await.unwrap(), None);
}
