//! What has come of a job: the result in its forms, pages and their files, the narration.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac_tasks::job::Selection;
use celeriac_tasks::ledger::{Entry, PageState};
use celeriac_tasks::result::{JobStatus, PageRecord};
use celeriac_tasks::store::PageFile;
use chrono::Utc;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{Path, Query};
use super::super::problem::Problem;
use super::super::range::{self, Cached};
use crate::jobs::{Form, JobView, Part, Refusal, keep_only, lines, view_job, was_there, written};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(result))
        .routes(routes!(pages))
        .routes(routes!(page))
        .routes(routes!(image))
        .routes(routes!(text))
        .routes(routes!(audio))
}

/// How the result is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct How {
    /// `json`, `md`, `txt`, `ndjson` or `html`; of several documents, as JSON a line for each, as text one after the other.
    #[serde(default)]
    #[param(inline)]
    format: Form,
    /// Only these pages, such as `1-25,40`.
    #[param(pattern = "^[0-9]+(-[0-9]*)?(,[0-9]+(-[0-9]*)?)*$")]
    pages: Option<String>,
    /// Also while the job runs: what is there by now.
    #[serde(default)]
    partial: bool,
    /// Without texts and analyses of pages.
    #[serde(default)]
    compact: bool,
    /// Of `pages`, their `text` and the document's `entities` only these, with commas between; none: all.
    #[param(pattern = "^(pages|text|entities)(,(pages|text|entities))*$")]
    include: Option<String>,
}

impl How {
    /// What is wanted of the parts that can be left out; `None`: all.
    fn parts(&self) -> Result<Option<Vec<Part>>, Problem> {
        let part = |word: &str| {
            serde_json::from_value(word.trim().into())
                .map_err(|_| Problem::invalid(format!("include: there is no {word:?}; there are pages, text and entities")))
        };
        self.include.as_deref().map(|words| words.split(',').map(part).collect()).transpose()
    }
}

/// The result of a job, or what there is of it.
#[utoipa::path(get, path = "/jobs/{job_id}/result", params(How), responses(
    (status = 200, description = "The result, or with `partial=true` the pages that are there", content(
        (Object = "application/json"), (String = "text/markdown"), (String = "text/plain"), (String = "application/x-ndjson"),
        (String = "text/html"),
    )),
    (status = 202, description = "Not yet: the job as it is now", body = JobView),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 409, description = "The job failed, or was cancelled before anything came of it", body = Problem),
    (status = 410, description = "It was there, and is not kept any more", body = Problem),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "The ledger or the store does not answer", body = Problem),
))]
async fn result(State(api): State<Api>, Path(job_id): Path<String>, Query(how): Query<How>) -> Result<Response, Problem> {
    let entry = api.desk.job(&job_id).await?;
    let wanted = how.pages.as_deref().map(str::parse::<Selection>).transpose();
    let wanted = wanted.map_err(|error| Problem::invalid(format!("pages: {error}")))?;
    let parts = how.parts()?;
    if entry.parts.is_some() {
        return of_documents(api, entry, &how);
    }
    if !entry.status.is_terminal() {
        return if how.partial { so_far(&api, &entry, wanted, how.format).await } else { Ok(not_yet(&entry)) };
    }
    let Some(mut result) = api.desk.result(&job_id).await? else { return Err(nothing(&entry)) };
    if let Some(wanted) = wanted {
        let pages = wanted.pages(result.document.total_pages);
        result.pages.retain(|page| pages.binary_search(&page.page).is_ok());
    }
    if let Some(parts) = parts {
        keep_only(&mut result, &parts);
    }
    if how.compact {
        return Ok(Json(result.compact().map_err(|error| broken(&error))?).into_response());
    }
    let body = written(&result, how.format).map_err(|error| broken(&error))?;
    Ok(([(header::CONTENT_TYPE, how.format.media_type())], body).into_response())
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
}

