//! From a submission to an end, and who may change what.

use std::time::Duration;

use celeriac_tasks::ledger::{Chore, Created, Ending, Limits, PageChange, PageState, Query, Submission, Verdict, Webhook};
use celeriac_tasks::result::{JobStatus, PartialReason, Phase};

use crate::ground::Ground;
use crate::on_both;

on_both!(
    the_same_submission_is_found_again_and_another_is_told_apart,
    a_job_runs_from_its_submission_to_its_end,
    changes_of_many_at_once_are_all_kept,
    what_is_cancelled_stops_and_is_taken_up_again,
    nothing_is_left_of_what_is_removed,
    what_is_left_of_the_work_of_a_deleted_job_stops,
);

fn asked(fingerprint: &str) -> Submission {
    Submission { fingerprint: fingerprint.into(), file_name: Some("report.pdf".into()), ..Submission::default() }
}

async fn the_same_submission_is_found_again_and_another_is_told_apart(ground: Ground) {
    let create = async |what: &str| ground.other().create("j", asked(what)).await.unwrap();
    assert!(matches!(create("a").await, Created::New(_)));
    assert!(matches!(create("a").await, Created::Same(_)));
    let Created::Different(first) = create("b").await else { panic!("b is not a") };
    assert_eq!(first.submission.fingerprint, "a");
}

async fn a_job_runs_from_its_submission_to_its_end(ground: Ground) {
    let ledger = &ground.ledger;
    ledger.create("j", asked("a")).await.unwrap();
    ledger.sent("j").await.unwrap();
    ground.running("j", 60).await;
    let pages = |from: u32, to: u32, state| (from..=to).map(|page| PageChange::new(page, state)).collect::<Vec<_>>();
    assert_eq!(ledger.pages("j", &pages(1, 30, PageState::Running)).await.unwrap().unwrap().1, Verdict::Go);
    ledger.pages("j", &pages(1, 26, PageState::Ok)).await.unwrap();

    let entry = ground.other().get("j").await.unwrap().unwrap();
    assert_eq!((entry.status, entry.phase, entry.done(), entry.total()), (JobStatus::Processing, Phase::Pages, 26, 60));
    assert!(entry.sent && entry.submission.file_name.as_deref() == Some("report.pdf"));
    let batches = entry.batches();
    assert_eq!((batches.len(), batches[0].is_complete(), batches[1].is_active(), batches[2].begun), (3, true, true, 0));
    assert_eq!(ledger.count(JobStatus::Processing).await.unwrap(), 1);

    let ending = Ending { status: JobStatus::Partial, partial_reasons: vec![PartialReason::PagesFailed], error: None };
    let ended = ledger.finish("j", ending).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.phase, ended.percent()), (JobStatus::Partial, Phase::Done, 100.0));
    assert_eq!((ledger.count(JobStatus::Processing).await.unwrap(), ledger.count(JobStatus::Partial).await.unwrap()), (0, 1));
}

async fn changes_of_many_at_once_are_all_kept(ground: Ground) {
    ground.running("j", 40).await;
    let mut tasks = tokio::task::JoinSet::new();
    for page in 1..=40 {
        let ledger = if page % 2 == 0 { ground.other() } else { ground.ledger.clone() };
        tasks.spawn(async move { ledger.pages("j", &[PageChange::new(page, PageState::Ok)]).await.unwrap().unwrap().1 });
    }
    assert!(tasks.join_all().await.iter().all(|verdict| *verdict == Verdict::Go));
    let entry = ground.ledger.get("j").await.unwrap().unwrap();
    assert_eq!((entry.done(), entry.pages.to_string()), (40, "o".repeat(40)));
    assert!(entry.times.pages_done.is_some());
}

