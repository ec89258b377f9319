//! Jobs: listing, looking, stopping, taking up again.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use celeriac_tasks::ledger::{self, Cursor, Found, Limits};
use celeriac_tasks::result::JobStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{JsonBody, Path, Query};
use super::super::problem::Problem;
use super::super::range;
use super::ask::deadline;
use crate::jobs::{JobView, Retry, view_job};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(history))
        .routes(routes!(show, delete))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(resume))
}

/// How many jobs a page has unless it is said.
const PAGE: usize = 50;
/// And at most.
const PAGE_MAX: usize = 200;

/// How long an answer may wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Patience {
    /// Seconds to wait for the job's end, up to 60; the answer comes then, or at its end.
    wait: Option<f64>,
}

impl Patience {
    pub(super) fn time(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.wait?.clamp(0.0, 60.0)).ok()
    }
}

/// Whose parents those have that have none.
const NO_PARENT: &str = "none";

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// In one of these states, with commas between.
    #[param(schema_with = states, style = Form, explode = false)]
    status: Option<String>,
    /// Of this user.
    user_id: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// Whose name, id, title, tag or metadata contains this.
    q: Option<String>,
    /// Created after this time, RFC 3339.
    #[param(format = DateTime)]
    created_after: Option<String>,
    /// The documents of this job, the first first; `none`: only jobs that are no document of another.
    parent: Option<String>,
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,15}-.+$")]
    cursor: Option<String>,
    /// How many are left out first.
    offset: Option<usize>,
    /// How many at most, up to 200.
    limit: Option<usize>,
}

fn states() -> ArrayBuilder {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(JobStatus::ALL.map(JobStatus::as_str)));
    ArrayBuilder::new().items(word)
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
struct Jobs {
    /// The jobs, youngest first.
    jobs: Vec<JobView>,
    /// The cursor of the next page; null: there is none.
    next: Option<String>,
}

impl Which {
    fn query(&self) -> Result<ledger::Query, Problem> {
        let word = |word: &str| {
            serde_json::from_value::<JobStatus>(word.trim().into())
                .map_err(|_| Problem::invalid(format!("status: there is no state {word:?}")))
        };
        let status = self.status.as_deref().filter(|text| !text.is_empty());
        let status = status.map(|text| text.split(',').map(word).collect()).transpose()?.unwrap_or_default();
        let time =
            |text: &String| text.parse::<DateTime<Utc>>().map_err(|_| Problem::invalid("created_after is a time as in RFC 3339"));
        let cursor = |text: &String| Cursor::parse(text).ok_or_else(|| Problem::invalid("cursor is none of ours"));
        Ok(ledger::Query {
            status,
            user_id: self.user_id.clone(),
            tag: self.tag.clone(),
            text: self.q.clone(),
            created_after: self.created_after.as_ref().map(time).transpose()?,
            parent: self.parent.clone().filter(|parent| parent != NO_PARENT),
            whole: self.parent.as_deref() == Some(NO_PARENT),
            cursor: self.cursor.as_ref().map(cursor).transpose()?,
            skip: self.offset.unwrap_or(0),
            limit: self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX),
        })
    }
}

fn seen(found: &Found) -> Jobs {
    let now = Utc::now();
    let jobs = found.jobs.iter().map(|entry| view_job(entry, now)).collect();
    Jobs { jobs, next: found.next.as_ref().map(Cursor::to_text) }
}