/// The result of several documents, as it is read.
fn of_documents(api: Api, entry: Entry, how: &How) -> Result<Response, Problem> {
    if how.pages.is_some() || how.include.is_some() {
        return Err(Problem::invalid("pages and include are of one document: ask for its own result"));
    }
    if !entry.status.is_terminal() && !how.partial {
        return Ok(not_yet(&entry));
    }
    let written = api.desk.parts_written(entry, how.format).map_err(|refusal| std::io::Error::other(refusal.message().to_owned()));
    Ok(([(header::CONTENT_TYPE, how.format.media_type())], Body::from_stream(written)).into_response())
}

fn not_yet(entry: &Entry) -> Response {
    let headers = [(header::RETRY_AFTER, "1")];
    (StatusCode::ACCEPTED, headers, Json(view_job(entry, Utc::now()))).into_response()
}

async fn so_far(api: &Api, entry: &Entry, wanted: Option<Selection>, form: Form) -> Result<Response, Problem> {
    if !matches!(form, Form::Json | Form::Ndjson) {
        return Err(Problem::invalid(
            "while a job runs its pages are there as json and ndjson; the other formats are of the result",
        ));
    }
    let wanted = wanted.unwrap_or_default().pages(u32::try_from(entry.pages.len()).unwrap_or(u32::MAX));
    let fits = |page: u32, state: PageState| state.is_done() && wanted.binary_search(&page).is_ok();
    let pages = api.desk.pages(entry, fits).await?;
    if form == Form::Ndjson {
        let body = lines(&pages).map_err(|error| broken(&error))?;
        return Ok(([(header::CONTENT_TYPE, form.media_type())], body).into_response());
    }
    Ok(Json(json!({"job": view_job(entry, Utc::now()), "pages": pages, "partial": true})).into_response())
}

/// A job that has ended without a result.
fn nothing(entry: &Entry) -> Problem {
    let because = entry.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.message));
    let problem = match entry.status {
        JobStatus::Failed | JobStatus::Cancelled => Problem::new(
            StatusCode::CONFLICT,
            "conflict",
            format!("there is no result: the job is {}{because}", entry.status.as_str()),
        ),
        _ => Problem::new(StatusCode::GONE, "gone", "the result was there and is not kept any more"),
    };
    Problem { job_id: Some(entry.job_id.clone()), ..problem }
}

/// Which pages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// From this page on.
    from: Option<u32>,
    /// To this one.
    to: Option<u32>,
    /// In this state: a letter of `page_states`.
    #[param(value_type = Option<String>, pattern = "^[.qrocyfsx]$")]
    status: Option<char>,
    /// Only these fields of each, with commas between.
    fields: Option<String>,
}

/// The pages of a job that are there, in order.
#[utoipa::path(get, path = "/jobs/{job_id}/pages", params(Which), responses(
    (status = 200, description = "Their records, and the states of all", body = Object),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 410, description = "It was there, and is not kept any more", body = Problem),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "The ledger or the store does not answer", body = Problem),
))]
async fn pages(State(api): State<Api>, Path(job_id): Path<String>, Query(which): Query<Which>) -> Result<Json<Value>, Problem> {
    let entry = api.desk.job(&job_id).await?;
    let state = which
        .status
        .map(|letter| PageState::of(letter).ok_or_else(|| Problem::invalid(format!("status is one of .qrocyfsx, not {letter:?}"))));
    let state = state.transpose()?;
    let fits = |page: u32, found: PageState| {
        which.from.is_none_or(|from| page >= from)
            && which.to.is_none_or(|to| page <= to)
            && state.is_none_or(|state| state == found)
    };
    let records = api.desk.pages(&entry, fits).await?;
    if records.is_empty() && entry.pages.iter().any(|(page, state)| was_there(&entry, state) && fits(page, state)) {
        return Err(Refusal::pages_gone(&job_id).into());
    }
    let records: Vec<Value> = records.iter().map(|record| chosen(record, which.fields.as_deref())).collect();
    Ok(Json(json!({"job_id": job_id, "total": entry.total(), "page_states": entry.pages.to_string(), "pages": records})))
}

