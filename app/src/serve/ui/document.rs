//! A document: its head, and one page each for what there is of it.

use askama::Template;
use axum::extract::{Path, Query as Asked, State};
use axum::response::Response;
use celeriac_tasks::ledger::{Cursor, Entry, Query};
use chrono::Utc;
use serde::Deserialize;

use super::super::Api;
use super::answer;
use super::events::{History, Line, Step, steps};
use super::grid::{self, Kind, Row};
use super::job::Job;
use super::narration::{self, Narration};
use super::place::Shell;
use super::raw::{self, Hook, Task};
use super::summary::{self, Summary};
use super::timeline::{self, Timeline};
use super::words::segment;
use crate::jobs::{Desk, Refusal, view_job};

/// How many documents of a job of several a page has.
const DOCUMENTS: usize = 50;

/// What there is of a document: name, path, here or not.
#[derive(Debug)]
pub(super) struct Tab {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) here: bool,
}

/// What stands above each of them.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) shell: Shell,
    pub(super) entry: Entry,
    pub(super) history: History,
    pub(super) job: Job,
    pub(super) steps: Vec<Step>,
    pub(super) tabs: Vec<Tab>,
}

impl Head {
    /// Of a job, on one of its tabs.
    pub(super) async fn of(desk: &Desk, shell: &Shell, job_id: &str, here: &str) -> Result<Self, Refusal> {
        const TABS: [(&str, &str); 6] = [
            ("Pages", ""),
            ("Summary", "/summary"),
            ("Audio", "/audio"),
            ("Timeline", "/timeline"),
            ("Log", "/log"),
            ("Raw", "/raw"),
        ];
        const OF_SEVERAL: [(&str, &str); 3] = [("Documents", ""), ("Log", "/log"), ("Raw", "/raw")];
        let entry = desk.job(job_id).await?;
        let history = History::of(desk, job_id).await?;
        let now = Utc::now();
        let tabs: &[(&str, &str)] = if entry.parts.is_some() { &OF_SEVERAL } else { &TABS };
        Ok(Self {
            shell: shell.clone().of_job(job_id, false),
            job: Job::of(&entry, now),
            // Each of several documents has its own.
            steps: if entry.parts.is_some() { Vec::new() } else { steps(&entry, &history, now) },
            tabs: tabs.iter().copied().map(|(name, path)| Tab { name, path, here: path == here }).collect(),
            entry,
            history,
        })
    }
}

/// A page of a document with what all of them have.
macro_rules! tab {
    ($(#[$about:meta])* $name:ident($path:tt) { $($field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Template)]
        #[template(path = $path)]
        struct $name {
            shell: Shell,
            job: Job,
            steps: Vec<Step>,
            tabs: Vec<Tab>,
            $($field: $kind,)*
        }
    };
}

tab! {
    /// The grid.
    Pages("pages.html") { rows: Vec<Row>, legend: Vec<Kind>, states: String, }
}

pub(super) async fn pages(State(api): State<Api>, shell: Shell, Path(job_id): Path<String>, Asked(from): Asked<From>) -> Response {
    let head = match Head::of(&api.desk, &shell, &job_id, "").await {
        Ok(head) if head.entry.parts.is_some() => return answer(&shell, documents(&api.desk, head, &from).await),
        head => head,
    };
    let page = head.map(|head| Pages {
        rows: grid::rows(&head.entry),
        legend: grid::legend(&head.entry),
        states: head.entry.pages.to_string(),
        shell: head.shell,
        job: head.job,
        steps: head.steps,
        tabs: head.tabs,
    });
    answer(&shell, page)
}

/// From where on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    cursor: String,
}

tab! {
    /// The documents of a job of several.
    Documents("documents.html") { jobs: Vec<Job>, next: String, selectable: bool, }
}

