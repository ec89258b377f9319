//! Lists of jobs, page by page.

use celeriac_tasks::ledger::{Query, Retention, Submission};
use celeriac_tasks::result::{JobStatus, Phase};

use crate::ground::Ground;
use crate::on_both;

on_both!(
    a_list_is_youngest_first_and_every_job_once,
    what_is_left_out_first_may_be_long,
    jobs_are_found_by_what_they_are,
    what_has_ended_longest_ago_is_named_first,
    what_has_expired_by_itself_leaves_no_place
);

async fn enter(ground: &Ground, id: &str, user: &str, tag: &str, name: &str) {
    let submission =
        Submission { user_id: Some(user.into()), tags: vec![tag.into()], file_name: Some(name.into()), ..Submission::default() };
    ground.ledger.create(id, submission).await.unwrap();
}

async fn a_list_is_youngest_first_and_every_job_once(ground: Ground) {
    // More than are read at once, and parts of others among them, which stand in a list of their own.
    for n in 0..250 {
        let parent = (n % 3 > 0).then(|| "w".into());
        ground.ledger.create(&format!("job-{n:03}"), Submission { parent, part: n, ..Submission::default() }).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut query = Query { limit: 10, ..Query::default() };
    loop {
        let found = ground.ledger.find(&query).await.unwrap();
        seen.extend(found.jobs.into_iter().map(|entry| (entry.times.created, entry.job_id)));
        match found.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 250);
    assert!(seen.is_sorted_by(|younger, older| younger > older), "{seen:?}");
    let skipped = ground.ledger.find(&Query { skip: 245, limit: 10, ..Query::default() }).await.unwrap();
    assert_eq!((skipped.jobs.len(), skipped.next), (5, None));
}

async fn what_is_left_out_first_may_be_long(ground: Ground) {
    let (ground, numbers) = (&ground, (0..5200).collect::<Vec<u32>>());
    for some in numbers.chunks(100) {
        let enter = some.iter().map(|n| async move { enter(ground, &n.to_string(), "ann", "tax", "a.pdf").await });
        futures::future::join_all(enter).await;
    }
    let found = ground.ledger.find(&Query { skip: 5190, limit: 50, ..Query::default() }).await.unwrap();
    assert_eq!((found.jobs.len(), found.next), (10, None));
}

async fn jobs_are_found_by_what_they_are(ground: Ground) {
    enter(&ground, "1", "ann", "tax", "Report.pdf").await;
    enter(&ground, "2", "bob", "tax", "letter.pdf").await;
    enter(&ground, "3", "ann", "law", "letter.pdf").await;
    ground.ledger.begin("3", Phase::Upload, Submission::default).await.unwrap();
    let found = async |query: Query| {
        let found = ground.ledger.find(&Query { limit: 10, ..query }).await.unwrap();
        found.jobs.into_iter().map(|entry| entry.job_id).collect::<Vec<_>>()
    };
    assert_eq!(found(Query { user_id: Some("ann".into()), ..Query::default() }).await, ["3", "1"]);
    assert_eq!(found(Query { tag: Some("tax".into()), ..Query::default() }).await, ["2", "1"]);
    assert_eq!(found(Query { status: vec![JobStatus::Processing], ..Query::default() }).await, ["3"]);
    assert_eq!(found(Query { status: vec![JobStatus::Processing, JobStatus::Queued], ..Query::default() }).await.len(), 3);
    assert_eq!(found(Query { text: Some("REPORT".into()), ..Query::default() }).await, ["1"]);
    assert_eq!(found(Query { user_id: Some("bob".into()), tag: Some("law".into()), ..Query::default() }).await, [""; 0]);
}

async fn what_has_ended_longest_ago_is_named_first(ground: Ground) {
    for id in ["1", "2", "3"] {
        enter(&ground, id, "ann", "tax", "a.pdf").await;
    }
    for id in ["2", "1"] {
        ground.ledger.cancel(id).await.unwrap();
        let ended = ground.ledger.get(id).await.unwrap().unwrap().times.finished.unwrap();
        // Each in a millisecond of its own, or the id decides.
        while chrono::Utc::now().timestamp_millis() <= ended.timestamp_millis() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(ground.ledger.oldest(10).await.unwrap(), ["2", "1"]);
    // Those whose time is over, once it is.
    let finished = ground.ledger.get("2").await.unwrap().unwrap().times.finished.unwrap();
    let kept = chrono::TimeDelta::from_std(celeriac_tasks::ledger::Retention::default().failed).unwrap();
    assert_eq!(ground.ledger.over(finished + kept).await.unwrap(), [""; 0]);
    assert_eq!(ground.ledger.over(finished + kept + chrono::TimeDelta::microseconds(1)).await.unwrap(), ["2"]);
    assert_eq!(ground.ledger.over(finished + kept + chrono::TimeDelta::days(1)).await.unwrap(), ["2", "1"]);
    assert_eq!(ground.ledger.len().await.unwrap(), 3);
}

async fn what_has_expired_by_itself_leaves_no_place(ground: Ground) {
    for id in ["1", "2"] {
        enter(&ground, id, "ann", "tax", "a.pdf").await;
        ground.ledger.cancel(id).await.unwrap();
    }
    if !ground.expire("1") {
        return;
    }
    let later = chrono::Utc::now() + chrono::TimeDelta::from_std(Retention::default().failed).unwrap();
    assert_eq!(ground.ledger.over(later - chrono::TimeDelta::minutes(1)).await.unwrap(), [""; 0]);
    assert_eq!(ground.ledger.over(later + chrono::TimeDelta::seconds(1)).await.unwrap()[0], "1");
    ground.ledger.remove("1").await.unwrap();
    assert_eq!((ground.ledger.len().await.unwrap(), ground.ledger.whole().await.unwrap()), (1, 1));
    assert_eq!(ground.ledger.count(JobStatus::Cancelled).await.unwrap(), 1);
    assert_eq!(ground.ledger.oldest(10).await.unwrap(), ["2"]);
}
