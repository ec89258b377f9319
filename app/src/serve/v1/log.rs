//! The log of a job, and the Celery tasks it was made of.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::Path;
use super::super::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(log)).routes(routes!(tasks))
}

/// What happened to a job, step by step, without its single pages: `{"at": TIME, "event": …, "data": …}`.
#[utoipa::path(get, path = "/jobs/{job_id}/log", responses(
    (status = 200, description = "Its log, oldest first", body = Object),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 503, description = "The ledger or the archive does not answer", body = Problem),
))]
async fn log(State(api): State<Api>, Path(job_id): Path<String>) -> Result<Json<Value>, Problem> {
    api.desk.job(&job_id).await?;
    Ok(Json(json!({"job_id": job_id, "log": api.desk.log(&job_id).await?})))
}

/// The Celery tasks of a job: its own, and that of each page that is there, with its worker and how often it was tried.
#[utoipa::path(get, path = "/jobs/{job_id}/tasks", responses(
    (status = 200, description = "Its tasks", body = Object),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 503, description = "The ledger or the store does not answer", body = Problem),
))]
async fn tasks(State(api): State<Api>, Path(job_id): Path<String>) -> Result<Json<Value>, Problem> {
    let entry = api.desk.job(&job_id).await?;
    let pages = api.desk.pages(&entry, |_, state| state.has_ended()).await?;
    let page = |page: &celeriac_tasks::result::PageRecord| {
        json!({
            "task_id": page.task_id, "job_id": job_id, "task_type": "page", "page": page.page, "status": page.status,
            "worker_id": page.worker, "retry_count": page.attempts.saturating_sub(1),
        })
    };
    let root = json!({"task_id": job_id, "job_id": job_id, "task_type": "document", "status": entry.status});
    let tasks: Vec<Value> = std::iter::once(root).chain(pages.iter().map(page)).collect();
    Ok(Json(json!({"job_id": job_id, "tasks": tasks})))
}