async fn documents(desk: &Desk, head: Head, from: &From) -> Result<Documents, Refusal> {
    let Head { shell, entry, job, steps, tabs, .. } = head;
    let query = Query { parent: Some(entry.job_id), cursor: Cursor::parse(&from.cursor), limit: DOCUMENTS, ..Query::default() };
    let found = desk.parts(&query).await?;
    let now = Utc::now();
    let more = |cursor: Cursor| format!("{}/jobs/{}?cursor={}", shell.base, job.segment, segment(&cursor.to_text()));
    let next = found.next.map(more).unwrap_or_default();
    let jobs = found.jobs.iter().map(|entry| Job::of(entry, now)).collect();
    Ok(Documents { shell, job, steps, tabs, jobs, next, selectable: false })
}

tab! {
    /// The summary.
    OfSummary("summary.html") { summary: Summary, }
}

pub(super) async fn summary(State(api): State<Api>, shell: Shell, Path(job_id): Path<String>) -> Response {
    let page = async {
        let Head { shell, entry, job, steps, tabs, .. } = Head::of(&api.desk, &shell, &job_id, "/summary").await?;
        let summary = summary::of(&entry, api.desk.result(&job_id).await?);
        Ok(OfSummary { shell, job, steps, tabs, summary })
    };
    answer(&shell, page.await)
}

tab! {
    /// The narration.
    OfAudio("audio.html") { audio: Narration, }
}

pub(super) async fn audio(State(api): State<Api>, shell: Shell, Path(job_id): Path<String>) -> Response {
    let page = async {
        let Head { shell, entry, job, steps, tabs, .. } = Head::of(&api.desk, &shell, &job_id, "/audio").await?;
        let audio = narration::of(&api.desk, &shell, &entry).await?;
        Ok(OfAudio { shell, job, steps, tabs, audio })
    };
    answer(&shell, page.await)
}

tab! {
    /// When each batch ran.
    OfTime("timeline.html") { timeline: Timeline, }
}

pub(super) async fn timeline(State(api): State<Api>, shell: Shell, Path(job_id): Path<String>) -> Response {
    let page = Head::of(&api.desk, &shell, &job_id, "/timeline").await.map(|head| OfTime {
        timeline: timeline::of(&head.entry, &head.history, Utc::now()),
        shell: head.shell,
        job: head.job,
        steps: head.steps,
        tabs: head.tabs,
    });
    answer(&shell, page)
}

tab! {
    /// What happened.
    Log("log.html") { lines: Vec<Line>, absent: &'static str, }
}

pub(super) async fn log(State(api): State<Api>, shell: Shell, Path(job_id): Path<String>) -> Response {
    let page = Head::of(&api.desk, &shell, &job_id, "/log").await.map(|head| Log {
        lines: head.history.lines(),
        absent: if head.job.ended { "What happened is not kept any more." } else { "Nothing happened yet." },
        shell: head.shell,
        job: head.job,
        steps: head.steps,
        tabs: head.tabs,
    });
    answer(&shell, page)
}

tab! {
    /// Everything as data.
    Raw("raw.html") { raw: String, result: String, task_id: String, hook: Option<Hook>, tasks: Vec<Task>, }
}

pub(super) async fn raw(State(api): State<Api>, shell: Shell, Path(job_id): Path<String>) -> Response {
    let page = async {
        let Head { shell, entry, history, job, steps, tabs } = Head::of(&api.desk, &shell, &job_id, "/raw").await?;
        let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap_or_default();
        let raw = pretty(&serde_json::to_value(view_job(&entry, Utc::now())).unwrap_or_default());
        let result = api.desk.result(&job_id).await?;
        let (hook, tasks) = (raw::hook(&entry, &history), raw::tasks(result.as_ref()));
        let result = result.and_then(|result| result.compact().ok()).as_ref().map(pretty).unwrap_or_default();
        Ok(Raw { shell, job, steps, tabs, raw, result, task_id: entry.job_id, hook, tasks })
    };
    answer(&shell, page.await)
}
