//! The large-document service (S2.16 to S2.21): a document of many images in one JSON body, its batches, its end.

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{Entry, Submission};
use celeriac_tasks::result::JobStatus;
use celeriac_tasks::source::Document;
use celeriac_tasks::timestamp;
use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::super::auth::Caller;
use super::super::extract::{Path, read};
use super::super::problem::Problem;
use super::super::{Api, intake};
use crate::jobs::{Asked, Refusal, view_job};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/process-large-document", post(submit))
        .route("/batch-status/{job_id}", get(status))
        .route("/batch-stats", get(stats))
        .route("/cancel-job/{job_id}", post(cancel))
        .route("/health", get(health))
}

/// `POST /process-large-document` (S2.16): images or a PDF as base64, an address, a key, or a file in a form.
async fn submit(State(api): State<Api>, request: Request) -> Result<Json<Value>, Problem> {
    let (mut fields, document) = if intake::is_form(&request) { form(&api, request).await? } else { body(&api, request).await? };
    let announced = fields.remove("num_pages").filter(|pages| !pages.is_null());
    let announced = announced.map(|pages| number(&pages)).transpose()?;
    if let (Some(document), Some(announced)) = (&document, announced) {
        agrees(document, announced)?;
    }
    fields.remove("file_type");
    if let Some(document) = &document {
        let key = document.enter(&api.desk.store).await.map_err(Refusal::from)?;
        fields.insert("document_key".to_owned(), key.as_str().into());
    }
    let call: ProcessDocument = read(fields)?;
    let known = document.as_ref().and_then(Document::known_pages).or(announced);
    // Large documents are queued with high priority (S2.22).
    let priority = call.priority.clone().map_or_else(|| "high".into(), Value::from);
    let size_bytes = document.as_ref().map(|document| document.size_bytes);
    let submission = Submission { announced_pages: known, size_bytes, priority: Some(priority), ..Submission::default() };
    let submitted = api.desk.submit(Asked { call, submission }).await?;
    Ok(Json(queued(&api, &submitted.entry, known).await?))
}

/// The answer of S2.17, with the job's id and further places to go.
async fn queued(api: &Api, entry: &Entry, pages: Option<u32>) -> Result<Value, Problem> {
    let (id, batch, threshold) = (&entry.job_id, api.documents.batch_size, api.documents.large_document_threshold);
    let size = pages.map(|pages| batch.pages(pages as usize));
    let batched = pages.is_none_or(|pages| pages > threshold);
    let estimate = match pages {
        Some(pages) => Some(api.desk.estimate(pages).await?),
        None => None,
    };
    let seconds = estimate.as_ref().and_then(|estimate| estimate.seconds);
    let mut answer = json!({
        "status": "queued",
        "processing_strategy": if batched { "batch_parallel" } else { "direct" },
        "batch_size": size,
        "estimated_batches": pages.zip(size).map(|(pages, size)| if batched { (pages as usize).div_ceil(size) } else { 1 }),
        "estimated_completion_minutes": seconds.map(|seconds| seconds.div_ceil(60)),
        "status_endpoint": format!("/batch-status/{id}"),
        "cancel_endpoint": format!("/cancel-job/{id}"),
        "job_id": id,
        "events_endpoint": format!("/v1/jobs/{id}/events"),
        "result_endpoint": format!("/v1/jobs/{id}/result"),
    });
    if let Some(warning) = estimate.and_then(|estimate| estimate.warning) {
        answer["warning"] = warning.into();
    }
    Ok(answer)
}

type Taken = (Map<String, Value>, Option<Document>);

async fn body(api: &Api, request: Request) -> Result<Taken, Problem> {
    let given = intake::read_json(request.into_body(), &api.desk.store, api.max_json_bytes).await?;
    Ok((given.fields, given.document))
}

async fn form(api: &Api, request: Request) -> Result<Taken, Problem> {
    let mut form = intake::form(request, &api.desk.store, api.max_upload_bytes).await?;
    if form.files.len() > 1 {
        return Err(Problem::invalid("this route takes one file; /api/documents/async-upload takes several"));
    }
    Ok((form.values()?, form.files.pop()))
}

fn number(pages: &Value) -> Result<u32, Problem> {
    let number = pages.as_u64().or_else(|| pages.as_str()?.trim().parse().ok());
    let number = number.and_then(|pages| u32::try_from(pages).ok());
    number.ok_or_else(|| Problem::invalid(format!("num_pages is a number of pages, not {pages}")))
}

fn agrees(document: &Document, announced: u32) -> Result<(), Problem> {
    match document.known_pages() {
        Some(pages) if pages != announced => {
            Err(Problem::invalid(format!("num_pages is {announced}, but images_base64 has {pages} images")))
        }
        _ => Ok(()),
    }
}

