//! All routes under one roof, and what holds for each of them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::problem::Problem;
use super::{Api, auth, compat, document, health, metrics, request_id, ui, v1};
use crate::metrics::measured;

/// The document of the native API.
#[derive(OpenApi)]
#[openapi(info(
    title = "celeriac",
    description = "Large documents in, results out: jobs, pages, events.",
    license(name = "MIT OR Apache-2.0")
))]
struct Document;

/// The most bytes of a body without a document in it.
const JSON_MAX: usize = 1024 * 1024;

/// Every route.
pub(crate) fn router(api: Api) -> Router {
    let native = v1::routes().merge(auth::routes());
    let native =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/v1", native).merge(health::routes()).merge(metrics::routes());
    let (routes, described) = native.split_for_parts();
    let document = std::sync::Arc::new(document::finished(auth::documented(described)));
    let measured = from_fn_with_state(api.metrics.clone(), measured);
    let openapi = axum::routing::get(move || {
        let document = std::sync::Arc::clone(&document);
        async move { axum::Json((*document).clone()) }
    });
    routes
        .route("/openapi.json", openapi)
        .merge(compat::routes())
        .merge(auth::pages())
        .merge(api.ui.as_deref().map(ui::routes).unwrap_or_default())
        // Bodies are measured where they are read: most of what is handed in is larger than any limit that would fit the rest.
        .layer(DefaultBodyLimit::max(JSON_MAX))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such route; /openapi.json names all") })
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(api.clone(), auth::pass))
        .layer(map_response(guarded))
        .layer(measured)
        .layer(from_fn(request_id::identified))
        .with_state(api)
}

/// The route is there and takes other methods: the header `Allow` has them.
async fn other_method(method: Method) -> Problem {
    let text = format!("this route does not take {method}; the header Allow says what it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text)
}

/// Headers that keep a browser from doing more with an answer than was meant.
async fn guarded(mut response: Response) -> Response {
    const HEADERS: [(&str, &str); 3] =
        [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")];
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