/// Lists jobs, youngest first.
#[utoipa::path(get, path = "/jobs", params(Which), responses(
    (status = 200, description = "A page of jobs", body = Jobs),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn list(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Jobs>, Problem> {
    Ok(Json(seen(&api.desk.find(&which.query()?).await?)))
}

/// Lists finished jobs from the archive, youngest first: also those the ledger has forgotten.
#[utoipa::path(get, path = "/history", params(Which), responses(
    (status = 200, description = "A page of jobs", body = Jobs),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "The archive does not answer", body = Problem),
))]
async fn history(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Jobs>, Problem> {
    Ok(Json(seen(&api.desk.history(&which.query()?).await?)))
}

/// Tells of a job, and of the first hundred of its documents where it has several.
#[utoipa::path(get, path = "/jobs/{job_id}", params(Patience), responses(
    (status = 200, description = "The job", body = JobView),
    (status = 304, description = "It is as you know it"),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn show(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    Query(patience): Query<Patience>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entry = match patience.time() {
        Some(time) => api.desk.wait(&job_id, time, &api.stopping).await?,
        None => api.desk.job(&job_id).await?,
    };
    let shown = serde_json::to_vec(&api.desk.shown(&entry).await?).unwrap_or_default();
    Ok(range::tagged(&headers, shown, "application/json"))
}

/// Stops a job: nothing more of it begins, what is done stays.
#[utoipa::path(post, path = "/jobs/{job_id}/cancel", responses(
    (status = 202, description = "It is stopping, or has stopped", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 409, description = "It has ended already", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn cancel(State(api): State<Api>, Path(job_id): Path<String>) -> Result<(StatusCode, Json<JobView>), Problem> {
    let entry = api.desk.cancel(&job_id).await?;
    Ok((StatusCode::ACCEPTED, Json(view_job(&entry, Utc::now()))))
}

/// What is done again.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Again {
    /// These pages; none: what is missing.
    pages: Option<Vec<u32>>,
    /// Everything.
    #[serde(default)]
    all: bool,
    /// How far it may go.
    #[serde(flatten)]
    limits: Further,
}

/// How far a job may go that goes on; what is not said stays as it was. Of several documents, each that is done again.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Further {
    /// After how many seconds from now it is ended with what is done.
    #[schema(exclusive_minimum = 0.0, maximum = 315_360_000.0)]
    deadline_s: Option<f64>,
    /// What it may cost at most, what it has cost included.
    max_cost_usd: Option<f64>,
    /// How many tokens it may take at most, what it has taken included.
    max_tokens: Option<u64>,
}

impl Further {
    fn limits(&self) -> Result<Limits, Problem> {
        let deadline = self.deadline_s.map(|seconds| deadline(seconds, Utc::now())).transpose()?;
        Ok(Limits { deadline, max_cost_usd: self.max_cost_usd, max_tokens: self.max_tokens })
    }
}

/// Does again what failed or is missing of a job that has ended, the pages named, or everything.
#[utoipa::path(post, path = "/jobs/{job_id}/retry", request_body = Option<Again>, responses(
    (status = 202, description = "Sent again", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 409, description = "It has not ended, has reached its deadline or budget, its document is not kept any more, or only the archive knows it", body = Problem),
    (status = 422, description = "It has no such page", body = Problem),
    (status = 503, description = "The broker or the ledger does not answer", body = Problem),
))]
async fn retry(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    body: Option<JsonBody<Option<Again>>>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let again = body.and_then(|JsonBody(again)| again).unwrap_or_default();
    let limits = again.limits.limits()?;
    let what = match again {
        Again { all: true, .. } => Retry::All,
        Again { pages: Some(pages), .. } => Retry::Pages(pages),
        Again { .. } => Retry::Missing,
    };
    let entry = api.desk.retry_within(&job_id, &what, limits).await?;
    Ok((StatusCode::ACCEPTED, Json(view_job(&entry, Utc::now()))))
}

/// Goes on with a job that was stopped or failed, where it stopped.
#[utoipa::path(post, path = "/jobs/{job_id}/resume", request_body = Option<Further>, responses(
    (status = 202, description = "Sent again", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 409, description = "It has not ended, has reached its deadline or budget, its document is not kept any more, or only the archive knows it", body = Problem),
    (status = 422, description = "A limit makes no sense", body = Problem),
    (status = 503, description = "The broker or the ledger does not answer", body = Problem),
))]
async fn resume(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    body: Option<JsonBody<Option<Further>>>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let limits = body.and_then(|JsonBody(further)| further).unwrap_or_default().limits()?;
    let entry = api.desk.retry_within(&job_id, &Retry::GoOn, limits).await?;
    Ok((StatusCode::ACCEPTED, Json(view_job(&entry, Utc::now()))))
}

/// Removes a job with everything that is kept of it; one that runs is stopped.
#[utoipa::path(delete, path = "/jobs/{job_id}", responses(
    (status = 204, description = "Removed"),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 503, description = "The ledger or the store does not answer", body = Problem),
))]
async fn delete(State(api): State<Api>, Path(job_id): Path<String>) -> Result<StatusCode, Problem> {
    api.desk.delete(&job_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