/// `GET /batch-status/{job_id}` (S2.18).
async fn status(State(api): State<Api>, Path(job_id): Path<String>) -> Result<Json<Value>, Problem> {
    let entry = api.desk.job(&job_id).await?;
    let view = view_job(&entry, Utc::now());
    let left = seconds_left(&api, &entry).await?;
    let end = left.and_then(|seconds| i64::try_from(seconds).ok()).and_then(TimeDelta::try_seconds).map(|left| Utc::now() + left);
    Ok(Json(json!({
        "job_id": entry.job_id,
        "status": word(entry.status),
        "progress": view.percent.floor() as u64,
        "current_page": entry.ended(),
        "total_pages": entry.total(),
        "batches": {
            "total": view.batches.total,
            "completed": view.batches.completed,
            "active": view.batches.active,
            "failed": view.batches.failed,
        },
        "estimated_seconds_remaining": left,
        "estimated_completion_iso": end.as_ref().map(timestamp::format),
        "failed_pages": view.counts.failed,
        "partial": entry.status == JobStatus::Partial,
        "message": message(&entry),
        "usage": view.usage,
    })))
}

/// The states as S2 names them: a partial result is one.
fn word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Partial => "completed",
        other => other.as_str(),
    }
}

async fn seconds_left(api: &Api, entry: &Entry) -> Result<Option<u64>, Problem> {
    if entry.status.is_terminal() {
        return Ok(Some(0));
    }
    let seen = view_job(entry, Utc::now()).eta_seconds;
    match (seen, entry.total().saturating_sub(entry.ended())) {
        (Some(seconds), _) => Ok(Some(seconds)),
        (None, 0) => Ok(None),
        (None, pages) => Ok(api.desk.estimate(pages).await?.seconds),
    }
}

fn message(entry: &Entry) -> String {
    match (entry.status, &entry.error) {
        (_, Some(error)) => error.message.clone(),
        (JobStatus::Queued, None) => "Waiting for a worker".to_owned(),
        (JobStatus::Processing, None) if entry.pages.is_empty() => "Opening the document".to_owned(),
        (JobStatus::Processing, None) => format!("{} of {} pages", entry.ended(), entry.total()),
        (status, None) => format!("The job is {}", status.as_str()),
    }
}

/// `GET /batch-stats` (S2.19).
async fn stats(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let stats = api.desk.stats().await?;
    Ok(Json(serde_json::to_value(stats).unwrap_or_default()))
}

/// `POST /cancel-job/{job_id}` (S2.20).
async fn cancel(State(api): State<Api>, Path(job_id): Path<String>) -> Result<Json<Value>, Problem> {
    let before = api.desk.job(&job_id).await?;
    let entry = api.desk.cancel(&job_id).await?;
    let waiting = before.total().saturating_sub(before.ended());
    Ok(Json(json!({
        "job_id": job_id,
        "status": entry.status.as_str(),
        "cancelled_tasks": waiting,
        "completed_pages": entry.done(),
    })))
}

/// `GET /health` (S2.21): `healthy`, `degraded` where nobody serves a queue or a model is left alone because it fails (S4.32), `unhealthy`
/// where Redis does not answer.
/// Who is not known is told the first word alone.
async fn health(State(api): State<Api>, Extension(caller): Extension<Caller>) -> (StatusCode, Json<Value>) {
    let answer = |status: &str, redis: bool, online: usize, by_queue: Value, open: &[&str]| match caller.name {
        None => json!({"status": status}),
        Some(_) => json!({"status": status, "redis": if redis { "connected" } else { "unreachable" },
               "workers": {"online": online, "by_queue": by_queue}, "circuits_open": open, "version": env!("CARGO_PKG_VERSION")}),
    };
    let Ok(fleet) = api.desk.fleet().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(answer("unhealthy", false, 0, json!({}), &[])));
    };
    let queues = celeriac_tasks::pipeline::QUEUES;
    let by_queue: Map<String, Value> =
        queues.iter().map(|queue| ((*queue).to_owned(), fleet.serving(queue).count().into())).collect();
    let served = queues.iter().filter(|queue| **queue != "default").all(|queue| fleet.slots(queue) > 0);
    let open: Vec<&str> = fleet.open_circuits().into_iter().filter(|(_, workers)| *workers > 0).map(|(name, _)| name).collect();
    let status = if served && open.is_empty() { "healthy" } else { "degraded" };
    (StatusCode::OK, Json(answer(status, true, fleet.workers.len(), by_queue.into(), &open)))
}
