//! Jobs of several documents (S4.1, S4.7): the whole follows from its parts, whoever changes them and in whatever order.

use celeriac_tasks::ledger::{Chore, Cursor, Ending, Entry, EventId, Kind, Limits, Query, Submission};
use celeriac_tasks::result::{JobStatus, PartialReason, Phase};
use std::time::Duration;

use crate::ground::{Ground, opening};
use crate::on_both;

on_both!(
    a_whole_begins_and_ends_with_its_parts,
    parts_are_listed_in_order_and_by_state,
    parts_that_end_at_once_end_the_whole_once,
    a_stopped_whole_stops_its_parts_and_ends_with_the_last,
    a_part_that_runs_again_takes_up_the_whole,
    what_is_removed_of_a_part_is_not_missed,
    a_thousand_parts_are_counted_by_their_lists,
);

/// A job of so many documents, all entered.
async fn together(ground: &Ground, parts: u32) {
    let whole = Submission { documents: Some(parts), tags: vec!["all".into()], ..Submission::default() };
    ground.ledger.create("w", whole).await.unwrap();
    for part in 1..=parts {
        enter(ground, part).await;
    }
    ground.ledger.entered("w").await.unwrap();
}

async fn enter(ground: &Ground, part: u32) {
    let submission = Submission { parent: Some("w".into()), part, ..Submission::default() };
    ground.ledger.create(&format!("w~{part}"), submission).await.unwrap();
}

async fn whole(ground: &Ground) -> Entry {
    ground.other().get("w").await.unwrap().unwrap()
}

async fn begin(ground: &Ground, part: u32) {
    ground.other().begin(&format!("w~{part}"), Phase::Render, Submission::default).await.unwrap();
}

async fn end(ground: &Ground, part: u32, status: JobStatus) {
    let ending = Ending { status, partial_reasons: vec![], error: None };
    ground.other().finish(&format!("w~{part}"), ending).await.unwrap();
}

async fn a_whole_begins_and_ends_with_its_parts(ground: Ground) {
    let submission = Submission { documents: Some(2), ..Submission::default() };
    ground.ledger.create("w", submission).await.unwrap();
    assert_eq!((whole(&ground).await.status, whole(&ground).await.total()), (JobStatus::Queued, 2));
    enter(&ground, 1).await;
    begin(&ground, 1).await;
    ground.ledger.opened("w~1", opening(3)).await.unwrap();
    end(&ground, 1, JobStatus::Completed).await;
    let running = whole(&ground).await;
    assert_eq!((running.status, running.phase, running.percent()), (JobStatus::Processing, Phase::Pages, 50.0));

    enter(&ground, 2).await;
    assert!(ground.ledger.chores(Chore::ARCHIVE, 10, Duration::ZERO).await.unwrap().iter().all(|chore| chore.job_id != "w"));
    ground.ledger.entered("w").await.unwrap();
    end(&ground, 2, JobStatus::Failed).await;
    let ended = whole(&ground).await;
    assert_eq!((ended.status, ended.partial_reasons.as_slice()), (JobStatus::Partial, &[PartialReason::DocumentsFailed][..]));
    assert_eq!((ended.done(), ended.failed(), ended.total(), ended.runs), (1, 1, 2, 1));
    assert!(ground.ledger.chores(Chore::ARCHIVE, 10, Duration::ZERO).await.unwrap().iter().any(|chore| chore.job_id == "w"));

    let told = ground.ledger.all_events(EventId::default(), 100).await.unwrap();
    let of_parts = told.iter().filter(|told| told.event.data["parent"] == "w").count();
    assert_eq!(of_parts, 5, "who looks at the whole hears of each part: two entered, one begun, two ended: {told:?}");
    assert_eq!(told.iter().filter(|told| told.event.job_id == "w" && told.event.kind == Kind::End).count(), 1);
}

