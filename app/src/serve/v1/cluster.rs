//! What happens to all jobs, as server-sent events: enough to keep a list of them or the system's figures live.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use celeriac_tasks::ledger::Follower;
use chrono::Utc;
use futures::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::Query;
use super::super::problem::Problem;
use super::events::SentEvent;
use crate::jobs::{Desk, Refusal, view_job};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(cluster))
}

/// How long changes of jobs are gathered before they are told.
const GATHERED: Duration = Duration::from_secs(1);
/// How often the figures are told.
const FIGURES: Duration = Duration::from_secs(5);
/// Of how many jobs one event tells; a list that is longer is looked up by whoever wants it.
const JOBS_MAX: usize = 50;
const PING: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(2);

/// Of what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Topics {
    /// `jobs`: those that changed, once a second. `stats`: the figures of `/v1/stats`, every five seconds. With commas between; none: both.
    #[param(pattern = "^(jobs|stats)(,(jobs|stats))*$")]
    topics: Option<String>,
}

/// What happens to all jobs, and the system's figures, as server-sent events `jobs` and `stats`.
#[utoipa::path(get, path = "/events", params(Topics), responses(
    (status = 200, description = "Events without an end", content_type = "text/event-stream", body = SentEvent),
    (status = 422, description = "There is no such topic", body = Problem),
    (status = 503, description = "The ledger does not answer", body = Problem),
))]
async fn cluster(State(api): State<Api>, Query(asked): Query<Topics>) -> Result<Response, Problem> {
    let topics: Vec<&str> = asked.topics.as_deref().unwrap_or("jobs,stats").split(',').map(str::trim).collect();
    if let Some(other) = topics.iter().find(|topic| !["jobs", "stats"].contains(*topic)) {
        return Err(Problem::invalid(format!("topics: there is no {other:?}; there are jobs and stats")));
    }
    let follower = api.desk.ledger.follow().await.map_err(Refusal::from)?;
    let telling = Telling {
        desk: api.desk,
        follower,
        jobs: topics.contains(&"jobs"),
        changed: BTreeSet::new(),
        tell_at: None,
        figures_at: topics.contains(&"stats").then(Instant::now),
    };
    let frames = futures::StreamExt::map(telling.stream(), |(kind, data)| {
        Ok::<_, Infallible>(Frame::default().event(kind).data(data.to_string()).retry(RETRY))
    });
    let frames = futures::StreamExt::take_until(frames, api.stopping.cancelled_owned());
    let sse = Sse::new(frames).keep_alive(KeepAlive::new().interval(PING).text("ping"));
    let unbuffered = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((unbuffered, sse).into_response())
}

struct Telling {
    desk: Desk,
    follower: Follower,
    jobs: bool,
    /// The jobs that changed since they were last told of.
    changed: BTreeSet<String>,
    tell_at: Option<Instant>,
    figures_at: Option<Instant>,
}

/// At a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Telling {
    async fn next(&mut self) -> Option<(&'static str, Value)> {
        loop {
            tokio::select! {
                () = at(self.tell_at) => {
                    self.tell_at = None;
                    return Some(("jobs", self.jobs().await?));
                }
                () = at(self.figures_at) => {
                    self.figures_at = Some(Instant::now() + FIGURES);
                    // Whoever listens is better off with the next figures than with none any more.
                    if let Ok(stats) = self.desk.stats().await {
                        return Some(("stats", serde_json::to_value(stats).unwrap_or_default()));
                    }
                }
                told = self.follower.recv() => match told {
                    Ok(told) if self.jobs => {
                        self.changed.insert(told.event.job_id.clone());
                        self.tell_at.get_or_insert_with(|| Instant::now() + GATHERED);
                    }
                    // Which ones were lost does not matter: they change again, or the figures tell of them.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn jobs(&mut self) -> Option<Value> {
        let changed = std::mem::take(&mut self.changed);
        let mut jobs = Vec::new();
        for job_id in changed.iter().take(JOBS_MAX) {
            // One that was removed has no view: its id tells.
            jobs.push(match self.desk.ledger.get(job_id).await.ok()? {
                Some(entry) => brief(&view_job(&entry, Utc::now())),
                None => json!({"job_id": job_id, "status": null}),
            });
        }
        Some(json!({"jobs": jobs, "more": changed.len() > JOBS_MAX}))
    }

    fn stream(self) -> impl Stream<Item = (&'static str, Value)> {
        futures::stream::unfold(self, |mut telling| async move { Some((telling.next().await?, telling)) })
    }
}

/// A job without the states of its pages.
fn brief(view: &crate::jobs::JobView) -> Value {
    json!({
        "job_id": view.job_id, "status": view.status, "phase": view.phase, "percent": view.percent,
        "counts": view.counts, "eta_seconds": view.eta_seconds,
    })
}
