//! The first page: what there is to do, how fast it goes, and what stands in the way.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use celeriac_tasks::ledger::Query;
use celeriac_tasks::pipeline::QUEUES;
use celeriac_tasks::result::JobStatus;
use chrono::{DateTime, TimeDelta, Utc};

use super::super::Api;
use super::answer;
use super::fleet::{Queue, queues};
use super::job::Job;
use super::pace::Pace;
use super::place::{Mount, Shell};
use super::words::{NOTHING, count, short, spell};
use crate::jobs::{Desk, Refusal, Stats};

/// How many running jobs are shown.
const RUNNING: usize = 12;
/// So many jobs of a day are counted one by one.
const COUNTED: usize = 1000;
/// Of the pages of the last minute, a larger share than this that failed is told of.
const TOO_MANY: f64 = 0.1;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    shell: &'a Shell,
    alerts: Vec<Alert>,
    tiles: [Tile; 6],
    pace: Arc<Pace>,
    queues: Vec<Queue>,
    jobs: Vec<Job>,
    selectable: bool,
}

/// Something a person should do.
#[derive(Debug, PartialEq)]
struct Alert {
    level: &'static str,
    what: String,
    todo: String,
}

/// A figure.
#[derive(Debug)]
struct Tile {
    name: &'static str,
    value: String,
    unit: &'static str,
    note: String,
    tone: &'static str,
}

pub(super) async fn show(State(api): State<Api>, Extension(mount): Extension<Mount>, shell: Shell) -> Response {
    answer(&shell, overview(&api.desk, &mount, &shell).await)
}

async fn overview<'a>(desk: &Desk, mount: &Mount, shell: &'a Shell) -> Result<Overview<'a>, Refusal> {
    let now = Utc::now();
    let stats = desk.stats().await?;
    let midnight = now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let done = since(desk, &[JobStatus::Completed], midnight).await?;
    let wrong = since(desk, &[JobStatus::Partial, JobStatus::Failed], midnight).await?;
    let running =
        Query { status: vec![JobStatus::Processing, JobStatus::Cancelling, JobStatus::Queued], limit: RUNNING, ..Query::default() };
    let jobs = desk.find(&running).await?.jobs.iter().map(|entry| Job::of(entry, now)).collect();
    let tiles = tiles(&stats, &done, &wrong, drain(desk, &stats).await?);
    let pace = mount.paces.now(desk).await?;
    Ok(Overview { shell, alerts: alerts(&stats), tiles, pace, queues: queues(&stats), jobs, selectable: false })
}

/// How many jobs that were handed in since then ended so.
async fn since(desk: &Desk, status: &[JobStatus], time: DateTime<Utc>) -> Result<String, Refusal> {
    let query = Query { status: status.to_vec(), created_after: Some(time), limit: COUNTED, ..Query::default() };
    let found = desk.find_all(&query).await?;
    let more = if found.next.is_some() && found.jobs.len() >= COUNTED { "+" } else { "" };
    Ok(format!("{}{more}", count(found.jobs.len() as u64)))
}

/// After how many seconds the pages that wait are done, and how many they are.
async fn drain(desk: &Desk, stats: &Stats) -> Result<(Option<i64>, u64, u32), Refusal> {
    let pages = stats.queues.get(QUEUES[2]).cloned().unwrap_or_default();
    let waiting = pages.waiting + pages.delayed + u64::from(pages.reserved) + u64::from(pages.active);
    let estimate = desk.estimate_all(u32::try_from(waiting).unwrap_or(u32::MAX)).await?;
    Ok((estimate.seconds.and_then(|seconds| i64::try_from(seconds).ok()), waiting, estimate.slots))
}

fn tiles(stats: &Stats, done: &str, wrong: &str, (drain, waiting, slots): (Option<i64>, u64, u32)) -> [Tile; 6] {
    let jobs = |name: &str| stats.jobs.get(name).copied().unwrap_or_default();
    let tile = |name, value: String, note: String| Tile { name, value, unit: "", note, tone: "" };
    let span = |ms: u64| short(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX)));
    let speed = match stats.pages.per_min {
        0 => "in the last minute".to_owned(),
        _ => format!("half within {}, 95 % within {}", span(stats.pages.p50_ms), span(stats.pages.p95_ms)),
    };
    let cancelling = match jobs("cancelling") {
        0 => "jobs".to_owned(),
        some => format!("jobs, {some} more cancelling"),
    };
    [
        tile("Queued", count(jobs("queued")), "jobs".to_owned()),
        tile("Processing", count(jobs("processing")), cancelling),
        tile("Done today", done.to_owned(), "since midnight UTC".to_owned()),
        Tile { tone: if wrong == "0" { "" } else { "bad" }, ..tile("Partial or failed", wrong.to_owned(), "today".to_owned()) },
        tile("Pages a minute", count(stats.pages.per_min), speed),
        match drain {
            _ if waiting == 0 => tile("Queue empty in", "0".to_owned(), "nothing waits".to_owned()),
            Some(seconds) => tile("Queue empty in", spell(seconds), format!("{} pages, {slots} at once", count(waiting))),
            None => tile("Queue empty in", NOTHING.to_owned(), format!("{} pages, nobody takes them", count(waiting))),
        },
    ]
}

fn alerts(stats: &Stats) -> Vec<Alert> {
    let alone = stats.queues.iter().filter(|(_, queue)| queue.workers == 0 && queue.waiting > 0).map(|(name, queue)| Alert {
        level: "failed",
        what: format!("No worker takes from {name}."),
        todo: format!("{} wait. Start one with celeriac worker -Q {name}.", count(queue.waiting)),
    });
    let evicts = (stats.redis.eviction_policy_ok == Some(false)).then(|| Alert {
        level: "failed",
        what: "Redis may throw jobs away.".to_owned(),
        todo: "Set maxmemory-policy to noeviction.".to_owned(),
    });
    let letters = (stats.redis.dead_letters > 0).then(|| Alert {
        level: "partial",
        what: format!("{} dead letters.", count(stats.redis.dead_letters)),
        todo: "Look at them under Failures, requeue or discard them.".to_owned(),
    });
    let ended = stats.pages.per_min + stats.pages.failed_per_min;
    let failing = (stats.pages.failed_per_min as f64 > TOO_MANY * ended as f64).then(|| Alert {
        level: "failed",
        what: format!("{} of {ended} pages failed in the last minute.", stats.pages.failed_per_min),
        todo: "Failures groups them by cause.".to_owned(),
    });
    alone.chain(evicts).chain(failing).chain(letters).collect()
}
