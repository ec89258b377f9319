//! The dashboard: pages drawn here, kept live by one small module in the browser. It shows what the desk knows, and does what it
//! does by calls of the API, so that it can nothing that a caller could not.

mod admin;
mod assets;
mod document;
mod events;
mod failures;
mod fleet;
mod grid;
mod job;
mod jobs;
mod narration;
mod overview;
mod pace;
mod page;
mod place;
mod raw;
mod summary;
mod system;
mod timeline;
mod words;

use askama::Template;
use axum::extract::Extension;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, middleware};

pub(super) use self::assets::show as asset;
pub(super) use self::place::theme;
use self::place::{Mount, Shell};
use super::Api;
use super::problem::Problem;
use crate::jobs::Refusal;

/// Where people look who had Bull Board (S1.15).
const BULL_BOARD: &str = "/admin/queues";

/// What a page of ours may load: what comes from here, and nothing else.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// The pages under `path`, such as `/` or `/dashboard`.
pub(super) fn routes(path: &str) -> Router<Api> {
    let mount = Mount::at(path);
    let at = |rest: &str| format!("{}{rest}", mount.base());
    let mut routes = Router::new()
        .route(&at("/"), get(overview::show))
        .route(&at("/jobs"), get(jobs::show))
        .route(&at("/jobs/{job_id}"), get(document::pages))
        .route(&at("/jobs/{job_id}/summary"), get(document::summary))
        .route(&at("/jobs/{job_id}/audio"), get(document::audio))
        .route(&at("/jobs/{job_id}/timeline"), get(document::timeline))
        .route(&at("/jobs/{job_id}/log"), get(document::log))
        .route(&at("/jobs/{job_id}/raw"), get(document::raw))
        .route(&at("/jobs/{job_id}/pages/{page}"), get(page::show))
        .route(&at("/queues"), get(fleet::show_queues))
        .route(&at("/workers"), get(fleet::show_workers))
        .route(&at("/failures"), get(failures::show))
        .route(&at("/system"), get(system::show))
        .route(&at("/system/settings"), get(admin::settings))
        .route(&at("/system/doctor"), get(admin::doctor))
        .route(&at("/system/audit"), get(admin::audit))
        .route(&at("/assets/{name}"), get(assets::show));
    if !mount.base().is_empty() {
        routes = routes.route(mount.base(), get(Redirect::permanent(&at("/"))));
    }
    if mount.base() != BULL_BOARD {
        routes = routes.route(BULL_BOARD, get(Redirect::temporary(&at("/queues"))));
    }
    routes.layer(middleware::map_response(policed)).layer(Extension(mount))
}

async fn policed(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// A page that says what is wrong.
#[derive(Template)]
#[template(path = "wrong.html")]
struct Wrong<'a> {
    shell: &'a Shell,
    status: u16,
    what: String,
    detail: String,
}

/// A page, or the page that says why there is none.
fn answer(shell: &Shell, page: Result<impl Template, Refusal>) -> Response {
    match page {
        Ok(page) => drawn(StatusCode::OK, &page),
        Err(refusal) => wrong(shell, refusal.into()),
    }
}

fn wrong(shell: &Shell, problem: Problem) -> Response {
    let status = problem.status();
    drawn(status, &Wrong { shell, status: status.as_u16(), what: problem.title.to_owned(), detail: problem.detail })
}

fn drawn(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response(),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()).into_response(),
    }
}
