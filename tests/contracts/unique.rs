//! The contract of unique keys: one task holds a key through all that happens to its message, and none outlives it.

use std::time::Duration;

use celeriac::broker::{Delivery, KeyTaken, UniqueKey};
use celeriac::settlement::{Disposal, HeldKey, KeyFate, Settled, Settlement};

use crate::contracts;
use crate::ground::{Ground, LEASE, message, names, settlement};

contracts!(
    a_key_is_held_by_one_task_until_it_is_settled,
    a_key_is_held_for_no_longer_than_it_lasts,
    a_task_keeps_its_key_while_its_message_is_in_a_queue,
    a_holder_whose_worker_died_takes_its_key_again,
    a_worker_that_was_overtaken_frees_nothing,
    a_second_copy_of_the_holders_message_is_one,
    a_key_of_one_that_was_acked_lives_as_long_as_its_worker,
    a_key_of_one_that_was_acked_is_freed_when_it_ends_and_kept_for_a_retry,
    who_holds_another_key_or_none_frees_nothing,
    a_message_that_is_not_ours_takes_no_key,
    a_key_is_taken_from_one_that_was_revoked_unless_it_is_leased,
);

fn key<'a>(name: &'a str, holder: &'a str) -> UniqueKey<'a> {
    UniqueKey { name, holder, lasts: Duration::from_secs(600), lease: LEASE, revoked: None }
}

/// Asks for the key `k` for a task of this id.
async fn take(ground: &Ground, delivery: &Delivery, id: &str) -> KeyTaken {
    ground.broker.take_key(&delivery.tag, &key("k", id)).await.unwrap()
}

fn held_by(id: &str) -> KeyTaken {
    KeyTaken::Held(id.to_owned())
}

fn held(delivery: &Delivery, id: &str, fate: KeyFate) -> Option<HeldKey> {
    Some(HeldKey { name: "k".to_owned(), holder: id.to_owned(), tag: delivery.tag.clone(), fate })
}

/// The end of a task whose message is leased.
fn end(delivery: &Delivery, id: &str) -> Settlement {
    Settlement { key: held(delivery, id, KeyFate::Free), ..settlement(delivery) }
}

/// Acks the message of a task that holds the key, and begins its run.
async fn begin_acked(ground: &Ground, delivery: &Delivery, id: &str) {
    assert_eq!(take(ground, delivery, id).await, KeyTaken::Ours);
    let ack = Settlement { key: held(delivery, id, KeyFate::Run), ..Settlement::ack(&delivery.tag) };
    assert_eq!(ground.settle(&ack).await, Settled::Done);
}

async fn a_key_is_held_by_one_task_until_it_is_settled(ground: Ground) {
    let (first, second) = (ground.leased("1").await, ground.leased("2").await);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours, "the answer to the first call may have been lost");
    assert_eq!(take(&ground, &second, "2").await, held_by("1"));
    assert_eq!(ground.broker.take_key(&second.tag, &key("other", "2")).await.unwrap(), KeyTaken::Ours);
    assert_eq!(ground.settle(&end(&first, "1")).await, Settled::Done);
    assert_eq!(take(&ground, &second, "2").await, KeyTaken::Ours);
}

async fn a_key_is_held_for_no_longer_than_it_lasts(ground: Ground) {
    let (first, second) = (ground.leased("1").await, ground.leased("2").await);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    ground.pass(Duration::from_secs(590)).await;
    assert_eq!(take(&ground, &second, "2").await, held_by("1"));
    ground.pass(Duration::from_secs(11)).await;
    assert_eq!(take(&ground, &second, "2").await, KeyTaken::Ours);
    assert_eq!(ground.settle(&end(&first, "1")).await, Settled::Done);
    let third = ground.leased("3").await;
    assert_eq!(take(&ground, &third, "3").await, held_by("2"), "the first frees what is its own");
}

async fn a_task_keeps_its_key_while_its_message_is_in_a_queue(ground: Ground) {
    let (first, other) = (ground.leased("1").await, ground.leased("2").await);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    ground.broker.put_back(std::slice::from_ref(&first.tag), false).await.unwrap();
    assert_eq!(take(&ground, &other, "2").await, held_by("1"));
    let again = ground.drain("q").await.remove(0);
    assert_eq!(take(&ground, &again, "1").await, KeyTaken::Ours);
    let retry =
        Settlement { publish: vec![message("q", "1", 0)], key: held(&again, "1", KeyFate::Keep), ..Settlement::ack(&again.tag) };
    assert_eq!(ground.settle(&retry).await, Settled::Done);
    assert_eq!(take(&ground, &other, "2").await, held_by("1"));
    let retried = ground.drain("q").await.remove(0);
    assert_eq!(take(&ground, &retried, "1").await, KeyTaken::Ours);
    let requeue = Settlement {
        disposal: Disposal::Requeue { raise_count: false },
        key: held(&retried, "1", KeyFate::Keep),
        ..Settlement::ack(&retried.tag)
    };
    assert_eq!(ground.settle(&requeue).await, Settled::Done);
    assert_eq!(take(&ground, &other, "2").await, held_by("1"));
    let last = ground.drain("q").await.remove(0);
    assert_eq!(ground.settle(&end(&last, "1")).await, Settled::Done, "revoked, say, before it asked again");
    assert_eq!(take(&ground, &other, "2").await, KeyTaken::Ours);
}

