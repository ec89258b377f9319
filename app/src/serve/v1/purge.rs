//! Throwing away what waits in a queue: for an admin who writes the queue's name once more, for nothing brings it back.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{JsonBody, Path};
use super::super::problem::Problem;
use super::system::known;
use crate::jobs::Refusal;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(purge))
}

/// That it is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Meant {
    /// The queue's name once more.
    confirm: String,
}

/// What is gone.
#[derive(Debug, Serialize, ToSchema)]
struct Purged {
    /// From where.
    queue: String,
    /// How many messages.
    purged: usize,
}

/// Throws away what nobody has taken from a queue, also what waits for its time. Jobs whose work it was do not go on by themselves.
#[utoipa::path(post, path = "/queues/{queue}/purge", request_body = Meant, responses(
    (status = 200, description = "They are gone", body = Purged),
    (status = 400, description = "It cannot be read", body = Problem),
    (status = 404, description = "There is no such queue", body = Problem),
    (status = 422, description = "`confirm` is not the queue's name", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn purge(
    State(api): State<Api>,
    Path(queue): Path<String>,
    JsonBody(meant): JsonBody<Meant>,
) -> Result<Json<Purged>, Problem> {
    known(&queue)?;
    if meant.confirm != queue {
        let text = format!("confirm is {:?}: write the queue's name, {queue:?}, to throw away what waits in it", meant.confirm);
        return Err(Problem::invalid(text));
    }
    let purged = api.desk.app.broker().purge(&queue).await.map_err(Refusal::from)?;
    Ok(Json(Purged { queue, purged }))
}