/// The fields of a page that are wanted; its number always.
fn chosen(record: &PageRecord, fields: Option<&str>) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let (Some(fields), Some(object)) = (fields, value.as_object_mut()) {
        let wanted: Vec<&str> = fields.split(',').map(str::trim).collect();
        object.retain(|name, _| name == "page" || wanted.contains(&name.as_str()));
    }
    value
}

/// A page.
#[utoipa::path(get, path = "/jobs/{job_id}/pages/{page}", responses(
    (status = 200, description = "Its record", body = Object),
    (status = 404, description = "There is no such job or page, or it is not done yet", body = Problem),
    (status = 410, description = "It was there, and is not kept any more", body = Problem),
    (status = 503, description = "The store does not answer", body = Problem),
))]
async fn page(State(api): State<Api>, Path((job_id, page)): Path<(String, u32)>) -> Result<Json<Value>, Problem> {
    match api.desk.page(&job_id, page).await? {
        Some(record) => Ok(Json(serde_json::to_value(record).unwrap_or_default())),
        None => Err(api.desk.missing(&job_id, page).await?.into()),
    }
}

/// How large.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Size {
    /// Up to 400: the thumbnail; else the page as it was rendered.
    w: Option<u32>,
    /// What it is of, as its address in a record has it: the answer may be kept for ever.
    v: Option<String>,
}

/// The widest image for which the thumbnail is given.
const THUMBNAIL_MAX: u32 = 400;

/// The image of a page.
#[utoipa::path(get, path = "/jobs/{job_id}/pages/{page}/image", params(Size), responses(
    (status = 200, description = "The image", content_type = "image/jpeg", body = Vec<u8>),
    (status = 206, description = "A part of it", content_type = "image/jpeg", body = Vec<u8>),
    (status = 304, description = "It is the one you have"),
    (status = 404, description = "It is not there", body = Problem),
    (status = 410, description = "It was there, and is not kept any more", body = Problem),
    (status = 416, description = "It has no such part", body = Problem),
    (status = 503, description = "The store does not answer", body = Problem),
))]
async fn image(
    State(api): State<Api>,
    Path((job_id, page)): Path<(String, u32)>,
    Query(size): Query<Size>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = if size.w.is_some_and(|width| width <= THUMBNAIL_MAX) { PageFile::Thumb } else { PageFile::Image };
    let bytes = api.desk.page_file(&job_id, page, file).await?;
    let cached = if size.v.is_some() { Cached::Ever } else { Cached::Asking };
    range::served(&headers, bytes, HeaderValue::from_static("image/jpeg"), cached)
}

/// The text of a page.
#[utoipa::path(get, path = "/jobs/{job_id}/pages/{page}/text", responses(
    (status = 200, description = "Its text", content_type = "text/plain", body = String),
    (status = 404, description = "It is not there", body = Problem),
    (status = 410, description = "It was there, and is not kept any more", body = Problem),
    (status = 503, description = "The store does not answer", body = Problem),
))]
async fn text(State(api): State<Api>, Path((job_id, page)): Path<(String, u32)>) -> Result<Response, Problem> {
    let bytes: Bytes = api.desk.page_file(&job_id, page, PageFile::Text).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
}

/// A part of the narration, from 1; a player asks for parts of it by `Range`.
#[utoipa::path(get, path = "/jobs/{job_id}/audio/{part}", responses(
    (status = 200, description = "The audio", content(
        (Vec<u8> = "audio/mpeg"), (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"),
    )),
    (status = 206, description = "A part of it", content(
        (Vec<u8> = "audio/mpeg"), (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"),
    )),
    (status = 304, description = "It is the one you have"),
    (status = 404, description = "It is not there", body = Problem),
    (status = 416, description = "It has no such part", body = Problem),
    (status = 503, description = "The store does not answer", body = Problem),
))]
async fn audio(State(api): State<Api>, Path((job_id, part)): Path<(String, u32)>, headers: HeaderMap) -> Result<Response, Problem> {
    let (media_type, bytes) = api.desk.narration(&job_id, part).await?;
    range::served(&headers, bytes, HeaderValue::from_static(media_type), Cached::Asking)
}