async fn a_holder_whose_worker_died_takes_its_key_again(ground: Ground) {
    let first = ground.leased("1").await;
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    ground.pass(LEASE * 2).await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 1);
    let duplicate = ground.leased_after(&["1"], "2").await;
    assert_eq!(take(&ground, &duplicate[1], "2").await, held_by("1"));
    assert_eq!(take(&ground, &duplicate[0], "1").await, KeyTaken::Ours);
    assert_eq!(ground.settle(&end(&duplicate[0], "1")).await, Settled::Done);
    assert_eq!(take(&ground, &duplicate[1], "2").await, KeyTaken::Ours);
}

async fn a_worker_that_was_overtaken_frees_nothing(ground: Ground) {
    let old = ground.leased("1").await;
    assert_eq!(take(&ground, &old, "1").await, KeyTaken::Ours);
    ground.pass(LEASE * 2).await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 1);
    let new = ground.drain("q").await.remove(0);
    assert_eq!(take(&ground, &new, "1").await, KeyTaken::Ours);
    assert_eq!(ground.settle(&end(&old, "1")).await, Settled::Lost);
    let other = ground.leased("2").await;
    assert_eq!(take(&ground, &other, "2").await, held_by("1"));
}

async fn a_second_copy_of_the_holders_message_is_one(ground: Ground) {
    let (first, copy) = (ground.leased("1").await, ground.leased("1").await);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    assert_eq!(take(&ground, &copy, "1").await, KeyTaken::Copy);
    ground.broker.put_back(std::slice::from_ref(&first.tag), false).await.unwrap();
    assert_eq!(take(&ground, &copy, "1").await, KeyTaken::Ours, "one of them runs");
    begin_acked(&ground, &copy, "1").await;
    let back = ground.drain("q").await.remove(0);
    assert_eq!(take(&ground, &back, "1").await, KeyTaken::Copy);
}

async fn a_key_of_one_that_was_acked_lives_as_long_as_its_worker(ground: Ground) {
    let early = ground.leased("1").await;
    begin_acked(&ground, &early, "1").await;
    let other = ground.leased("2").await;
    for _ in 0..3 {
        ground.pass(LEASE * 3 / 4).await;
        let lost = ground.broker.renew(&[early.tag.clone(), other.tag.clone()]).await.unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0);
        assert_eq!(take(&ground, &other, "2").await, held_by("1"));
    }
    // Its worker dies.
    ground.pass(LEASE * 2).await;
    assert_eq!(take(&ground, &other, "2").await, KeyTaken::Ours);
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 1, "of the first nothing is left to put back");
    assert_eq!(names(&ground.drain("q").await), ["2"]);
    assert_eq!(ground.broker.renew(std::slice::from_ref(&early.tag)).await.unwrap(), [early.tag]);
}

async fn a_key_of_one_that_was_acked_is_freed_when_it_ends_and_kept_for_a_retry(ground: Ground) {
    let early = ground.leased("1").await;
    begin_acked(&ground, &early, "1").await;
    let publish = vec![message("q", "1", 0)];
    let retry = Settlement { tag: None, publish, key: held(&early, "1", KeyFate::Keep), ..Settlement::ack("") };
    assert_eq!(ground.settle(&retry).await, Settled::Done);
    assert_eq!(ground.broker.renew(std::slice::from_ref(&early.tag)).await.unwrap(), [early.tag], "its run is over");
    ground.pass(LEASE * 2).await;
    let again = ground.leased_after(&["1"], "2").await;
    assert_eq!(take(&ground, &again[1], "2").await, held_by("1"));
    begin_acked(&ground, &again[0], "1").await;
    let ended = Settlement { tag: None, key: held(&again[0], "1", KeyFate::Free), ..Settlement::ack("") };
    assert_eq!(ground.settle(&ended).await, Settled::Done);
    assert_eq!(take(&ground, &again[1], "2").await, KeyTaken::Ours);
}

async fn who_holds_another_key_or_none_frees_nothing(ground: Ground) {
    let (first, second) = (ground.leased("1").await, ground.leased("2").await);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    assert_eq!(ground.settle(&end(&second, "2")).await, Settled::Done, "a duplicate that is refused");
    let third = ground.leased("3").await;
    assert_eq!(take(&ground, &third, "3").await, held_by("1"));
}

async fn a_message_that_is_not_ours_takes_no_key(ground: Ground) {
    let first = ground.leased("1").await;
    ground.broker.put_back(std::slice::from_ref(&first.tag), false).await.unwrap();
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Lost);
    let other = ground.leased_after(&["1"], "2").await;
    assert_eq!(take(&ground, &other[1], "2").await, KeyTaken::Ours);
}

async fn a_key_is_taken_from_one_that_was_revoked_unless_it_is_leased(ground: Ground) {
    let (first, second) = (ground.leased("1").await, ground.leased("2").await);
    assert_eq!(take(&ground, &first, "1").await, KeyTaken::Ours);
    let over = UniqueKey { revoked: Some("1"), ..key("k", "2") };
    assert_eq!(ground.broker.take_key(&second.tag, &over).await.unwrap(), held_by("1"));
    ground.broker.park(&first.tag, chrono::Utc::now()).await.unwrap();
    assert_eq!(take(&ground, &second, "2").await, held_by("1"));
    assert_eq!(ground.broker.take_key(&second.tag, &over).await.unwrap(), KeyTaken::Ours);
    let early = ground.leased("3").await;
    assert_eq!(ground.settle(&end(&second, "2")).await, Settled::Done);
    begin_acked(&ground, &early, "3").await;
    let other = ground.leased("4").await;
    let over = UniqueKey { revoked: Some("3"), ..key("k", "4") };
    assert_eq!(ground.broker.take_key(&other.tag, &over).await.unwrap(), held_by("3"));
}
