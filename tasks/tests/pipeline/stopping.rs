//! A job that is stopped stops, keeps what is done, and goes on from there when it is asked for again.

use std::time::Duration;

use celeriac_tasks::ledger::{Entry, Limits, PageState, Submission, Told};
use celeriac_tasks::result::{JobStatus, PageStatus, PartialReason};
use celeriac_tasks::store::{Key, PageFile};
use chrono::{TimeDelta, Utc};
use libtest_mimic::Trial;
use serde_json::json;

use super::house::{House, SLOW, SLOWER, compact, numbered, pdf};
use super::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("stopping::a_cancelled_job_begins_no_page_keeps_what_is_done_and_is_resumed", cancelled),
        trial("stopping::a_job_that_was_cancelled_before_it_began_does_nothing", before),
        trial("stopping::a_page_that_runs_on_is_cut_off_after_the_grace", cut_off),
        trial("stopping::a_deadline_ends_a_job_with_what_is_done", deadline),
        trial("stopping::a_job_whose_time_is_over_before_it_runs_again_keeps_what_was_done", over),
        trial("stopping::the_ledger_tells_a_job_from_its_beginning_to_its_end", told),
        trial("stopping::a_document_that_cannot_be_opened_is_entered_as_failed", failed),
    ]
}

async fn entry(house: &House, job_id: &str) -> Entry {
    house.ledger.get(job_id).await.unwrap().unwrap()
}

/// Waits until so many pages of a job have ended.
async fn ended(house: &House, job_id: &str, pages: u32) {
    let mut news = house.ledger.follow().await.unwrap();
    while house.ledger.get(job_id).await.unwrap().is_none_or(|entry| entry.ended() < pages) {
        news.recv().await.unwrap();
    }
}

async fn cancelled() {
    let house = House::new();
    let path = house.file("long.pdf", &pdf(&vec![SLOW.to_owned(); 20]));
    let id = house.send(json!({"path": path, "job_id": "long", "summary": true})).await;
    ended(&house, "long", 4).await;
    house.ledger.cancel("long").await.unwrap();
    let meta = house.app.result(&id, Duration::from_secs(100)).await.unwrap();
    assert_eq!(compact(&meta)["job"]["status"], "cancelled");
    let stopped = entry(&house, "long").await;
    assert_eq!((stopped.status, &stopped.partial_reasons[..]), (JobStatus::Cancelled, &[PartialReason::Cancelled][..]));
    // What ran ended within the grace; what had not begun never did.
    let done = stopped.done();
    assert!((4..=12).contains(&done), "{}", stopped.pages);
    assert_eq!(stopped.pages.count(|state| state == PageState::Cancelled), 20 - done);
    let result = house.result("long").await;
    assert_eq!(result.counts.ok, done);
    assert_eq!(result.pages.iter().filter(|page| page.status == PageStatus::Skipped).count() as u32, 20 - done);

    house.ledger.restart("long", Limits::default()).await.unwrap();
    let meta = house.process(json!({"job_id": "long"})).await;
    assert_eq!(compact(&meta)["job"]["status"], "completed");
    let whole = entry(&house, "long").await;
    assert_eq!((whole.status, whole.done(), whole.runs), (JobStatus::Completed, 20, 2));
    assert_eq!(whole.pages.count(|state| state == PageState::Cached), done);
    house.close().await;
}

async fn before() {
    let house = House::new();
    let path = house.file("never.pdf", &pdf(&numbered(3)));
    house.ledger.create("never", Submission::default()).await.unwrap();
    house.ledger.cancel("never").await.unwrap();
    let meta = house.process(json!({"path": path, "job_id": "never"})).await;
    assert_eq!(compact(&meta)["status"], "cancelled");
    assert!(house.store.pages_done("never").await.unwrap().is_empty());
    assert_eq!(entry(&house, "never").await.status, JobStatus::Cancelled);
    house.close().await;
}

