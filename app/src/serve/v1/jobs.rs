//! Jobs: handing in, listing, looking, stopping, taking up again.

use std::time::Duration;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{self, Cursor, Submission, Webhook};
use celeriac_tasks::result::JobStatus;
use celeriac_tasks::source::Document;
use celeriac_tasks::store::Key;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::super::problem::Problem;
use super::super::{Api, intake};
use crate::jobs::{Asked, JobView, Refusal, Retry, view_job};

pub(super) fn routes(body_max: usize) -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(submit, list).layer(DefaultBodyLimit::max(body_max)))
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

/// What is asked for: exactly one source, everything else has a default.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Ask {
    /// The job's id; the same id with the same words is the same job.
    #[serde(default)]
    job_id: Option<String>,
    /// Where the document is; in a form it is the file.
    #[serde(default)]
    source: Option<Source>,
    /// What it is called.
    #[serde(default)]
    file_name: Option<String>,
    /// What is made of it: `pages`, `batch_size`, `dpi`, `ocr`, `ocr_languages`, `analysis`, `summary`, `audio`, `voice`, `password`.
    #[serde(default)]
    #[schema(value_type = Object)]
    options: serde_json::Map<String, serde_json::Value>,
    /// `high`, `normal`, `low`, or a number from -10 to 10.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    priority: Option<serde_json::Value>,
    /// Your own data, given back untouched.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: serde_json::Map<String, serde_json::Value>,
    /// Words to find it by.
    #[serde(default)]
    tags: Vec<String>,
    /// Whose job it is.
    #[serde(default)]
    user_id: Option<String>,
    /// Who is told how it ended.
    #[serde(default)]
    webhook: Option<Hook>,
    /// After how many seconds it is ended with what is done.
    #[serde(default)]
    deadline_s: Option<f64>,
    /// What it may cost at most.
    #[serde(default)]
    max_cost_usd: Option<f64>,
    /// How many tokens it may take at most.
    #[serde(default)]
    max_tokens: Option<u64>,
}

/// Where a document is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Source {
    /// Fetched from an `https` address.
    Url { url: String },
    /// A file in a folder that workers may read.
    Path { path: String },
    /// A key of the store, as an upload left it.
    StoreKey { key: String },
}

/// Who is told.
#[derive(Debug, Deserialize, ToSchema)]
struct Hook {
    /// Where to.
    url: String,
    /// Of what: `job.completed`, `job.partial`, `job.failed`, `job.cancelled`; none: of each end.
    #[serde(default)]
    events: Vec<String>,
}

impl Ask {
    /// A form's: the fields of the JSON body as fields, those that are no text as JSON, and a file in place of `source`.
    fn of_form(form: &intake::Form) -> Result<Self, Problem> {
        let mut fields = serde_json::Map::new();
        for (name, value) in &form.fields {
            let read = match name.as_str() {
                "job_id" | "user_id" | "file_name" | "priority" => Ok(value.clone().into()),
                "tags" if !value.trim_start().starts_with('[') => Ok(value.split(',').map(str::trim).collect()),
                _ => serde_json::from_str(value).map_err(|error| Problem::invalid(format!("{name} is not JSON: {error}"))),
            };
            fields.insert(name.clone(), read?);
        }
        serde_json::from_value(fields.into()).map_err(|error| Problem::invalid(error.to_string()))
    }

