//! Whether the service lives, and whether it can work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// How long what we stand on may take to answer.
const PATIENCE: Duration = Duration::from_millis(250);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz)).routes(routes!(version))
}

/// Whether it lives: answered without asking anybody.
#[utoipa::path(get, path = "/livez", responses((status = 200, description = "It lives", body = String)))]
async fn livez() -> &'static str {
    "ok\n"
}

/// What it stands on.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// Whether requests can be served.
    ready: bool,
    /// Whether the broker answers.
    broker: bool,
    /// Whether the ledger of jobs answers.
    ledger: bool,
}

/// Whether it can work.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "It can work", body = Readiness),
    (status = 503, description = "Something it stands on does not answer", body = Readiness),
))]
async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let broker = async { api.desk.app.broker().vitals().await.is_ok() };
    let ledger = async { api.desk.ledger.count(celeriac_tasks::result::JobStatus::Queued).await.is_ok() };
    let within = |answer| async move { tokio::time::timeout(PATIENCE, answer).await.unwrap_or(false) };
    let (broker, ledger) = tokio::join!(within(Box::pin(broker) as futures::future::BoxFuture<'_, bool>), within(Box::pin(ledger)));
    let ready = broker && ledger;
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(Readiness { ready, broker, ledger }))
}

/// What runs.
#[derive(Debug, Serialize, ToSchema)]
struct Version {
    /// The program's version.
    version: &'static str,
    /// The version of the result's shape.
    result_schema: &'static str,
}

/// What runs.
#[utoipa::path(get, path = "/version", responses((status = 200, description = "Versions", body = Version)))]
async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION"), result_schema: celeriac_tasks::result::SCHEMA_VERSION })
}
