//! Handing in: by reference as JSON, or files in a form; one document, or several as one job.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use celeriac_tasks::source::Document;
use chrono::Utc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::auth::Caller;
use super::super::extract::Query;
use super::super::problem::Problem;
use super::super::{Api, intake};
use super::ask::{Ask, AskForm, AskJson, Sent};
use super::jobs::Patience;
use crate::jobs::{FIRST, JobView, Refusal, Submitted, view_job};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(submit))
}

/// Hands in a job: by reference as JSON, or a file in a form (`file`, and the other fields by their names). Several documents, as
/// `documents` or several files, are one job with one more for each of them as its part.
#[utoipa::path(post, path = "/jobs", params(
    Patience,
    ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]*$",
        description = "In place of a `job_id`: your own key, by which the same request sent again is the same job"),
), request_body(content(
    (AskJson = "application/json"),
    (AskForm = "multipart/form-data"),
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
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 2], Json<JobView>), Problem> {
    let mut submitted = handed_in(&api, &caller, request).await?;
    if let Some(time) = patience.time() {
        submitted.entry = api.desk.wait(&submitted.entry.job_id, time, &api.stopping).await?;
    }
    let over = submitted.entry.status.is_terminal() || !submitted.new;
    let view = view_job(&submitted.entry, Utc::now());
    let headers = [(header::LOCATION, view.links.this.clone()), (header::RETRY_AFTER, "1".to_owned())];
    Ok((if over { StatusCode::OK } else { StatusCode::ACCEPTED }, headers, Json(view)))
}

async fn handed_in(api: &Api, caller: &Caller, request: Request) -> Result<Submitted, Problem> {
    let headers = request.headers().clone();
    let (ask, documents) = if intake::is_form(&request) {
        let form = intake::form(request, &api.desk.store, api.max_upload_bytes).await?;
        (Ask::of_form(&form)?, form.files)
    } else {
        let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
        if !request.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
            let text = "send application/json or multipart/form-data";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", text));
        }
        let given = intake::read_json(request.into_body(), &api.desk.store, api.max_json_bytes).await?;
        (Ask::of_json(given.fields)?, given.document.into_iter().collect())
    };
    let ask = ask.by_key(&headers, caller)?;
    ask.webhook().map_or(Ok(()), |hook| api.teller.check(&hook))?;
    let mut sent = entered(api, &documents).await?;
    Ok(if ask.documents.is_some() || sent.len() > 1 {
        api.desk.submit_together(ask.together(sent)?, FIRST).await?
    } else {
        api.desk.submit(ask.asked(sent.pop())?).await?
    })
}

async fn entered<'a>(api: &Api, documents: &'a [Document]) -> Result<Vec<Sent<'a>>, Problem> {
    let mut sent = Vec::new();
    for document in documents {
        sent.push((document.enter(&api.desk.store).await.map_err(Refusal::from)?, document));
    }
    Ok(sent)
}
