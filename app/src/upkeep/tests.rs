//! What the service does by itself, over memory.

use celeriac::protocol::exception::Exception;
use celeriac::protocol::meta::{Meta, meta_key};
use celeriac::protocol::serializer::Serializer;
use celeriac::protocol::state::State;
use celeriac::settlement::Write;
use celeriac_tasks::ledger::{Chore, Ending, Query, Retention, Submission};
use celeriac_tasks::result::JobStatus;
use celeriac_tasks::source::{Document, ImageSet, Upload};
use celeriac_tasks::store::Key;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{archiving, documents, retention, stray};
use crate::archive::Archive;
use crate::jobs::{Desk, Refusal, Retry};

/// A desk, and the folder of its files.
fn desk() -> (Desk, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Desk::in_memory(folder.path(), Retention::default()), folder)
}

/// A job that was sent and has ended.
async fn ended(desk: &Desk, job_id: &str, submission: Submission, status: JobStatus) {
    desk.ledger.create(job_id, submission).await.unwrap();
    desk.ledger.sent(job_id).await.unwrap();
    desk.ledger.finish(job_id, Ending { status, partial_reasons: Vec::new(), error: None }).await.unwrap();
}

/// The job's task failed.
async fn task_failed(desk: &Desk, job_id: &str) {
    let exception = Exception::new("builtins", "ValueError", vec!["no".into()]);
    let meta = Meta::new(job_id, State::Failure, exception.to_value());
    let value = meta.encode(Serializer::Json, None).unwrap();
    desk.app.backend().apply(&[Write::State { key: meta_key(job_id), value, ttl: None }]).await.unwrap();
}

fn call(call: serde_json::Value) -> Submission {
    Submission { call: call.as_object().unwrap().clone(), ..Submission::default() }
}

#[tokio::test]
async fn a_job_that_waits_to_run_again_is_not_ended_by_how_the_run_before_ended() {
    let (desk, _folder) = desk();
    ended(&desk, "j", call(json!({"path": "/a.pdf"})), JobStatus::Failed).await;
    task_failed(&desk, "j").await;

    desk.retry("j", &Retry::Missing).await.unwrap();
    assert_eq!(stray::look(&desk).await.unwrap(), stray::Strays::default());
    assert_eq!(desk.job("j").await.unwrap().status, JobStatus::Queued);
    // Its own failure ends it.
    task_failed(&desk, "j").await;
    assert_eq!(stray::look(&desk).await.unwrap().ended, 1);
    assert_eq!(desk.job("j").await.unwrap().status, JobStatus::Failed);
}

#[tokio::test]
async fn of_a_job_that_was_deleted_the_backend_keeps_no_result() {
    let (desk, _folder) = desk();
    ended(&desk, "j", call(json!({"path": "/a.pdf"})), JobStatus::Failed).await;
    task_failed(&desk, "j").await;
    desk.delete("j").await.unwrap();
    assert!(desk.app.state_of("j").await.unwrap().is_none());
}

/// A document that is handed in, made of these words.
async fn handed_in(desk: &Desk, words: &str) -> Document {
    let mut upload = Upload::begin(&desk.store, 1000).await.unwrap();
    upload.write(format!("%PDF-1.7\n{words}").as_bytes()).await.unwrap();
    upload.finish(None).await.unwrap()
}

/// A job for it, which ends well.
async fn job_of(desk: &Desk, job_id: &str, document: &Document) {
    let key = document.enter(&desk.store).await.unwrap();
    ended(desk, job_id, call(json!({"document_key": key.as_str()})), JobStatus::Completed).await;
}

async fn there(desk: &Desk, document: &Document) -> bool {
    let kept = desk.store.documents().await.unwrap();
    document.sums().iter().all(|sum| kept.contains_key(*sum))
}

/// When what was written just now is old enough to go.
fn later() -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(2)
}

#[tokio::test]
async fn a_document_goes_once_no_job_has_it_and_nobody_has_handed_it_in_lately() {
    let (desk, _folder) = desk();
    let (shared, refused) = (handed_in(&desk, "shared").await, handed_in(&desk, "refused").await);
    job_of(&desk, "one", &shared).await;
    job_of(&desk, "other", &shared).await;
    desk.delete("one").await.unwrap();

    assert_eq!(documents::sweep(&desk, Utc::now()).await.unwrap(), 0, "a job may be about to be entered");
    assert_eq!(documents::sweep(&desk, later()).await.unwrap(), 1);
    assert!(there(&desk, &shared).await && !there(&desk, &refused).await);
    desk.delete("other").await.unwrap();
    assert_eq!(documents::sweep(&desk, later()).await.unwrap(), 1);
    assert!(!there(&desk, &shared).await);
}

