//! The workers: who there is, and making one larger, smaller, or end.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use celeriac::protocol::Map;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{JsonBody, Path};
use super::super::problem::Problem;
use crate::jobs::{Bounds, Refusal, WorkerView};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(workers))
        .routes(routes!(grow))
        .routes(routes!(shrink))
        .routes(routes!(autoscale))
        .routes(routes!(shutdown))
}

/// The workers, Python's and ours.
#[derive(Debug, Serialize, ToSchema)]
struct Workers {
    /// By name.
    workers: Vec<WorkerView>,
}

/// The workers that answer.
#[utoipa::path(get, path = "/workers", responses(
    (status = 200, description = "The workers", body = Workers),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn workers(State(api): State<Api>) -> Result<Json<Workers>, Problem> {
    Ok(Json(Workers { workers: api.desk.fleet().await?.workers.clone() }))
}

/// By how many slots.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Slots {
    /// How many; one, if it is not said.
    #[serde(default = "one")]
    n: u32,
}

const fn one() -> u32 {
    1
}

impl Slots {
    fn of(body: Option<JsonBody<Self>>) -> Result<u32, Problem> {
        match body.map_or(1, |JsonBody(slots)| slots.n) {
            0 => Err(Problem::invalid("n is how many slots more or fewer: at least 1")),
            n => Ok(n),
        }
    }
}

/// What a worker answered.
#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    /// Its name.
    worker: String,
    /// Its own words.
    said: String,
}

async fn told<const N: usize>(
    api: &Api,
    worker: String,
    command: &str,
    numbers: [(&str, u32); N],
) -> Result<Json<Answer>, Problem> {
    let arguments: Map = numbers.into_iter().map(|(name, number)| (name.to_owned(), number.into())).collect();
    let said = api.desk.tell_worker(&worker, command, arguments).await?;
    Ok(Json(Answer { worker, said }))
}

/// Lets a worker run more tasks at once.
#[utoipa::path(post, path = "/workers/{worker}/grow", request_body = Slots, responses(
    (status = 200, description = "It will", body = Answer),
    (status = 404, description = "No such worker answers", body = Problem),
    (status = 409, description = "It will not", body = Problem),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn grow(State(api): State<Api>, Path(worker): Path<String>, body: Option<JsonBody<Slots>>) -> Result<Json<Answer>, Problem> {
    let n = Slots::of(body)?;
    told(&api, worker, "pool_grow", [("n", n)]).await
}

/// Lets a worker run fewer tasks at once; what runs goes on.
#[utoipa::path(post, path = "/workers/{worker}/shrink", request_body = Slots, responses(
    (status = 200, description = "It will", body = Answer),
    (status = 404, description = "No such worker answers", body = Problem),
    (status = 409, description = "It will not", body = Problem),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn shrink(
    State(api): State<Api>,
    Path(worker): Path<String>,
    body: Option<JsonBody<Slots>>,
) -> Result<Json<Answer>, Problem> {
    let n = Slots::of(body)?;
    told(&api, worker, "pool_shrink", [("n", n)]).await
}

/// Changes between which sizes a worker that was started with `--autoscale` chooses.
#[utoipa::path(post, path = "/workers/{worker}/autoscale", request_body = Bounds, responses(
    (status = 200, description = "It will", body = Answer),
    (status = 404, description = "No such worker answers", body = Problem),
    (status = 409, description = "It will not", body = Problem),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn autoscale(
    State(api): State<Api>,
    Path(worker): Path<String>,
    JsonBody(bounds): JsonBody<Bounds>,
) -> Result<Json<Answer>, Problem> {
    let Bounds { min, max } = bounds;
    if max < min.max(1) {
        return Err(Problem::invalid(format!("max is at least min and 1; it is {max}, and min is {min}")));
    }
    told(&api, worker, "autoscale", [("min", min), ("max", max)]).await
}

/// Ends a worker: it takes nothing more, ends what it runs, and goes.
#[utoipa::path(post, path = "/workers/{worker}/shutdown", responses(
    (status = 202, description = "It is told"),
    (status = 404, description = "No such worker answers", body = Problem),
    (status = 409, description = "It is part of this service", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn shutdown(State(api): State<Api>, Path(worker): Path<String>) -> Result<StatusCode, Problem> {
    if api.own_worker == Some(worker.as_str()) {
        return Err(Refusal::Conflict(format!("{worker} runs in the process of this service: end the service instead")).into());
    }
    api.desk.end_worker(&worker).await?;
    Ok(StatusCode::ACCEPTED)
}