    fn asked(self, document: Option<(Key, &Document)>) -> Result<Asked, Problem> {
        let mut call = self.options;
        let (name, value) = match (self.source, &document) {
            (None, Some((key, _))) => ("document_key", key.as_str().to_owned()),
            (Some(Source::Url { url }), None) => ("url", url),
            (Some(Source::Path { path }), None) => ("path", path),
            (Some(Source::StoreKey { key }), None) => ("store_key", key),
            (None, None) => return Err(Problem::invalid("source is missing: name one, or send a file in a form")),
            (Some(_), Some(_)) => return Err(Problem::invalid("a form has a file or a source, not both")),
        };
        call.insert(name.to_owned(), value.into());
        let call: ProcessDocument =
            serde_json::from_value(call.into()).map_err(|error| Problem::invalid(format!("options: {error}")))?;
        let deadline = self.deadline_s.map(|seconds| {
            let wait = TimeDelta::try_milliseconds((seconds * 1000.0) as i64).filter(|wait| *wait > TimeDelta::zero());
            wait.map(|wait| Utc::now() + wait).ok_or_else(|| Problem::invalid("deadline_s is a number of seconds above 0"))
        });
        let submission = Submission {
            priority: self.priority,
            webhook: self.webhook.map(|hook| Webhook { url: hook.url, events: hook.events }),
            deadline: deadline.transpose()?,
            max_cost_usd: self.max_cost_usd,
            max_tokens: self.max_tokens,
            size_bytes: document.as_ref().map(|(_, document)| document.size_bytes),
            announced_pages: document.as_ref().and_then(|(_, document)| document.known_pages()),
            ..Submission::default()
        };
        let call = ProcessDocument {
            job_id: self.job_id,
            file_name: self.file_name.or_else(|| document.and_then(|(_, document)| document.file_name.clone())),
            user_id: self.user_id,
            tags: self.tags,
            metadata: self.metadata,
            ..call
        };
        Ok(Asked { call, submission })
    }
}

/// How long an answer may wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Patience {
    /// Seconds to wait for the job's end, up to 60; the answer comes then, or at its end.
    wait: Option<f64>,
}

impl Patience {
    fn time(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.wait?.clamp(0.0, 60.0)).ok()
    }
}

/// Hands in a job: by reference as JSON, or a file in a form (`file`, and the other fields by their names).
#[utoipa::path(post, path = "/jobs", params(Patience), request_body(content(
    (Ask = "application/json"),
    (Object = "multipart/form-data"),
)), responses(
    (status = 202, description = "Entered and sent", body = JobView),
    (status = 200, description = "The same was handed in before, or it has ended while you waited", body = JobView),
    (status = 400, description = "It cannot be read", body = Problem),
    (status = 409, description = "Something else was handed in under this id", body = Problem),
    (status = 413, description = "Larger than this service takes", body = Problem),
    (status = 415, description = "Neither JSON nor a form", body = Problem),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 429, description = "Too much waits already", body = Problem),
    (status = 503, description = "The broker or the ledger does not answer", body = Problem),
))]
async fn submit(
    State(api): State<Api>,
    Query(patience): Query<Patience>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 2], Json<JobView>), Problem> {
    let asked = asked(&api, request).await?;
    let mut submitted = api.desk.submit(asked).await?;
    if let Some(time) = patience.time() {
        submitted.entry = api.desk.wait(&submitted.entry.job_id, time).await?;
    }
    let over = submitted.entry.status.is_terminal() || !submitted.new;
    let view = view_job(&submitted.entry, Utc::now());
    let headers = [(header::LOCATION, view.links.this.clone()), (header::RETRY_AFTER, "1".to_owned())];
    Ok((if over { StatusCode::OK } else { StatusCode::ACCEPTED }, headers, Json(view)))
}