#[tokio::test]
async fn a_document_is_kept_for_whoever_has_it_however_he_names_it() {
    let (desk, _folder) = desk();
    let mut set = ImageSet::new(desk.store.clone(), 1000);
    set.add("iVBORw0KGgo=").await.unwrap();
    let set = set.finish().unwrap();
    job_of(&desk, "of images", &set).await;
    // By a key of the store, and not begun yet.
    let named = handed_in(&desk, "named").await;
    let (key, ..) = named.page_file(1).unwrap();
    desk.ledger.create("waits", call(json!({"store_key": key.as_str()}))).await.unwrap();
    // By a job that no ledger of ours knows.
    let fetched = handed_in(&desk, "fetched").await;
    desk.store.put_json(&Key::job("elsewhere", "job.json").unwrap(), &json!({"source": fetched})).await.unwrap();
    // By a document of several that is still to be entered.
    let part = handed_in(&desk, "part").await;
    let part_key = part.enter(&desk.store).await.unwrap();
    let whole = Submission { documents: Some(1), fingerprint: "f".into(), ..Submission::default() };
    let line = serde_json::to_vec(&call(json!({"document_key": part_key.as_str()}))).unwrap();
    desk.store.put(&Key::job("whole", "documents-f.jsonl").unwrap(), line).await.unwrap();
    desk.ledger.create("whole", whole).await.unwrap();

    assert_eq!(documents::sweep(&desk, later()).await.unwrap(), 0);
    for document in [&set, &named, &fetched, &part] {
        assert!(there(&desk, document).await, "{document:?}");
    }
    desk.delete("of images").await.unwrap();
    assert_eq!(documents::sweep(&desk, later()).await.unwrap(), 2, "the image, and the list of images");
}

#[tokio::test]
async fn a_document_is_kept_as_long_as_its_pages_and_no_job_runs_again_without_it() {
    let (folder, pages) = (tempfile::tempdir().unwrap(), std::time::Duration::from_secs(86_400));
    let desk = Desk::in_memory(folder.path(), Retention { pages, ..Retention::default() });
    let document = handed_in(&desk, "old").await;
    job_of(&desk, "j", &document).await;
    assert_eq!(documents::sweep(&desk, later() - TimeDelta::minutes(1)).await.unwrap(), 0);
    assert_eq!(documents::sweep(&desk, later() + TimeDelta::minutes(1)).await.unwrap(), 1);

    let desk = Desk::in_memory(folder.path(), Retention { pages: std::time::Duration::ZERO, ..Retention::default() });
    job_of(&desk, "j", &document).await;
    let refused = desk.retry("j", &Retry::Missing).await.unwrap_err();
    assert!(matches!(&refused, Refusal::Conflict(text) if text.contains("not kept any more")), "{refused:?}");
}

/// The jobs whose files' time is over.
async fn files_over(desk: &Desk) -> Vec<Chore> {
    let mut due = desk.ledger.chores(Chore::PAGES, 100, std::time::Duration::ZERO).await.unwrap();
    due.sort_by(|one, other| one.job_id.cmp(&other.job_id));
    due
}

#[tokio::test]
async fn of_jobs_that_have_ended_so_many_are_listed_and_the_others_keep_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::in_memory(folder.path(), Retention { pages: std::time::Duration::ZERO, ..Retention::default() });
    let whole = Submission { documents: Some(2), ..Submission::default() };
    desk.ledger.create("w", whole).await.unwrap();
    for part in 1..=2 {
        let submission = Submission { parent: Some("w".into()), part, ..Submission::default() };
        ended(&desk, &format!("w~{part}"), submission, JobStatus::Completed).await;
    }
    desk.ledger.entered("w").await.unwrap();
    // By name the later one, where both end in the same millisecond.
    ended(&desk, "z", Submission::default(), JobStatus::Completed).await;
    desk.ledger.create("runs", Submission::default()).await.unwrap();
    let result = Key::job("w~1", "result.json").unwrap();
    desk.store.put(&result, "{}").await.unwrap();
    for chore in files_over(&desk).await {
        retention::pages(desk.clone(), chore.clone()).await.unwrap();
        desk.ledger.done(&chore).await.unwrap();
    }

    retention::surplus(&desk, 2).await.unwrap();
    assert_eq!(desk.ledger.len().await.unwrap(), 5, "what runs does not count, nor do the documents of one job");
    retention::surplus(&desk, 1).await.unwrap();
    let mut left: Vec<String> =
        desk.find(&Query { limit: 10, ..Query::default() }).await.unwrap().jobs.into_iter().map(|job| job.job_id).collect();
    left.sort();
    assert_eq!(left, ["runs", "z"]);
    assert!(desk.store.exists(&result).await.unwrap());
    // And they go, though no entry tells of them any more.
    let over = files_over(&desk).await;
    assert_eq!(over.iter().map(|chore| chore.job_id.as_str()).collect::<Vec<_>>(), ["w", "w~1", "w~2"]);
    retention::pages(desk.clone(), over[1].clone()).await.unwrap();
    assert!(!desk.store.exists(&result).await.unwrap());
}

#[tokio::test]
async fn a_job_stays_listed_until_the_archive_has_it_and_runs_from_there_no_more() {
    let (desk, folder) = desk();
    let desk = desk.with_archive(Archive::open(&format!("sqlite:{}/archive.db", folder.path().display())).await.unwrap());
    ended(&desk, "j", call(json!({"path": "/a.pdf"})), JobStatus::Failed).await;
    retention::surplus(&desk, 0).await.unwrap();
    assert!(desk.ledger.get("j").await.unwrap().is_some());

    for chore in desk.ledger.chores(Chore::ARCHIVE, 10, std::time::Duration::ZERO).await.unwrap() {
        archiving::archive(desk.clone(), chore).await.unwrap();
    }
    retention::surplus(&desk, 0).await.unwrap();
    assert!(desk.ledger.get("j").await.unwrap().is_none());
    assert_eq!(desk.job("j").await.unwrap().status, JobStatus::Failed);
    let refused = desk.retry("j", &Retry::Missing).await.unwrap_err();
    assert!(matches!(&refused, Refusal::Conflict(text) if text.contains("archive alone")), "{refused:?}");
}
