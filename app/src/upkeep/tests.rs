//! What the service does by itself, over memory.

use celeriac::protocol::exception::Exception;
use celeriac::protocol::meta::{Meta, meta_key};
use celeriac::protocol::serializer::Serializer;
use celeriac::protocol::state::State;
use celeriac::settlement::Write;
use celeriac_tasks::ledger::{Ending, Retention, Submission};
use celeriac_tasks::result::JobStatus;
use serde_json::json;

use super::stray;
use crate::jobs::{Desk, Retry};

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