async fn asked(api: &Api, request: Request) -> Result<Asked, Problem> {
    if intake::is_form(&request) {
        let form = intake::form(request, &api.desk.store, api.max_upload_bytes).await?;
        let ask = Ask::of_form(&form)?;
        return match form.files.as_slice() {
            [] => ask.asked(None),
            [document] => {
                let key = document.enter(&api.desk.store).await.map_err(Refusal::from)?;
                ask.asked(Some((key, document)))
            }
            files => Err(Problem::invalid(format!("the form has {} files; a job has one", files.len()))),
        };
    }
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !request.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", "send application/json or multipart/form-data"));
    }
    let given = intake::read_json(request.into_body(), &api.desk.store, api.max_json_bytes).await?;
    let images = given.images.map(|images| images.finish().map_err(Refusal::from)).transpose()?;
    let ask: Ask = serde_json::from_value(given.fields.into()).map_err(|error| Problem::invalid(error.to_string()))?;
    match &images {
        Some(document) => {
            let key = document.enter(&api.desk.store).await.map_err(Refusal::from)?;
            ask.asked(Some((key, document)))
        }
        None => ask.asked(None),
    }
}

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// In one of these states, with commas between.
    status: Option<String>,
    /// Of this user.
    user_id: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// Whose name, id, title, tag or metadata contains this.
    q: Option<String>,
    /// Created after this time, RFC 3339.
    created_after: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many are left out first.
    offset: Option<usize>,
    /// How many at most, up to 200.
    limit: Option<usize>,
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
            parent: None,
            cursor: self.cursor.as_ref().map(cursor).transpose()?,
            skip: self.offset.unwrap_or(0),
            limit: self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX),
        })
    }
}

/// Lists jobs, youngest first.
#[utoipa::path(get, path = "/jobs", params(Which), responses(
    (status = 200, description = "A page of jobs", body = Jobs),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn list(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Jobs>, Problem> {
    let found = api.desk.find(&which.query()?).await?;
    let now = Utc::now();
    let jobs = found.jobs.iter().map(|entry| view_job(entry, now)).collect();
    Ok(Json(Jobs { jobs, next: found.next.map(|cursor| cursor.to_text()) }))
}

/// Lists finished jobs from the archive, youngest first: also those the ledger has forgotten.
#[utoipa::path(get, path = "/history", params(Which), responses(
    (status = 200, description = "A page of jobs", body = Jobs),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "The archive does not answer", body = Problem),
))]
async fn history(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Jobs>, Problem> {
    let found = api.desk.history(&which.query()?).await?;
    let now = Utc::now();
    let jobs = found.jobs.iter().map(|entry| view_job(entry, now)).collect();
    Ok(Json(Jobs { jobs, next: found.next.map(|cursor| cursor.to_text()) }))
}

/// Tells of a job.
#[utoipa::path(get, path = "/jobs/{job_id}", params(Patience), responses(
    (status = 200, description = "The job", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn show(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    Query(patience): Query<Patience>,
) -> Result<Json<JobView>, Problem> {
    let entry = match patience.time() {
        Some(time) => api.desk.wait(&job_id, time).await?,
        None => api.desk.job(&job_id).await?,
    };
    Ok(Json(view_job(&entry, Utc::now())))
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
#[serde(default)]
struct Again {
    /// These pages; none: what is missing.
    pages: Option<Vec<u32>>,
    /// Everything.
    all: bool,
}

/// Does again what failed or is missing of a job that has ended, the pages named, or everything.
#[utoipa::path(post, path = "/jobs/{job_id}/retry", request_body = Again, responses(
    (status = 202, description = "Sent again", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 409, description = "It has not ended", body = Problem),
    (status = 422, description = "It has no such page", body = Problem),
    (status = 503, description = "The broker or the ledger does not answer", body = Problem),
))]
async fn retry(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    body: Option<Json<Again>>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let again = body.map(|Json(again)| again).unwrap_or_default();
    let what = match again {
        Again { all: true, .. } => Retry::All,
        Again { pages: Some(pages), .. } => Retry::Pages(pages),
        Again { .. } => Retry::Missing,
    };
    let entry = api.desk.retry(&job_id, &what).await?;
    Ok((StatusCode::ACCEPTED, Json(view_job(&entry, Utc::now()))))
}

/// Goes on with a job that was stopped or failed, where it stopped.
#[utoipa::path(post, path = "/jobs/{job_id}/resume", responses(
    (status = 202, description = "Sent again", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 409, description = "It has not ended", body = Problem),
    (status = 503, description = "The broker or the ledger does not answer", body = Problem),
))]
async fn resume(State(api): State<Api>, Path(job_id): Path<String>) -> Result<(StatusCode, Json<JobView>), Problem> {
    let entry = api.desk.retry(&job_id, &Retry::Missing).await?;
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
