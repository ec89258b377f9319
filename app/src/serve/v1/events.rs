//! What happens to a job while it happens: server-sent events, and the same over a WebSocket.
//!
//! The first event is a snapshot of all pages. Who comes back with the id of the last event he has seen gets what he missed
//! instead. Pages that end at nearly the same time are told together, so that a page of ours that shows a thousand of them is not
//! told more than ten times a second.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use celeriac_tasks::ledger::{EventId, Follower, Kind, Ledger, Told};
use chrono::Utc;
use futures::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::problem::Problem;
use crate::jobs::{Refusal, view_job};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(socket))
}

/// How long pages are gathered before they are told.
const GATHERED: Duration = Duration::from_millis(100);
/// After how long a client whose connection broke comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Silence that would make something on the way give the connection up.
const PING: Duration = Duration::from_secs(15);
/// How many events a client may have missed; one who missed more gets a snapshot.
const MISSED_MAX: usize = 5000;

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct From {
    /// The id of the last event that was seen, where no header can be sent.
    last_event_id: Option<String>,
}

/// What happens to a job, as server-sent events: `snapshot`, `pages`, `batch`, `phase`, `state`, `log`, `progress`, `end`.
#[utoipa::path(get, path = "/jobs/{job_id}/events", params(From), responses(
    (status = 200, description = "Events until the job ends", content_type = "text/event-stream", body = String),
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
    let stream = Telling::begin(api.desk.ledger, job_id, header.or(from.last_event_id)).await?.stream();
    let frames = futures::StreamExt::map(stream, |news| {
        let frame = Frame::default().event(news.kind).data(news.data.to_string()).retry(RETRY);
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
    (status = 400, description = "This is no WebSocket", body = String),
    (status = 404, description = "There is no such job", body = Problem),
    (status = 426, description = "This is no WebSocket", body = String),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn socket(
    State(api): State<Api>,
    Path(job_id): Path<String>,
    Query(from): Query<From>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let telling = Telling::begin(api.desk.ledger, job_id, from.last_event_id).await?;
    Ok(upgrade.on_upgrade(|socket| over(socket, telling)))
}

async fn over(mut socket: WebSocket, telling: Telling) {
    let mut news = Box::pin(telling.stream());
    while let Some(news) = futures::StreamExt::next(&mut news).await {
        let text = json!({"id": news.id.map(|id| id.to_string()), "event": news.kind, "data": news.data}).to_string();
        if socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
    }
    // Who has gone already need not be told that it is over.
    let _ = socket.send(Message::Close(None)).await;
}

/// One thing that is told.
struct News {
    id: Option<EventId>,
    kind: &'static str,
    data: Value,
}

/// Somebody who is told of one job.
struct Telling {
    ledger: Ledger,
    job_id: String,
    follower: Follower,
    /// The last event he knows.
    seen: EventId,
    ready: VecDeque<News>,
    pages: Vec<Value>,
    pages_id: EventId,
    flush_at: Option<Instant>,
    over: bool,
}

impl Telling {
    async fn begin(ledger: Ledger, job_id: String, last: Option<String>) -> Result<Self, Problem> {
        // First the ear, then the look: nothing falls between them.
        let follower = ledger.follow().await.map_err(Refusal::from)?;
        let entry = ledger.get(&job_id).await.map_err(Refusal::from)?.ok_or_else(|| Refusal::unknown(&job_id))?;
        let seen = last.and_then(|id| id.parse().ok());
        let mut telling = Self {
            ledger,
            job_id,
            follower,
            seen: seen.unwrap_or_default(),
            ready: VecDeque::new(),
            pages: Vec::new(),
            pages_id: EventId::default(),
            flush_at: None,
            over: false,
        };
        match seen {
            Some(seen) => {
                let missed = telling.ledger.events(&telling.job_id, seen, MISSED_MAX).await.map_err(Refusal::from)?;
                if missed.is_empty() && entry.status.is_terminal() {
                    telling.snapshot().await?;
                }
                missed.into_iter().for_each(|told| telling.take(told));
            }
            None => telling.snapshot().await?,
        }
        Ok(telling)
    }

    /// All of the job as it is now; one that has ended is told to its end.
    async fn snapshot(&mut self) -> Result<(), Problem> {
        let last = self.ledger.last_event(&self.job_id).await.map_err(Refusal::from)?;
        let entry = self.ledger.get(&self.job_id).await.map_err(Refusal::from)?.ok_or_else(|| Refusal::unknown(&self.job_id))?;
        self.seen = last;
        let view = view_job(&entry, Utc::now());
        let ended = entry.status.is_terminal();
        let end = json!({"status": view.status, "partial_reasons": view.partial_reasons});
        self.ready.push_back(News { id: Some(last), kind: "snapshot", data: serde_json::to_value(view).unwrap_or_default() });
        if ended {
            self.ready.push_back(News { id: Some(last), kind: "end", data: end });
            self.over = true;
        }
        Ok(())
    }

    /// Takes in an event that was not told yet.
    fn take(&mut self, told: Told) {
        if told.event.job_id != self.job_id || told.id <= self.seen || self.over {
            return;
        }
        self.seen = told.id;
        if told.event.kind == Kind::Page {
            self.pages.push(told.event.data);
            self.pages_id = told.id;
            self.flush_at.get_or_insert_with(|| Instant::now() + GATHERED);
            return;
        }
        self.flush();
        self.over = told.event.kind == Kind::End;
        self.ready.push_back(News { id: Some(told.id), kind: told.event.kind.as_str(), data: told.event.data });
    }

    fn flush(&mut self) -> bool {
        self.flush_at = None;
        if self.pages.is_empty() {
            return false;
        }
        let pages = std::mem::take(&mut self.pages);
        self.ready.push_back(News { id: Some(self.pages_id), kind: "pages", data: json!({"pages": pages}) });
        true
    }

    /// The next thing to tell.
    async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Some(news);
            }
            if self.over {
                return None;
            }
            let flush = self.flush_at;
            let due = async move {
                match flush {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => {
                    if self.flush() && let Some(progress) = self.progress().await {
                        self.ready.push_back(progress);
                    }
                }
                told = self.follower.recv() => match told {
                    Ok(told) => self.take(told),
                    // Too slow: what was lost is in a snapshot.
                    Err(RecvError::Lagged(_)) => self.snapshot().await.ok()?,
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn progress(&self) -> Option<News> {
        let view = view_job(&self.ledger.get(&self.job_id).await.ok()??, Utc::now());
        let data = json!({
            "percent": view.percent, "done": view.counts.ok + view.counts.cached, "failed": view.counts.failed,
            "total": view.counts.total, "eta_s": view.eta_seconds, "rate_ppm": view.pages_per_minute,
            "batches": view.batches, "usage": view.usage,
        });
        Some(News { id: None, kind: "progress", data })
    }

    fn stream(self) -> impl Stream<Item = News> {
        futures::stream::unfold(self, |mut telling| async move { Some((telling.next().await?, telling)) })
    }
}
