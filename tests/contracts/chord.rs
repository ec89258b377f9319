//! Chords, through the settling broker and through the backend alone: a part counts once, a body is published once.

use std::time::Duration;

use celeriac::settlement::{ChordPart, ChordState, Settled, Settlement, Write};

use crate::contracts;
use crate::ground::{Ground, message, settlement};

contracts!(
    a_part_counts_once_however_often_it_is_reported,
    the_last_part_completes_the_chord_and_keeps_its_lease,
    the_second_step_publishes_the_body_closes_the_chord_and_acks,
    a_worker_that_dies_between_the_steps_leaves_the_chord_to_the_next,
    a_complete_chord_is_claimed_by_one,
    a_close_without_the_claim_publishes_nothing,
    a_part_of_a_closed_chord_completes_nothing_until_the_chord_is_applied_again,
    entries_come_by_index_and_those_without_one_last,
    unordered_entries_come_as_they_arrived,
    a_failed_chord_never_completes,
    a_chord_fails_once_though_two_saw_it_complete,
    a_chord_that_starts_again_forgets_its_old_claim,
    a_claim_is_extended_by_its_holder_only,
    a_claim_that_ran_out_is_taken_again_while_the_chord_is_open,
    parts_that_come_before_the_size_is_known_count,
    a_chord_forgets_everything_in_the_end,
    a_chord_that_grows_waits_for_each_added_part_once,
);

fn part(task: &str, index: Option<i64>) -> ChordPart {
    ChordPart {
        group_id: "g".to_owned(),
        task_id: task.to_owned(),
        group_index: index,
        entry: format!(r#"[1, "{task}", "SUCCESS", {}]"#, index.unwrap_or(99)).into_bytes(),
        ttl: Some(1000),
        token: format!("token of {task}"),
        claim_s: 6,
        ordered: true,
    }
}

fn close(task: &str) -> Write {
    Write::ChordClose { group_id: "g".to_owned(), token: format!("token of {task}") }
}

fn fail(task: &str) -> Write {
    Write::ChordFail { group_id: "g".to_owned(), token: format!("token of {task}") }
}

async fn start(ground: &Ground, size: u64) {
    ground.backend.apply(&[Write::ChordStart { group_id: "g".to_owned(), size, ttl: Some(1000) }]).await.unwrap();
}

async fn count(ground: &Ground, task: &str, index: i64) -> ChordState {
    ground.backend.chord_part(&part(task, Some(index))).await.unwrap()
}

async fn entries(ground: &Ground, ordered: bool) -> Vec<String> {
    let entries = ground.backend.chord_entries("g", ordered).await.unwrap();
    entries.into_iter().map(|entry| String::from_utf8(entry).unwrap().split('"').nth(1).unwrap().to_owned()).collect()
}

/// The settlement of a header task: without callbacks of its own.
async fn header(ground: &Ground, task: &str, index: i64) -> Settlement {
    let delivery = ground.leased(task).await;
    Settlement { chord_part: Some(part(task, Some(index))), publish: Vec::new(), ..settlement(&delivery) }
}

/// What follows when it has completed the chord.
fn body(first: &Settlement, task: &str) -> Settlement {
    Settlement { writes: vec![close(task)], chord_part: None, publish: vec![message("next", "body", 0)], ..first.clone() }
}

async fn a_part_counts_once_however_often_it_is_reported(ground: Ground) {
    start(&ground, 2).await;
    for _ in 0..3 {
        assert_eq!(count(&ground, "a", 0).await, ChordState::Counted);
    }
    assert_eq!(entries(&ground, true).await, ["a"]);
    assert_eq!(count(&ground, "b", 1).await, ChordState::Complete);
    assert_eq!(count(&ground, "b", 1).await, ChordState::Complete, "the holder may ask again");
    assert_eq!(entries(&ground, true).await, ["a", "b"]);
}

async fn the_last_part_completes_the_chord_and_keeps_its_lease(ground: Ground) {
    start(&ground, 2).await;
    let (a, b) = (header(&ground, "a", 0).await, header(&ground, "b", 1).await);
    assert_eq!(ground.settle(&a).await, Settled::Done);
    assert_eq!(ground.leased_len(), 1);
    let b = Settlement { publish: vec![message("next", "callback", 0)], ..b };
    assert_eq!(ground.settle(&b).await, Settled::ChordComplete);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (1, 0));
    assert!(ground.value("celery-task-meta-1").await.is_some(), "the writes are done");
}