async fn parts_are_listed_in_order_and_by_state(ground: Ground) {
    together(&ground, 12).await;
    ground.ledger.create("other", Submission::default()).await.unwrap();
    end(&ground, 7, JobStatus::Completed).await;
    let list = async |query: Query| {
        let (mut ids, mut query) = (Vec::new(), Query { limit: 5, ..query });
        loop {
            let found = ground.ledger.find(&query).await.unwrap();
            ids.extend(found.jobs.into_iter().map(|entry| entry.job_id));
            match found.next.map(|cursor| Cursor::parse(&cursor.to_text()).unwrap()) {
                Some(next) => query.cursor = Some(next),
                None => return ids,
            }
        }
    };
    let of = |status: &[JobStatus]| Query { parent: Some("w".into()), status: status.to_vec(), ..Query::default() };
    assert_eq!(list(of(&[])).await, (1..=12).map(|part| format!("w~{part}")).collect::<Vec<_>>());
    assert_eq!(list(of(&[JobStatus::Completed])).await, ["w~7"]);
    assert_eq!(list(of(&[JobStatus::Queued])).await.len(), 11);
    assert_eq!(list(of(&[JobStatus::Queued, JobStatus::Completed])).await.len(), 12);
    let mut whole = list(Query { whole: true, ..Query::default() }).await;
    // Within a millisecond the ids decide, and not who came first.
    whole.sort();
    assert_eq!(whole, ["other", "w"]);
    assert_eq!(list(Query { whole: true, tag: Some("all".into()), ..Query::default() }).await, ["w"]);
    assert_eq!((ground.ledger.whole().await.unwrap(), ground.ledger.len().await.unwrap()), (2, 14));
}

async fn parts_that_end_at_once_end_the_whole_once(ground: Ground) {
    together(&ground, 24).await;
    futures::future::join_all((1..=24).map(|part| end(&ground, part, JobStatus::Completed))).await;
    let ended = whole(&ground).await;
    assert_eq!((ended.status, ended.done(), ended.times.finished.is_some()), (JobStatus::Completed, 24, true));
    let told = ground.ledger.events("w", EventId::default(), 100).await.unwrap();
    assert_eq!(told.iter().filter(|told| told.event.kind == Kind::End).count(), 1, "{told:?}");
}

async fn a_stopped_whole_stops_its_parts_and_ends_with_the_last(ground: Ground) {
    together(&ground, 40).await;
    begin(&ground, 1).await;
    end(&ground, 2, JobStatus::Completed).await;
    let (stopping, taken) = ground.ledger.cancel("w").await.unwrap().unwrap();
    assert_eq!((stopping.status, taken), (JobStatus::Cancelling, true));
    let parts = stopping.parts.unwrap();
    let count = |status| parts.in_state(status);
    assert_eq!([count(JobStatus::Cancelling), count(JobStatus::Cancelled), count(JobStatus::Completed)], [1, 38, 1]);
    end(&ground, 1, JobStatus::Partial).await;
    let ended = whole(&ground).await;
    assert_eq!((ended.status, ended.done(), ended.percent()), (JobStatus::Cancelled, 1, 100.0));
    assert!(!ground.ledger.cancel("w").await.unwrap().unwrap().1, "it has ended");
}

async fn a_part_that_runs_again_takes_up_the_whole(ground: Ground) {
    together(&ground, 2).await;
    end(&ground, 1, JobStatus::Completed).await;
    end(&ground, 2, JobStatus::Failed).await;
    assert_eq!(whole(&ground).await.status, JobStatus::Partial);
    assert!(ground.ledger.restart("w~2", Limits::default()).await.unwrap().unwrap().1);
    let again = whole(&ground).await;
    assert_eq!((again.status, again.times.finished, again.partial_reasons.len()), (JobStatus::Processing, None, 0));
    begin(&ground, 2).await;
    end(&ground, 2, JobStatus::Completed).await;
    let ended = whole(&ground).await;
    assert_eq!((ended.status, ended.runs), (JobStatus::Completed, 2));
}

async fn what_is_removed_of_a_part_is_not_missed(ground: Ground) {
    together(&ground, 3).await;
    end(&ground, 1, JobStatus::Completed).await;
    end(&ground, 2, JobStatus::Completed).await;
    ground.ledger.remove("w~3").await.unwrap();
    let ended = whole(&ground).await;
    assert_eq!((ended.status, ended.total()), (JobStatus::Completed, 2), "all that there is has ended");
    assert_eq!(ground.ledger.oldest(10).await.unwrap(), ["w"], "parts go with the whole, not by themselves");
    ground.ledger.remove("w").await.unwrap();
    ground.ledger.remove("w~1").await.unwrap();
    assert!(ground.ledger.get("w").await.unwrap().is_none());
}

async fn a_thousand_parts_are_counted_by_their_lists(ground: Ground) {
    together(&ground, 1000).await;
    futures::future::join_all((1..=999).map(|part| end(&ground, part, JobStatus::Completed))).await;
    let running = whole(&ground).await;
    assert_eq!((running.status, running.percent(), running.total()), (JobStatus::Processing, 99.9, 1000));
    assert!(serde_json::to_string(&running).unwrap().len() < 500, "the entry of a whole does not grow with its parts");
    end(&ground, 1000, JobStatus::Completed).await;
    assert_eq!(whole(&ground).await.status, JobStatus::Completed);
}
