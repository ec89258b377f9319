//! The system: its figures, queues, dead letters, and what a job would take.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use celeriac::dead_letters::Filter;
use celeriac_tasks::pipeline::QUEUES;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{JsonBody, Path, Query};
use super::super::problem::Problem;
use crate::jobs::{Estimate, Refusal, Stats};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(stats))
        .routes(routes!(queues))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(letters))
        .routes(routes!(requeue))
        .routes(routes!(discard))
        .routes(routes!(estimate))
}

/// The system at once: queues, jobs, workers, pages of the last minute, Redis.
#[utoipa::path(get, path = "/stats", responses(
    (status = 200, description = "Its figures", body = Stats),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn stats(State(api): State<Api>) -> Result<Json<Stats>, Problem> {
    Ok(Json(api.desk.stats().await?))
}

/// The queues, each with the six figures of BullMQ's `getQueueStatus` (S3.16) beside our own.
#[utoipa::path(get, path = "/queues", responses(
    (status = 200, description = "By name", body = Object),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn queues(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let stats = api.desk.stats().await?;
    let jobs = |name: &str| stats.jobs.get(name).copied().unwrap_or_default();
    let (completed, failed) = (jobs("completed") + jobs("partial"), jobs("failed") + jobs("cancelled"));
    let (waiting, active, delayed) = stats.queues.values().fold((0, 0, 0), |(waiting, active, delayed), queue| {
        (waiting + queue.waiting, active + u64::from(queue.active), delayed + queue.delayed)
    });
    let total = waiting + active + completed + failed + delayed;
    let status =
        json!({"waiting": waiting, "active": active, "completed": completed, "failed": failed, "delayed": delayed, "total": total});
    Ok(Json(json!({"queues": stats.queues, "status": status})))
}

pub(super) fn known(queue: &str) -> Result<(), Problem> {
    if QUEUES.contains(&queue) {
        return Ok(());
    }
    let text = format!("there is no queue {queue}; there are {}", QUEUES.join(", "));
    Err(Problem::new(StatusCode::NOT_FOUND, "not_found", text))
}

/// Tells the workers that take from a queue to take nothing from it any more.
#[utoipa::path(post, path = "/queues/{queue}/pause", responses(
    (status = 202, description = "Workers are told"),
    (status = 404, description = "There is no such queue", body = Problem),
    (status = 409, description = "No worker takes from it", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn pause(State(api): State<Api>, Path(queue): Path<String>) -> Result<StatusCode, Problem> {
    known(&queue)?;
    api.desk.pause(&queue).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Tells the workers that were told to pause, and no others, to take from a queue again.
#[utoipa::path(post, path = "/queues/{queue}/resume", responses(
    (status = 202, description = "Workers are told"),
    (status = 404, description = "There is no such queue", body = Problem),
    (status = 409, description = "It is not paused", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn resume(State(api): State<Api>, Path(queue): Path<String>) -> Result<StatusCode, Problem> {
    known(&queue)?;
    api.desk.resume(&queue).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// From this queue.
    queue: Option<String>,
    /// Calls of this task.
    task: Option<String>,
    /// Whose reason contains this.
    reason: Option<String>,
    /// How many are left out first.
    offset: Option<usize>,
    /// How many at most, up to 200.
    limit: Option<usize>,
}

/// The dead letters, youngest first.
#[utoipa::path(get, path = "/dlq", params(Which), responses(
    (status = 200, description = "Dead letters with their reasons", body = Object),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn letters(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Value>, Problem> {
    let filter = Filter { queue: which.queue, task: which.task, reason: which.reason, ..Filter::default() };
    let (skip, limit) = (which.offset.unwrap_or(0), which.limit.unwrap_or(50).clamp(1, 200));
    let letters = api.desk.app.dead_letters();
    let found = letters.list(&filter, skip, limit).await.map_err(Refusal::from)?;
    let total = letters.count().await.map_err(Refusal::from)?;
    let view = |letter: &celeriac::dead_letters::Letter| {
        json!({
            "id": letter.dead.id,
            "task": letter.task,
            "task_id": letter.task_id,
            "queue": letter.dead.queue,
            "reason": letter.dead.letter.reason,
            "deliveries": letter.dead.letter.deliveries,
            "worker": letter.dead.letter.nodename,
        })
    };
    Ok(Json(json!({"letters": found.iter().map(view).collect::<Vec<_>>(), "total": total})))
}

/// Letters by their ids.
#[derive(Debug, Deserialize, ToSchema)]
struct Ids {
    /// Their ids, or those of their tasks.
    #[schema(min_items = 1)]
    ids: Vec<String>,
}

async fn selected(api: &Api, ids: Ids) -> Result<Vec<String>, Problem> {
    if ids.ids.is_empty() {
        return Err(Problem::invalid("ids is empty: name the letters"));
    }
    let filter = Filter { ids: ids.ids, ..Filter::default() };
    let found = api.desk.app.dead_letters().select(&filter).await.map_err(Refusal::from)?;
    Ok(found.into_iter().map(|letter| letter.id).collect())
}

/// Puts dead letters back into their queues.
#[utoipa::path(post, path = "/dlq/requeue", request_body = Ids, responses(
    (status = 200, description = "Which went back", body = Object),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn requeue(State(api): State<Api>, JsonBody(ids): JsonBody<Ids>) -> Result<Json<Value>, Problem> {
    let ids = selected(&api, ids).await?;
    let gone = api.desk.app.dead_letters().requeue(&ids).await.map_err(Refusal::from)?;
    Ok(Json(json!({"requeued": gone})))
}

/// Throws dead letters away.
#[utoipa::path(post, path = "/dlq/discard", request_body = Ids, responses(
    (status = 200, description = "Which are gone", body = Object),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn discard(State(api): State<Api>, JsonBody(ids): JsonBody<Ids>) -> Result<Json<Value>, Problem> {
    let ids = selected(&api, ids).await?;
    let gone = api.desk.app.dead_letters().discard(&ids).await.map_err(Refusal::from)?;
    Ok(Json(json!({"discarded": gone})))
}

/// What an estimate is made of.
#[derive(Debug, Deserialize, ToSchema)]
struct Planned {
    /// How many pages.
    pages: u32,
}

/// How long a job of so many pages would take; nothing is queued.
#[utoipa::path(post, path = "/estimate", request_body = Planned, responses(
    (status = 200, description = "An estimate from what pages took lately", body = Estimate),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn estimate(State(api): State<Api>, JsonBody(planned): JsonBody<Planned>) -> Result<Json<Estimate>, Problem> {
    Ok(Json(api.desk.estimate(planned.pages).await?))
}