async fn the_second_step_publishes_the_body_closes_the_chord_and_acks(ground: Ground) {
    start(&ground, 1).await;
    let a = header(&ground, "a", 0).await;
    assert_eq!(ground.settle(&a).await, Settled::ChordComplete);
    assert_eq!(ground.settle(&body(&a, "a")).await, Settled::Done);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (0, 1));
    assert_eq!(entries(&ground, true).await, [""; 0]);
    assert_eq!(ground.settle(&body(&a, "a")).await, Settled::Lost);
    assert_eq!(ground.broker.queue_len("next").await.unwrap(), 1);
}

async fn a_worker_that_dies_between_the_steps_leaves_the_chord_to_the_next(ground: Ground) {
    start(&ground, 1).await;
    let dead = header(&ground, "a", 0).await;
    assert_eq!(ground.settle(&dead).await, Settled::ChordComplete);
    ground.pass(Duration::from_secs(13)).await;
    assert_eq!(ground.broker.restore_orphans(Duration::from_secs(12)).await.unwrap(), 1);
    let heir = ground.drain("q").await;
    let mut again = Settlement { tag: Some(heir[0].tag.clone()), ..dead.clone() };
    again.chord_part = Some(ChordPart { token: "token of heir".to_owned(), ..part("a", Some(0)) });
    assert_eq!(ground.settle(&again).await, Settled::ChordComplete);
    assert_eq!(ground.settle(&body(&dead, "a")).await, Settled::Lost);
    assert_eq!(ground.settle(&body(&again, "heir")).await, Settled::Done);
    assert_eq!(ground.broker.queue_len("next").await.unwrap(), 1);
}

async fn a_complete_chord_is_claimed_by_one(ground: Ground) {
    start(&ground, 2).await;
    let (a, b) = (header(&ground, "a", 0).await, header(&ground, "b", 1).await);
    count(&ground, "a", 0).await;
    count(&ground, "b", 1).await;
    assert_eq!(ground.settle(&a).await, Settled::ChordBusy);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (2, 0));
    assert_eq!(ground.settle(&b).await, Settled::ChordComplete);
    ground.pass(Duration::from_secs(7)).await;
    assert_eq!(ground.settle(&a).await, Settled::ChordComplete, "the claim of b ran out");
    assert_eq!(ground.settle(&b).await, Settled::ChordBusy);
}

async fn a_close_without_the_claim_publishes_nothing(ground: Ground) {
    start(&ground, 2).await;
    let (a, b) = (header(&ground, "a", 0).await, header(&ground, "b", 1).await);
    ground.settle(&a).await;
    let a = header(&ground, "a", 0).await;
    assert_eq!(ground.settle(&b).await, Settled::ChordComplete);
    ground.pass(Duration::from_secs(7)).await;
    assert_eq!(ground.settle(&a).await, Settled::ChordComplete);
    assert_eq!(ground.settle(&body(&b, "b")).await, Settled::ChordBusy);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (2, 0));
    assert_eq!(ground.settle(&body(&a, "a")).await, Settled::Done);
    assert_eq!(ground.settle(&body(&b, "b")).await, Settled::ChordBusy, "closed by the other");
    assert_eq!(ground.settle(&b).await, Settled::Done, "asked again with the part, it is only counted");
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (0, 1));
}

async fn a_part_of_a_closed_chord_completes_nothing_until_the_chord_is_applied_again(ground: Ground) {
    start(&ground, 1).await;
    count(&ground, "a", 0).await;
    ground.backend.apply(&[close("somebody else")]).await.unwrap();
    assert_eq!(entries(&ground, true).await, ["a"], "only the holder closes");
    ground.backend.apply(&[close("a")]).await.unwrap();
    assert_eq!(entries(&ground, true).await, [""; 0]);
    assert_eq!(count(&ground, "a", 0).await, ChordState::Counted, "a duplicate, or the next run's");
    start(&ground, 2).await;
    assert_eq!(count(&ground, "b", 1).await, ChordState::Complete);
    assert_eq!(entries(&ground, true).await, ["a", "b"]);
}

async fn entries_come_by_index_and_those_without_one_last(ground: Ground) {
    start(&ground, 9).await;
    for (task, index) in [("c", Some(10)), ("z", None), ("b", Some(9)), ("a", Some(0))] {
        ground.backend.chord_part(&part(task, index)).await.unwrap();
    }
    assert_eq!(entries(&ground, true).await, ["a", "b", "c", "z"]);
}

async fn unordered_entries_come_as_they_arrived(ground: Ground) {
    start(&ground, 3).await;
    for (task, index) in [("c", 2), ("a", 0), ("b", 1)] {
        ground.backend.chord_part(&ChordPart { ordered: false, ..part(task, Some(index)) }).await.unwrap();
    }
    assert_eq!(entries(&ground, false).await, ["c", "a", "b"]);
}

