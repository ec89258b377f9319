//! `/metrics`.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::metrics::MEDIA_TYPE;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Figures for Prometheus: the cluster, jobs and pages, requests, Redis.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, description = "In the OpenMetrics form", content_type = "application/openmetrics-text", body = String),
))]
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], api.metrics.render(&api.desk).await)
}
