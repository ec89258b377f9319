//! The pipeline of files (S3.6 to S3.8): files by their paths, with a customer, tags and a classification.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{self, Entry, Submission};
use celeriac_tasks::result::JobStatus;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::Api;
use super::super::extract::{JsonBody, Query};
use super::super::problem::Problem;
use crate::jobs::Asked;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/pipeline/process", post(submit).get(look).delete(remove))
}

/// How many jobs a list has unless it is said, and at most.
const LIST: usize = 50;
const LIST_MAX: usize = 200;

#[derive(Debug, Deserialize)]
struct Files {
    files: Vec<File>,
    #[serde(default)]
    customer: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    classification: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// `POST /api/pipeline/process` (S3.6, S3.7).
async fn submit(State(api): State<Api>, JsonBody(asked): JsonBody<Files>) -> Result<Json<Value>, Problem> {
    if asked.files.is_empty() {
        return Err(Problem::invalid("files is empty: name at least one"));
    }
    let mut metadata = Map::new();
    metadata.extend(asked.customer.map(|customer| ("customer".to_owned(), customer.into())));
    metadata.extend(asked.classification.map(|classification| ("classification".to_owned(), classification)));
    let one = |file: &File| {
        let mut metadata = metadata.clone();
        metadata.extend(file.kind.clone().map(|kind| ("type".to_owned(), kind.into())));
        let call = ProcessDocument {
            path: Some(file.path.clone().into()),
            file_name: file.name.clone(),
            tags: asked.tags.clone(),
            metadata,
            ..ProcessDocument::default()
        };
        Asked { call, submission: Submission { size_bytes: file.size, ..Submission::default() } }
    };
    let entries = api.desk.submit_each(asked.files.iter().map(one).collect()).await?;
    let jobs: Vec<Value> = entries.iter().map(view).collect();
    Ok(Json(json!({"success": true, "message": format!("Started processing {} file(s)", jobs.len()), "jobs": jobs})))
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(rename = "jobId")]
    job_id: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// `GET …?jobId=` and `GET …?limit=&offset=` (S3.8).
async fn look(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Value>, Problem> {
    if let Some(job_id) = which.job_id {
        return Ok(Json(view(&api.desk.job(&job_id).await?)));
    }
    let (limit, offset) = (which.limit.unwrap_or(LIST).clamp(1, LIST_MAX), which.offset.unwrap_or(0));
    let query = ledger::Query { limit, skip: offset, ..ledger::Query::default() };
    let jobs: Vec<Value> = api.desk.find(&query).await?.jobs.iter().map(view).collect();
    Ok(Json(json!({"success": true, "jobs": jobs, "limit": limit, "offset": offset})))
}

/// `DELETE …?jobId=` (S3.8): one that runs is cancelled first.
async fn remove(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Value>, Problem> {
    let job_id = which.job_id.ok_or_else(|| Problem::invalid("jobId is missing: ?jobId=…"))?;
    api.desk.delete(&job_id).await?;
    Ok(Json(json!({"success": true, "message": format!("Job {job_id} deleted")})))
}

fn view(entry: &Entry) -> Value {
    let name = entry.submission.file_name.clone().or_else(|| name_of(entry)).unwrap_or_else(|| "document".to_owned());
    let message = match (entry.status, &entry.error) {
        (_, Some(error)) => format!("Failed: {}", error.message),
        (JobStatus::Queued, None) => format!("Queued: {name}"),
        (JobStatus::Processing | JobStatus::Cancelling, None) => {
            format!("Processing: {name} ({} of {} pages)", entry.ended(), entry.total())
        }
        (JobStatus::Partial, None) => format!("Completed: {name} ({} pages failed)", entry.failed()),
        (status, None) => format!("{}: {name}", capitalized(status.as_str())),
    };
    json!({
        "jobId": entry.job_id,
        "status": word(entry.status),
        "progress": entry.percent().floor() as u64,
        "message": message,
        "fileName": name,
    })
}

/// The last part of the path it was asked for by.
fn name_of(entry: &Entry) -> Option<String> {
    let path = entry.submission.call.get("path")?.as_str()?;
    path.rsplit('/').next().map(str::to_owned)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The states as S3 names them.
fn word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Partial => "completed",
        JobStatus::Cancelling => "cancelled",
        other => other.as_str(),
    }
}
