//! What happens to a job while it happens: server-sent events, and the same over a WebSocket.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Sink, SinkExt, Stream, StreamExt};
use serde::Deserialize;
use tokio::time::{Instant, interval_at, timeout};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{Path, Query};
use super::super::problem::Problem;
use crate::jobs::{News, Telling};

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
    let frames = stream.take_until(api.stopping.cancelled_owned()).map(|news| {
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
    let news = telling.stream().take_until(api.stopping.cancelled_owned());
    Ok(upgrade.on_upgrade(|socket| {
        let (client, said) = socket.split();
        over(client, said, news)
    }))
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

/// Tells all of it, as long as somebody is there: who has said nothing since the last ping, and has not answered that one, has gone.
async fn over(
    mut client: impl Sink<Message> + Unpin,
    mut said: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    news: impl Stream<Item = News>,
) {
    let mut news = std::pin::pin!(news);
    let mut pings = interval_at(Instant::now() + PING, PING);
    let mut heard = true;
    loop {
        let message = tokio::select! {
            news = news.next() => match news {
                Some(news) => Message::Text(news.to_json().into()),
                None => break,
            },
            // Reading is what answers his pings and his farewell, too.
            said = said.next() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {
                    heard = true;
                    continue;
                }
            },
            _ = pings.tick() => match std::mem::take(&mut heard) {
                true => Message::Ping(Bytes::new()),
                false => return,
            },
        };
        // One who takes nothing for so long has gone as well.
        if !matches!(timeout(PING, client.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
    // Who has gone already need not be told that it is over.
    let _ = timeout(PING, client.close()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc;
    use futures::stream::pending;

    #[tokio::test(start_paused = true)]
    async fn a_client_is_pinged_while_he_answers_and_left_when_he_does_not() {
        let (client, mut told) = mpsc::channel(9);
        let (mut says, said) = mpsc::channel(9);
        let answering = async {
            for _ in 0..3 {
                assert_eq!(told.next().await, Some(Message::Ping(Bytes::new())));
                says.send(Ok(Message::Pong(Bytes::new()))).await.unwrap();
            }
            assert_eq!(told.next().await, Some(Message::Ping(Bytes::new())));
            assert_eq!(told.next().await, None, "he did not answer");
        };
        tokio::join!(over(client, said, pending()), answering);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_takes_nothing_is_left() {
        // Of what is sent nothing is taken, and there is room for one.
        let (client, _told) = mpsc::channel(0);
        let (_says, said) = mpsc::channel(9);
        let news = || News { id: None, kind: "progress", data: "{}".into() };
        over(client, said, futures::stream::repeat_with(news)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_goes_is_told_nothing_more() {
        for farewell in [Some(Message::Close(None)), None] {
            let (client, told) = mpsc::channel(9);
            let (mut says, said) = mpsc::channel(9);
            if let Some(farewell) = farewell {
                says.send(Ok(farewell)).await.unwrap();
            }
            drop(says);
            over(client, said, pending()).await;
            assert_eq!(told.collect::<Vec<_>>().await, []);
        }
    }
}
