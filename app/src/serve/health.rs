//! Whether the service lives, and whether it can work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use celeriac_tasks::store::Key;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// How long what we stand on may take to answer.
const PATIENCE: Duration = Duration::from_millis(250);
/// For how long an answer of the store is good: a probe comes every few seconds, and asking some stores costs.
const STORE_GOOD_FOR: Duration = Duration::from_secs(10);

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
    /// Whether the store answers.
    store: bool,
    /// Whether it has begun to stop.
    draining: bool,
}

/// Whether it can work.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "It can work", body = Readiness),
    (status = 503, description = "Something it stands on does not answer, or it stops", body = Readiness),
))]
async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let broker = async { api.desk.app.broker().vitals().await.is_ok() };
    let ledger = async { api.desk.ledger.count(celeriac_tasks::result::JobStatus::Queued).await.is_ok() };
    let (broker, ledger, store) = tokio::join!(within(broker), within(ledger), within(store(&api)));
    let draining = api.stopping.is_cancelled();
    let ready = broker && ledger && store && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, broker, ledger, store, draining }))
}

async fn within(answer: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or(false)
}

/// Whether the store says of a file that is not there that it is not, now or a moment ago.
async fn store(api: &Api) -> bool {
    let mut answered = api.store_answered.lock().await;
    if answered.is_some_and(|at| at.elapsed() < STORE_GOOD_FOR) {
        return true;
    }
    *answered = match Key::parse("readyz") {
        Ok(key) => api.desk.store.exists(&key).await.is_ok().then(Instant::now),
        Err(_) => None,
    };
    answered.is_some()
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
