//! One suite on SQLite and on a private Postgres.

use celeriac_tasks::ledger::{Entry, Event, EventId, Kind, Query, Submission, Told};
use celeriac_tasks::result::JobStatus;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::Archive;

#[path = "../../../tests/support/postgres_server.rs"]
#[expect(unreachable_pub, reason = "support is shared by path")]
mod postgres_server;

/// Each named test on both.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&format!("sqlite:{}", folder.path().join("archive.db").display())).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(server) = super::postgres_server::PostgresServer::start() {
                    super::$name(&server.url()).await;
                }
            })+
        }
    };
}

on_both!(
    a_job_is_archived_once_however_often_it_is_put_in,
    what_is_archived_is_found_again_by_what_it_is,
    what_a_database_cannot_keep_is_found_all_the_same,
    services_that_start_together_make_the_tables_once,
);

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

async fn a_job_is_archived_once_however_often_it_is_put_in(url: &str) {
    let archive = Archive::open(url).await.unwrap();
    let mut entry = job("j", "ann", "tax", 1000);
    let log = Told { id: EventId(5, 0), event: Event { job_id: "j".into(), kind: Kind::Log, data: json!({"text": "slow"}) } };
    archive.put(&entry, None, &json!([])).await.unwrap();
    entry.status = JobStatus::Failed;
    archive.put(&entry, None, &super::log(&[log])).await.unwrap();
    let found = archive.get("j").await.unwrap().unwrap();
    assert_eq!((archive.entry("j").await.unwrap(), found.result.is_none()), (Some(entry), true));
    assert_eq!(found.log, json!([{"at": 5, "event": "log", "data": {"text": "slow"}}]));
    assert!(archive.remove("j").await.unwrap() && !archive.remove("j").await.unwrap());
    assert!(archive.entry("j").await.unwrap().is_none());
}

async fn ids(archive: &Archive, query: Query) -> Vec<String> {
    let found = archive.find(&Query { limit: 10, ..query }).await.unwrap();
    found.jobs.into_iter().map(|entry| entry.job_id).collect()
}

async fn what_is_archived_is_found_again_by_what_it_is(url: &str) {
    {
        let archive = Archive::open(url).await.unwrap();
        for (n, (user, tag)) in [("ann", "tax"), ("bob", "tax"), ("ann", "law")].into_iter().enumerate() {
            archive.put(&job(&format!("job-{n}"), user, tag, 1000), None, &json!([])).await.unwrap();
        }
    }
    // Another process, later.
    let archive = Archive::open(url).await.unwrap();
    let ids = async |query: Query| ids(&archive, query).await;
    assert_eq!(ids(Query::default()).await, ["job-2", "job-1", "job-0"]);
    assert_eq!(ids(Query { user_id: Some("ann".into()), ..Query::default() }).await, ["job-2", "job-0"]);
    assert_eq!(ids(Query { tag: Some("tax".into()), ..Query::default() }).await, ["job-1", "job-0"]);
    assert_eq!(ids(Query { status: vec![JobStatus::Failed], ..Query::default() }).await, [""; 0]);
    assert_eq!(ids(Query { status: vec![JobStatus::Failed, JobStatus::Completed], ..Query::default() }).await.len(), 3);
    assert_eq!(ids(Query { text: Some("JOB-1 100%".into()), ..Query::default() }).await, ["job-1"]);
    assert_eq!(ids(Query { text: Some("job_1".into()), ..Query::default() }).await, [""; 0], "_ is no wildcard");
    let at = DateTime::<Utc>::from_timestamp_millis;
    assert_eq!(ids(Query { created_after: at(999), ..Query::default() }).await.len(), 3);
    assert_eq!(ids(Query { created_after: at(1000), ..Query::default() }).await, [""; 0]);

    let first = archive.find(&Query { limit: 2, ..Query::default() }).await.unwrap();
    let rest = archive.find(&Query { limit: 2, cursor: first.next, ..Query::default() }).await.unwrap();
    assert_eq!((first.jobs.len(), rest.jobs[0].job_id.as_str(), rest.next), (2, "job-0", None));
}

async fn what_a_database_cannot_keep_is_found_all_the_same(url: &str) {
    let archive = Archive::open(url).await.unwrap();
    let entry = job("j", "a\0nn", "\0tax", 1000);
    archive.put(&entry, None, &serde_json::json!([])).await.unwrap();
    assert_eq!(archive.entry("j").await.unwrap(), Some(entry), "the entry itself is whole");
    for query in [
        Query { user_id: Some("a\0nn".into()), ..Query::default() },
        Query { tag: Some("\0tax".into()), ..Query::default() },
        Query { text: Some("\0TAX".into()), ..Query::default() },
    ] {
        assert_eq!(ids(&archive, query.clone()).await, ["j"], "{query:?}");
    }
    assert!(archive.entry("j\0").await.unwrap().is_none() && !archive.remove("j\0").await.unwrap());
}

async fn services_that_start_together_make_the_tables_once(url: &str) {
    let opened = futures::future::join_all((0..8).map(|_| Archive::open(url))).await;
    for archive in opened {
        archive.unwrap().put(&job("j", "ann", "tax", 1000), None, &serde_json::json!([])).await.unwrap();
    }
}