async fn cut_off() {
    let house = House::with(|documents| documents.cancel_grace = Duration::ZERO);
    // Each page sleeps in its child for longer than it takes until somebody looks whether it may go on.
    let path = house.file("slow.pdf", &pdf(&vec![SLOWER.to_owned(); 3]));
    let id = house.send(json!({"path": path, "job_id": "slow"})).await;
    let mut news = house.ledger.follow().await.unwrap();
    while house.ledger.get("slow").await.unwrap().is_none_or(|entry| entry.pages.count(|state| state == PageState::Running) < 3) {
        news.recv().await.unwrap();
    }
    house.ledger.cancel("slow").await.unwrap();
    let meta = house.app.result(&id, Duration::from_secs(100)).await.unwrap();
    assert_eq!(compact(&meta)["job"]["status"], "cancelled");
    assert!(entry(&house, "slow").await.pages.count(|state| state == PageState::Cancelled) >= 1);
    house.close().await;
}

async fn deadline() {
    let house = House::new();
    let path = house.file("late.pdf", &pdf(&vec![SLOW.to_owned(); 60]));
    let deadline = Some(Utc::now() + TimeDelta::seconds(6));
    house.ledger.create("late", Submission { deadline, ..Submission::default() }).await.unwrap();
    let meta = house.process(json!({"path": path, "job_id": "late"})).await;
    assert_eq!(compact(&meta)["job"]["status"], "partial");
    let entry = entry(&house, "late").await;
    assert_eq!((entry.status, &entry.partial_reasons[..]), (JobStatus::Partial, &[PartialReason::Deadline][..]));
    assert!(entry.done() >= 1 && entry.done() < 60, "{}", entry.pages);
    house.close().await;
}

async fn over() {
    let house = House::new();
    let path = house.file("again.pdf", &pdf(&numbered(3)));
    house.process(json!({"path": path, "job_id": "again"})).await;
    // One page is to be done again, and its time comes while it waits.
    house.store.delete(&Key::page("again", 2, PageFile::Record).unwrap()).await.unwrap();
    house.ledger.restart("again", Limits { deadline: Some(Utc::now()), ..Limits::default() }).await.unwrap();
    let meta = house.process(json!({"job_id": "again"})).await;
    assert_eq!(compact(&meta)["job"]["status"], "partial");
    let entry = entry(&house, "again").await;
    assert_eq!((entry.status, &entry.partial_reasons[..]), (JobStatus::Partial, &[PartialReason::Deadline][..]));
    let result = house.result("again").await;
    assert_eq!((result.counts.ok, result.pages[1].status), (2, PageStatus::Skipped));
    house.close().await;
}

async fn told() {
    let house = House::new();
    let path = house.file("told.pdf", &pdf(&numbered(60)));
    let meta = house.process(json!({"path": path, "job_id": "told", "user_id": "u", "tags": ["t"]})).await;
    assert_eq!(compact(&meta)["job"]["status"], "completed");
    let told: Vec<Told> = house.ledger.events("told", Default::default(), 1000).await.unwrap();
    let count = |kind: &str, key: &str, value: serde_json::Value| {
        told.iter().filter(|told| told.event.kind.as_str() == kind && told.event.data[key] == value).count()
    };
    assert_eq!((count("page", "s", json!("r")), count("page", "s", json!("o"))), (60, 60));
    assert_eq!(told.iter().filter(|told| told.event.kind.as_str() == "batch").count(), 3);
    let phases: Vec<_> =
        told.iter().filter(|told| told.event.kind.as_str() == "phase").map(|told| &told.event.data["phase"]).collect();
    assert_eq!(phases, ["render", "pages", "aggregate", "summary"]);
    assert_eq!(told.last().unwrap().event.data["status"], "completed");
    let entry = entry(&house, "told").await;
    assert_eq!((entry.submission.user_id.as_deref(), entry.submission.tags.as_slice()), (Some("u"), &["t".to_owned()][..]));
    assert!(house.ledger.milliseconds_per_page("offline").await.unwrap().is_some_and(|ms| ms > 0.0));
    house.close().await;
}

async fn failed() {
    let house = House::new();
    let path = house.file("broken.pdf", b"%PDF-1.4 and nothing more");
    let meta = house.process(json!({"path": path, "job_id": "broken"})).await;
    assert_eq!(meta.status.as_str(), "FAILURE");
    let entry = entry(&house, "broken").await;
    assert_eq!(entry.status, JobStatus::Failed);
    assert_eq!(serde_json::to_value(entry.error.unwrap().code).unwrap(), "pdf_corrupt");
    house.close().await;
}
