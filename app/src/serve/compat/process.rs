//! The distributed service (S0.13, S0.14): a document handed in or named by its key, and one route to look and to act.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{Entry, Submission};
use celeriac_tasks::timestamp;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::extract::{JsonBody, Query};
use super::super::problem::Problem;
use super::super::{Api, intake};
use crate::jobs::{Asked, Refusal, Retry, view_job};

/// The largest JSON body.
const JSON_MAX: usize = 1024 * 1024;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/process", post(submit)).route("/api/jobs/status", get(status).post(act))
}

#[derive(Debug, Deserialize)]
struct ByKey {
    #[serde(rename = "fileKey")]
    file_key: String,
    #[serde(default, rename = "fileName")]
    file_name: Option<String>,
    #[serde(default, rename = "userId")]
    user_id: Option<String>,
}

/// `POST /api/process` (S0.13): a file in a form, or `{"fileKey": …}`.
async fn submit(State(api): State<Api>, request: Request) -> Result<Json<Value>, Problem> {
    let asked = if intake::is_form(&request) { by_file(&api, request).await? } else { by_key(request).await? };
    let entry = api.desk.submit(asked).await?.entry;
    Ok(Json(json!({"jobId": entry.job_id, "status": entry.status.as_str(), "message": "Job queued for processing"})))
}

async fn by_file(api: &Api, request: Request) -> Result<Asked, Problem> {
    let form = intake::form(request, &api.desk.store, api.max_upload_bytes).await?;
    let [document] = form.files.as_slice() else {
        return Err(Problem::invalid(format!("the form has {} files; this route takes one", form.files.len())));
    };
    let key = document.enter(&api.desk.store).await.map_err(Refusal::from)?;
    let call = ProcessDocument {
        document_key: Some(key.as_str().to_owned()),
        file_name: document.file_name.clone(),
        user_id: form.field("userId").map(str::to_owned),
        ..ProcessDocument::default()
    };
    Ok(Asked { call, submission: Submission { size_bytes: Some(document.size_bytes), ..Submission::default() } })
}

async fn by_key(request: Request) -> Result<Asked, Problem> {
    let bytes = to_bytes(request.into_body(), JSON_MAX).await;
    let bytes = bytes.map_err(|error| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string()))?;
    let asked: ByKey = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::invalid(format!("send a form with a file, or {{\"fileKey\": …}}: {error}")))?;
    let call = ProcessDocument {
        store_key: Some(asked.file_key),
        file_name: asked.file_name,
        user_id: asked.user_id,
        ..ProcessDocument::default()
    };
    Ok(Asked { call, ..Asked::default() })
}

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(rename = "jobId")]
    job_id: String,
}

/// `GET /api/jobs/status?jobId=` (S0.14).
async fn status(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Value>, Problem> {
    Ok(Json(view(&api.desk.job(&which.job_id).await?)))
}

#[derive(Debug, Deserialize)]
struct Act {
    #[serde(rename = "jobId")]
    job_id: String,
    action: Action,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Retry,
    Resume,
    Cancel,
    Delete,
}

/// `POST /api/jobs/status` (S0.14): `{"jobId": …, "action": "retry" | "cancel" | "delete" | "resume"}`.
async fn act(State(api): State<Api>, JsonBody(act): JsonBody<Act>) -> Result<Json<Value>, Problem> {
    let entry = match act.action {
        Action::Retry => api.desk.retry(&act.job_id, &Retry::Missing).await?,
        Action::Resume => api.desk.retry(&act.job_id, &Retry::GoOn).await?,
        Action::Cancel => api.desk.cancel(&act.job_id).await?,
        Action::Delete => {
            api.desk.delete(&act.job_id).await?;
            return Ok(Json(json!({"success": true, "jobId": act.job_id, "status": "deleted"})));
        }
    };
    let mut answer = view(&entry);
    answer["success"] = true.into();
    Ok(Json(answer))
}

fn view(entry: &Entry) -> Value {
    let seen = view_job(entry, Utc::now());
    json!({
        "jobId": entry.job_id,
        "status": entry.status.as_str(),
        "progress": seen.percent.floor() as u64,
        "fileName": seen.file_name,
        "currentPage": entry.ended(),
        "totalPages": entry.total(),
        "error": entry.error.as_ref().map(|error| error.message.clone()),
        "createdAt": entry.times.created.as_ref().map(timestamp::format),
        "resultUrl": format!("/v1/jobs/{}/result", entry.job_id),
    })
}