async fn a_failed_chord_never_completes(ground: Ground) {
    start(&ground, 2).await;
    count(&ground, "a", 0).await;
    ground.backend.apply(&[fail("a")]).await.unwrap();
    assert_eq!(count(&ground, "b", 1).await, ChordState::Counted);
    assert!(!ground.backend.extend_claim("g", "token of b", 6).await.unwrap());
}

async fn a_chord_fails_once_though_two_saw_it_complete(ground: Ground) {
    start(&ground, 1).await;
    let slow = header(&ground, "a", 0).await;
    let mut quick = header(&ground, "a", 0).await;
    quick.chord_part = Some(ChordPart { token: "token of quick".to_owned(), ..part("a", Some(0)) });
    let errback = |first: &Settlement, task| Settlement { writes: vec![fail(task)], ..body(first, task) };
    assert_eq!(ground.settle(&slow).await, Settled::ChordComplete);
    ground.pass(Duration::from_secs(7)).await;
    assert_eq!(ground.settle(&quick).await, Settled::ChordComplete, "the claim of the slow one ran out");
    assert_eq!(ground.settle(&errback(&slow, "a")).await, Settled::ChordBusy);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (2, 0));
    assert_eq!(ground.settle(&errback(&quick, "quick")).await, Settled::Done);
    assert_eq!(ground.settle(&errback(&slow, "a")).await, Settled::ChordBusy, "the other has failed it");
    assert_eq!(ground.settle(&slow).await, Settled::Done, "asked again with the part, it is only counted");
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (0, 1));
}

async fn a_chord_that_starts_again_forgets_its_old_claim(ground: Ground) {
    start(&ground, 1).await;
    count(&ground, "a", 0).await;
    ground.backend.apply(&[close("a")]).await.unwrap();
    start(&ground, 1).await;
    assert_eq!(count(&ground, "a", 0).await, ChordState::Complete);
}

async fn a_claim_is_extended_by_its_holder_only(ground: Ground) {
    start(&ground, 1).await;
    count(&ground, "a", 0).await;
    assert!(ground.backend.extend_claim("g", "token of a", 60).await.unwrap());
    assert!(!ground.backend.extend_claim("g", "another", 60).await.unwrap());
    ground.pass(Duration::from_secs(30)).await;
    assert!(!ground.backend.extend_claim("g", "another", 60).await.unwrap(), "it lasts longer now");
    ground.backend.apply(&[close("a")]).await.unwrap();
    assert!(!ground.backend.extend_claim("g", "token of a", 60).await.unwrap(), "closed");
}

async fn a_claim_that_ran_out_is_taken_again_while_the_chord_is_open(ground: Ground) {
    start(&ground, 1).await;
    count(&ground, "a", 0).await;
    ground.pass(Duration::from_secs(7)).await;
    assert!(ground.backend.extend_claim("g", "token of a", 6).await.unwrap());
    assert!(!ground.backend.extend_claim("g", "another", 6).await.unwrap());
    assert!(!ground.backend.extend_claim("unknown group", "another", 6).await.unwrap());
}

async fn parts_that_come_before_the_size_is_known_count(ground: Ground) {
    assert_eq!(count(&ground, "a", 0).await, ChordState::Counted);
    start(&ground, 2).await;
    assert_eq!(count(&ground, "b", 1).await, ChordState::Complete);
}

async fn a_chord_forgets_everything_in_the_end(ground: Ground) {
    start(&ground, 2).await;
    count(&ground, "a", 0).await;
    ground.pass(Duration::from_secs(1001)).await;
    assert_eq!(entries(&ground, true).await, [""; 0]);
    assert_eq!(count(&ground, "b", 1).await, ChordState::Counted);
    assert_eq!(entries(&ground, true).await, ["b"]);
}

async fn a_chord_that_grows_waits_for_each_added_part_once(ground: Ground) {
    start(&ground, 1).await;
    let grow = |task: &str| Write::ChordGrow { group_id: "g".to_owned(), task_id: task.to_owned(), ttl: Some(1000) };
    // The step that adds them may be repeated.
    ground.backend.apply(&[grow("added"), grow("more")]).await.unwrap();
    ground.backend.apply(&[grow("added"), grow("more")]).await.unwrap();
    assert_eq!(count(&ground, "own", 0).await, ChordState::Counted);
    assert_eq!(count(&ground, "added", 0).await, ChordState::Counted);
    assert_eq!(count(&ground, "more", 0).await, ChordState::Complete);
}
