//! Background processing of uploads (S1.6 to S1.9): several files in a form, a job for each.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use celeriac_tasks::job::{Analysis, ProcessDocument};
use celeriac_tasks::ledger::{Entry, Submission};
use celeriac_tasks::result::{Counts, JobStatus};
use celeriac_tasks::source::Document;
use celeriac_tasks::store::Key;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::extract::Query;
use super::super::problem::Problem;
use super::super::{Api, intake};
use crate::jobs::{Asked, Refusal};

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/documents/async-upload", post(submit).get(status))
}

/// `POST …/async-upload` (S1.6, S1.7).
async fn submit(State(api): State<Api>, request: Request) -> Result<Json<Value>, Problem> {
    let limit = api.async_upload_max_bytes;
    let form = intake::form(request, &api.desk.store, limit).await.map_err(|problem| with_limit(problem, limit))?;
    if form.files.is_empty() {
        return Err(Problem::invalid("no file: send one or more as form fields named files"));
    }
    let says = |name: &str| form.field(name).map(|value| value.eq_ignore_ascii_case("true") || value == "1");
    let mut asked = Vec::new();
    for document in &form.files {
        asked.push(one(&api, document, says("useAI"), says("generateSummary")).await?);
    }
    let entries = api.desk.submit_each(asked).await?;
    let job =
        |entry: &Entry| json!({"jobId": entry.job_id, "filename": entry.submission.file_name, "size": entry.submission.size_bytes});
    let jobs: Vec<Value> = entries.iter().map(job).collect();
    let mut answer = json!({
        "success": true,
        "message": format!("{} documents queued for processing", jobs.len()),
        "jobs": jobs,
        "queueStatus": queue_status(&api).await?,
    });
    if says("generateEmbeddings") == Some(true) {
        answer["warnings"] =
            json!(["generateEmbeddings: embeddings are not made; the result has the text of each page to make them of"]);
    }
    Ok(Json(answer))
}

/// The answer that is too large says how large it may be.
fn with_limit(problem: Problem, limit: u64) -> Problem {
    if problem.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return problem;
    }
    Problem {
        detail: format!("{} (this route takes {} MB a file; /v1/jobs takes more)", problem.detail, limit / 1_000_000),
        ..problem
    }
}

async fn one(api: &Api, document: &Document, ai: Option<bool>, summary: Option<bool>) -> Result<Asked, Problem> {
    let key = document.enter(&api.desk.store).await.map_err(Refusal::from)?;
    let call = ProcessDocument {
        document_key: Some(key.as_str().to_owned()),
        file_name: document.file_name.clone(),
        // With AI: as configured, a model where there is one.
        analysis: (ai == Some(false)).then_some(Analysis::Extractive),
        summary,
        ..ProcessDocument::default()
    };
    // S1.17: jobs with AI first, the others after them.
    let priority = Some(if ai == Some(true) { "high" } else { "normal" }.into());
    let submission = Submission { priority, size_bytes: Some(document.size_bytes), ..Submission::default() };
    Ok(Asked { call, submission })
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(rename = "jobId")]
    job_id: Option<String>,
}

/// `GET …/async-upload?jobId=` (S1.8), and without an id (S1.9).
async fn status(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Value>, Problem> {
    let Some(job_id) = which.job_id else {
        return Ok(Json(json!({"queueStatus": queue_status(&api).await?})));
    };
    let entry = api.desk.job(&job_id).await?;
    let seconds = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp());
    let mut answer = json!({
        "id": entry.job_id,
        "state": word(entry.status),
        "progress": entry.percent().floor() as u64,
        "result": result(&api, &entry).await?,
        "createdAt": seconds(entry.times.created),
        "processedAt": seconds(entry.times.started),
        "finishedAt": seconds(entry.times.finished),
    });
    match (entry.status, &entry.error) {
        (JobStatus::Cancelled | JobStatus::Cancelling, _) => answer["failedReason"] = "cancelled".into(),
        (_, Some(error)) => answer["failedReason"] = error.message.clone().into(),
        _ => {}
    }
    Ok(Json(answer))
}

/// The states as S1 names them.
fn word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Queued => "waiting",
        JobStatus::Processing => "active",
        JobStatus::Completed | JobStatus::Partial => "completed",
        _ => "failed",
    }
}

/// The part of a result that S1 tells of.
#[derive(Deserialize)]
struct Told {
    document: Named,
    counts: Counts,
}

#[derive(Deserialize)]
struct Named {
    document_id: String,
}

/// Counts of a job that is done; null before.
async fn result(api: &Api, entry: &Entry) -> Result<Value, Problem> {
    let status = match entry.status {
        JobStatus::Completed => "COMPLETED",
        JobStatus::Partial => "PARTIAL",
        _ => return Ok(Value::Null),
    };
    let key = Key::job(&entry.job_id, "result.json").map_err(Refusal::from)?;
    let Some(told) = api.desk.store.get_json::<Told>(&key).await.map_err(Refusal::from)? else { return Ok(Value::Null) };
    Ok(json!({
        "documentId": told.document.document_id,
        "status": status,
        "chunks": told.counts.chunks,
        "themes": told.counts.themes,
        "quotes": told.counts.quotes,
        "insights": told.counts.insights,
    }))
}

/// Jobs that wait, run, are done, and have failed (S1.14).
async fn queue_status(api: &Api) -> Result<Value, Problem> {
    let count = async |statuses: &[JobStatus]| -> Result<u64, Problem> {
        let mut sum = 0;
        for status in statuses {
            sum += api.desk.ledger.count(*status).await.map_err(Refusal::from)?;
        }
        Ok(sum)
    };
    Ok(json!({
        "waiting": count(&[JobStatus::Queued]).await?,
        "active": count(&[JobStatus::Processing, JobStatus::Cancelling]).await?,
        "completed": count(&[JobStatus::Completed, JobStatus::Partial]).await?,
        "failed": count(&[JobStatus::Failed, JobStatus::Cancelled]).await?,
    }))
}
