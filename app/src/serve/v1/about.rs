//! How this service is set up, and whether all it needs is there: for admins.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::about::{Route, Shown};
use super::super::problem::Problem;
use crate::doctor::{Check, Status};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(settings)).routes(routes!(doctor))
}

/// How the service is set up.
#[derive(Debug, Serialize, ToSchema)]
struct Settings {
    /// The configuration file; null: there is none.
    file: Option<String>,
    /// Every setting.
    settings: Vec<Shown>,
    /// Which tasks go where.
    routes: Vec<Route>,
    /// Where all others go.
    default_queue: String,
}

/// The settings of this service with where each was said, and where its tasks go. Secrets are not shown. For admins.
#[utoipa::path(get, path = "/settings", responses((status = 200, description = "The settings", body = Settings)))]
async fn settings(State(api): State<Api>) -> Json<Settings> {
    let (routes, default_queue) = api.about.routes();
    Json(Settings { file: api.about.file().map(str::to_owned), settings: api.about.settings(), routes, default_queue })
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
struct Doctor {
    /// Whether nothing failed.
    ok: bool,
    /// One line each.
    checks: Vec<Check>,
}

/// What `celeriac doctor` finds where this service runs; looked at no more than twice a minute. For admins.
#[utoipa::path(get, path = "/doctor", responses(
    (status = 200, description = "What was found", body = Doctor),
    (status = 503, description = "It could not be looked at", body = Problem),
))]
async fn doctor(State(api): State<Api>) -> Result<Json<Doctor>, Problem> {
    let checks = api.about.checks().await?;
    Ok(Json(Doctor { ok: checks.iter().all(|check| check.status != Status::Fail), checks: checks.to_vec() }))
}
