//! What happens to a job while it happens: server-sent events, and the same over a WebSocket.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{Path, Query};
use super::super::problem::Problem;
use crate::jobs::Telling;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(socket))
}

/// After how long a client whose connection broke comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Silence that would make something on the way give the connection up.
const PING: Duration = Duration::from_secs(15);

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// The id of the last event that was seen, where no header can be sent.
    last_event_id: Option<String>,
}

/// What happens to a job, as server-sent events: `snapshot`, `pages`, `batch`, `phase`, `state`, `log`, `progress`, `end`.
#[utoipa::path(get, path = "/jobs/{job_id}/events", params(From), responses(
    (status = 200, description = "Events until the job ends", content_type = "text/event-stream", body = SentEvent),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn events(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let stream = Telling::begin(api.desk, job_id, header.or(from.last_event_id)).await?.stream();
    let frames = futures::StreamExt::map(stream, |news| {
        let frame = Frame::default().event(news.kind).data(&*news.data).retry(RETRY);
        Ok::<_, Infallible>(news.id.map_or(frame.clone(), |id| frame.id(id.to_string())))
    });
    let sse = Sse::new(frames).keep_alive(KeepAlive::new().interval(PING).text("ping"));
    let unbuffered = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((unbuffered, sse).into_response())
}

/// The same over a WebSocket: each message is `{"id": …, "event": …, "data": …}`.
#[utoipa::path(get, path = "/jobs/{job_id}/ws", params(From), responses(
    (status = 101, description = "Messages until the job ends"),
    (status = 400, description = "This is no WebSocket", body = Problem),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 426, description = "This is no WebSocket", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn socket(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    Query(from): Query<From>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::new(error.status(), "invalid", error.body_text()))?;
    let telling = Telling::begin(api.desk, job_id, from.last_event_id).await?;
    Ok(upgrade.on_upgrade(|socket| over(socket, telling)))
}

/// How the document of the API describes one event of a stream.
pub(super) struct SentEvent;

impl PartialSchema for SentEvent {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        let event = ObjectBuilder::new()
            .description(Some("One event of a stream"))
            .property("event", text("What kind it is"))
            .property("data", text("What is told, as JSON"))
            .property("id", text("Its place: who comes back sends it as Last-Event-ID"))
            .property("retry", ObjectBuilder::new().schema_type(Type::Integer))
            .required("event")
            .required("data");
        Schema::from(event.build()).into()
    }
}

impl ToSchema for SentEvent {}

async fn over(mut socket: WebSocket, telling: Telling) {
    let mut news = Box::pin(telling.stream());
    while let Some(news) = futures::StreamExt::next(&mut news).await {
        if socket.send(Message::Text(news.to_json().into())).await.is_err() {
            return;
        }
    }
    // Who has gone already need not be told that it is over.
    let _ = socket.send(Message::Close(None)).await;
}