async fn what_is_cancelled_stops_and_is_taken_up_again(ground: Ground) {
    let ledger = &ground.ledger;
    ground.running("j", 3).await;
    ledger.pages("j", &[PageChange::new(1, PageState::Running)]).await.unwrap();
    let (entry, taken) = ground.other().cancel("j").await.unwrap().unwrap();
    assert_eq!((entry.status, taken), (JobStatus::Cancelling, true));
    let stop = Verdict::Stop(PartialReason::Cancelled);
    assert_eq!(ledger.pages("j", &[PageChange::new(2, PageState::Running)]).await.unwrap().unwrap().1, stop);
    assert_eq!(ledger.pages("j", &[PageChange::new(1, PageState::Ok)]).await.unwrap().unwrap().1, stop);
    assert_eq!(ledger.get("j").await.unwrap().unwrap().pages.to_string(), "oxx", "what had not begun is left out at once");
    ledger.finish("j", Ending { status: JobStatus::Partial, partial_reasons: vec![], error: None }).await.unwrap();
    assert_eq!(ledger.get("j").await.unwrap().unwrap().status, JobStatus::Cancelled);
    assert!(!ledger.cancel("j").await.unwrap().unwrap().1);
    assert_eq!(ledger.begin("j", Phase::Upload, Submission::default).await.unwrap(), stop);

    assert!(ledger.restart("j", Limits::default()).await.unwrap().unwrap().1);
    assert_eq!(ledger.begin("j", Phase::Upload, Submission::default).await.unwrap(), Verdict::Go);
    assert_eq!(ledger.get("j").await.unwrap().unwrap().runs, 2);
    assert!(ledger.cancel("nobody").await.unwrap().is_none());
}

async fn nothing_is_left_of_what_is_removed(ground: Ground) {
    let ledger = &ground.ledger;
    let hook = Webhook { url: "https://example.com/hook".into(), events: Vec::new() };
    let submission = Submission { user_id: Some("u".into()), tags: vec!["t".into()], webhook: Some(hook), ..asked("a") };
    ledger.create("j", submission).await.unwrap();
    ledger.cancel("j").await.unwrap();
    assert!(ledger.remove("j").await.unwrap());
    assert!(ledger.remove("j").await.unwrap(), "once more is as well");
    let left = serde_json::to_string(&ledger.left_of("j").await.unwrap()).unwrap();
    assert!(left.contains("deleted") && !["report", "example.com", r#""u""#].iter().any(|told| left.contains(told)), "{left}");
    assert!(ledger.get("j").await.unwrap().is_none());
    assert_eq!(ledger.count(JobStatus::Cancelled).await.unwrap(), 0);
    assert!(ledger.events("j", Default::default(), 100).await.unwrap().is_empty());
}

async fn what_is_left_of_the_work_of_a_deleted_job_stops(ground: Ground) {
    let (ledger, stop) = (&ground.ledger, Verdict::Stop(PartialReason::Cancelled));
    let ending = || Ending { status: JobStatus::Cancelled, partial_reasons: vec![PartialReason::Cancelled], error: None };

    // One that waits for its worker.
    ledger.create("waits", asked("a")).await.unwrap();
    ledger.cancel("waits").await.unwrap();
    assert!(ledger.remove("waits").await.unwrap(), "nothing of it runs");
    assert_eq!(ground.other().begin("waits", Phase::Render, Submission::default).await.unwrap(), stop);
    ledger.finish("waits", ending()).await.unwrap();

    // One that runs: it may write until it has ended.
    ground.running("runs", 40).await;
    ledger.cancel("runs").await.unwrap();
    assert!(!ledger.remove("runs").await.unwrap(), "some of it runs");
    assert_eq!(ground.other().verdict("runs").await.unwrap(), stop);
    assert_eq!(ledger.pages("runs", &[PageChange::new(1, PageState::Running)]).await.unwrap().unwrap().1, stop);
    ledger.finish("runs", ending()).await.unwrap();
    assert!(ledger.left_of("runs").await.unwrap().unwrap().status.is_terminal());

    for id in ["waits", "runs"] {
        assert_eq!(ledger.get(id).await.unwrap(), None);
        assert_eq!((ledger.cancel(id).await.unwrap(), ledger.restart(id, Limits::default()).await.unwrap()), (None, None));
        assert_eq!(ledger.verdict(id).await.unwrap(), stop);
    }
    assert!(ledger.find(&Query::default()).await.unwrap().jobs.is_empty());
    assert_eq!((ledger.len().await.unwrap(), ledger.oldest(9).await.unwrap()), (0, vec![]));
    assert!(ledger.chores(Chore::ARCHIVE, 9, Duration::ZERO).await.unwrap().iter().all(|chore| chore.job_id == "waits"));

    // The id is free for another.
    assert!(matches!(ledger.create("runs", asked("b")).await.unwrap(), Created::New(_)));
    assert_eq!(ledger.verdict("runs").await.unwrap(), Verdict::Go);
    assert_eq!(ledger.find(&Query::default()).await.unwrap().jobs.len(), 1);
}
