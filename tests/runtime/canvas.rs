//! Chains, groups, chords and replacement, as far as one worker carries them on.

use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;

use super::house::House;

fn add(x: i64) -> Signature {
    Signature::new("t.add").arg(x)
}

#[tokio::test(start_paused = true)]
async fn a_chain_hands_each_value_on() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(chain([add(1).arg(1), add(10), add(100)])).await;
    assert_eq!(meta.result, Value::Int(112));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_breaks_fails_to_its_end() {
    let house = House::new();
    let worker = house.worker(1);
    let meta = house.call(chain([Signature::new("t.fail"), add(10), add(100)])).await;
    assert_eq!((meta.status.clone(), meta.exception().unwrap().exc_type.as_str()), (State::Failure, "ValueError"));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chord_calls_its_body_with_ordered_results() {
    let house = House::new();
    let worker = house.worker(4);
    let meta = house.call(chord((0..50).map(|n| add(n).arg(0)), Signature::new("t.echo"))).await;
    let expected: Vec<Value> = (0..50).map(Value::Int).collect();
    assert_eq!(meta.result, Value::List(vec![Value::List(expected)]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chord_whose_header_fails_fails_its_body_after_all_parts_are_in() {
    let house = House::new();
    let worker = house.worker(2);
    let meta = house.call(chord([add(1).arg(1), Signature::new("t.fail"), add(2).arg(2)], Signature::new("t.sum"))).await;
    let exception = meta.exception().unwrap();
    assert_eq!(exception.exc_type, "ChordError");
    assert!(exception.to_string().contains("ValueError"), "{exception}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chord_whose_failure_cannot_be_told_ends_all_the_same() {
    let house = House::new();
    let worker = house.worker(1);
    let body = Signature::new("t.sum").set("link_error", "no signature");
    let meta = house.call(chord([Signature::new("t.fail")], body)).await;
    assert_eq!((meta.status.clone(), meta.exception().unwrap().exc_type.as_str()), (State::Failure, "ChordError"));
    worker.stop().await;
    assert_eq!(house.broker.leased_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_chord_in_the_middle_of_a_chain_hands_its_body_on() {
    let house = House::new();
    let worker = house.worker(2);
    let middle = chord([add(1), add(2), add(3)], Signature::new("t.sum"));
    let meta = house.call(chain([add(10).arg(0), middle, add(1000)])).await;
    assert_eq!(meta.result, Value::Int(1036));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_in_the_middle_of_a_chain_becomes_a_chord() {
    let house = House::new();
    let worker = house.worker(2);
    let meta = house.call(chain([add(1).arg(1), group([add(1), add(2)]), Signature::new("t.sum")])).await;
    assert_eq!(meta.result, Value::Int(7));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_replaces_itself_by_chords_of_replacing_tasks_ends_under_its_own_id() {
    let house = House::new();
    let worker = house.worker(3);
    let meta = house.call(Signature::new("t.document").arg(4)).await;
    assert_eq!((meta.status, meta.result), (State::Success, Value::Int(3 * (10 + 20 + 30) + 4 * 3)));
    worker.stop().await;
    assert_eq!(house.broker.leased_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_holds_when_broker_and_backend_are_two_servers() {
    let house = House::apart();
    let worker = house.worker(3);
    let meta = house.call(Signature::new("t.document").arg(4)).await;
    assert_eq!((meta.status, meta.result), (State::Success, Value::Int(3 * (10 + 20 + 30) + 4 * 3)));
    let meta = house.call(chord([add(1).arg(1), Signature::new("t.fail")], Signature::new("t.sum"))).await;
    assert_eq!(meta.exception().unwrap().exc_type, "ChordError");
    worker.stop().await;
    assert_eq!(house.broker.leased_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_task_in_a_chain_is_followed_by_its_rest() {
    let house = House::new();
    let worker = house.worker(3);
    let meta = house.call(chain([Signature::new("t.document").arg(2), add(1000)])).await;
    assert_eq!(meta.result, Value::Int(3 * 10 + 2 * 3 + 1000));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_replaces_itself_by_a_group_ends_with_its_values() {
    let house = House::new();
    let worker = house.worker(2);
    let meta = house.call(Signature::new("t.several")).await;
    assert_eq!((meta.status, meta.result), (State::Success, Value::List(vec![0.into(), 2.into(), 4.into()])));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn links_and_errbacks_are_called() {
    let house = House::new();
    let worker = house.worker(2);
    let followed = Signature::new("t.echo").id("the-link");
    house.call(add(1).arg(2).link(followed)).await;
    assert_eq!(house.ended("the-link").await.result, Value::List(vec![Value::Int(3)]));
    let told = Signature::new("t.echo").id("the-errback");
    let failed = house.call(Signature::new("t.fail").link_error(told)).await;
    assert_eq!(house.ended("the-errback").await.result, Value::List(vec![Value::from(failed.task_id)]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_task_sends_is_among_its_children() {
    let house = House::new();
    let worker = house.worker(2);
    let meta = house.call(Signature::new("t.sends")).await;
    assert_eq!(meta.children.unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_immutable_whole_that_is_a_callback_takes_no_value() {
    let house = House::new();
    let worker = house.worker(2);
    let cases = [
        (chain([add(1).arg(1), add(10)]), Value::Int(12)),
        (chord([add(1).arg(1), add(2).arg(2)], Signature::new("t.sum")), Value::Int(6)),
    ];
    for (whole, expected) in cases {
        let kind = whole.task.clone();
        // The flag of the whole alone, as Python's client writes it.
        let callback = Signature { immutable: true, ..whole.id(&kind) };
        house.call(add(5).arg(5).link(callback)).await;
        assert_eq!(house.ended(&kind).await.result, expected, "{kind}");
    }
    worker.stop().await;
}
