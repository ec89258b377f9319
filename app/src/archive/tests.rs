//! On SQLite; what runs on Postgres is in tests/service.

use celeriac_tasks::ledger::{Entry, Event, EventId, Kind, Query, Submission, Told};
use celeriac_tasks::result::JobStatus;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::Archive;

fn job(id: &str, user: &str, tag: &str, at: i64) -> Entry {
    let submission = Submission {
        user_id: Some(user.into()),
        tags: vec![tag.into(), tag.into()],
        file_name: Some(format!("{id} 100%.pdf")),
        ..Submission::default()
    };
    let mut entry = Entry::new(id, submission, DateTime::<Utc>::from_timestamp_millis(at).unwrap());
    entry.status = JobStatus::Completed;
    entry
}

async fn archive(folder: &tempfile::TempDir) -> Archive {
    Archive::open(&format!("sqlite:{}", folder.path().join("archive.db").display())).await.unwrap()
}

#[tokio::test]
async fn a_job_is_archived_once_however_often_it_is_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(&folder).await;
    let mut entry = job("j", "ann", "tax", 1000);
    let log = Told { id: EventId(5, 0), event: Event { job_id: "j".into(), kind: Kind::Log, data: json!({"text": "slow"}) } };
    archive.put(&entry, None, &[]).await.unwrap();
    entry.status = JobStatus::Failed;
    archive.put(&entry, None, &[log]).await.unwrap();
    let found = archive.get("j").await.unwrap().unwrap();
    assert_eq!((archive.entry("j").await.unwrap(), found.result.is_none()), (Some(entry), true));
    assert_eq!(found.log, json!([{"at": 5, "event": "log", "data": {"text": "slow"}}]));
    assert!(archive.remove("j").await.unwrap() && !archive.remove("j").await.unwrap());
    assert!(archive.entry("j").await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_archived_is_found_again_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    {
        let archive = archive(&folder).await;
        for (n, (user, tag)) in [("ann", "tax"), ("bob", "tax"), ("ann", "law")].into_iter().enumerate() {
            archive.put(&job(&format!("job-{n}"), user, tag, 1000), None, &[]).await.unwrap();
        }
    }
    // Another process, later.
    let archive = archive(&folder).await;
    let ids = async |query: Query| {
        let found = archive.find(&Query { limit: 10, ..query }).await.unwrap();
        found.jobs.into_iter().map(|entry| entry.job_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Query::default()).await, ["job-2", "job-1", "job-0"]);
    assert_eq!(ids(Query { user_id: Some("ann".into()), ..Query::default() }).await, ["job-2", "job-0"]);
    assert_eq!(ids(Query { tag: Some("tax".into()), ..Query::default() }).await, ["job-1", "job-0"]);
    assert_eq!(ids(Query { status: vec![JobStatus::Failed], ..Query::default() }).await, [""; 0]);
    assert_eq!(ids(Query { text: Some("JOB-1 100%".into()), ..Query::default() }).await, ["job-1"]);
    assert_eq!(ids(Query { text: Some("job_1".into()), ..Query::default() }).await, [""; 0], "_ is no wildcard");

    let first = archive.find(&Query { limit: 2, ..Query::default() }).await.unwrap();
    let rest = archive.find(&Query { limit: 2, cursor: first.next, ..Query::default() }).await.unwrap();
    assert_eq!((first.jobs.len(), rest.jobs[0].job_id.as_str(), rest.next), (2, "job-0", None));
}
