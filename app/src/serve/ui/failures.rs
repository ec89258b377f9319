//! What failed, by cause; and the messages no worker could take.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use celeriac::dead_letters::{Filter, Letter as Dead};
use celeriac_tasks::ErrorRecord;
use celeriac_tasks::ledger::{Entry, PageState, Query};
use celeriac_tasks::result::JobStatus;
use chrono::{DateTime, Utc};

use super::super::Api;
use super::answer;
use super::job::Job;
use super::place::Shell;
use super::words::{NOTHING, age, count, segment, word};
use crate::jobs::{Desk, Refusal};

/// In how many jobs causes are looked for, and in how many pages of each.
const JOBS: usize = 50;
const PAGES: usize = 50;
/// How many dead letters are shown.
const LETTERS: usize = 50;

#[derive(Template)]
#[template(path = "failures.html")]
struct Failures<'a> {
    shell: &'a Shell,
    note: String,
    groups: Vec<Group>,
    dead: String,
    letters: Vec<Letter>,
}

/// A cause.
#[derive(Debug)]
struct Group {
    code: String,
    stage: String,
    pages: usize,
    jobs: usize,
    sample: String,
    place: String,
    href: String,
    first: String,
    last: String,
}

/// A dead letter.
#[derive(Debug)]
struct Letter {
    task: String,
    task_id: String,
    queue: String,
    reason: String,
    deliveries: String,
    worker: String,
    /// What names it to the API.
    body: String,
}

/// One failure.
struct Failure {
    error: ErrorRecord,
    page: Option<u32>,
    job: Job,
}

pub(super) async fn show(State(api): State<Api>, shell: Shell) -> Response {
    answer(&shell, failures(&api.desk, &shell).await)
}

async fn failures<'a>(desk: &Desk, shell: &'a Shell) -> Result<Failures<'a>, Refusal> {
    let query = Query { status: vec![JobStatus::Failed, JobStatus::Partial], limit: JOBS, ..Query::default() };
    let jobs = desk.find(&query).await?.jobs;
    let mut found = Vec::new();
    for entry in &jobs {
        found.extend(of(desk, entry).await?);
    }
    let letters = desk.app.dead_letters();
    let dead = letters.count().await?;
    let shown = letters.list(&Filter::default(), 0, LETTERS).await?;
    let note = match jobs.len() {
        JOBS => format!("in the last {JOBS} jobs that are not whole"),
        some => format!("jobs that are not whole: {some}"),
    };
    Ok(Failures {
        shell,
        note,
        groups: groups(shell, found, Utc::now()),
        dead: count(dead as u64),
        letters: shown.iter().map(letter).collect(),
    })
}

async fn of(desk: &Desk, entry: &Entry) -> Result<Vec<Failure>, Refusal> {
    let job = Job::of(entry, Utc::now());
    let own = entry.error.iter().map(|error| Failure { error: error.clone(), page: None, job: job.clone() });
    let mut found: Vec<Failure> = own.collect();
    let failed = entry.pages.iter().filter(|(_, state)| *state == PageState::Failed).take(PAGES);
    for (page, _) in failed {
        let error = desk.page(&entry.job_id, page).await?.and_then(|record| record.error);
        found.extend(error.map(|error| Failure { error, page: Some(page), job: job.clone() }));
    }
    Ok(found)
}

/// The causes, the one with the most failures first.
fn groups(shell: &Shell, found: Vec<Failure>, now: DateTime<Utc>) -> Vec<Group> {
    let mut causes: BTreeMap<(String, String), Vec<Failure>> = BTreeMap::new();
    for failure in found {
        causes.entry((word(&failure.error.code), word(&failure.error.stage))).or_default().push(failure);
    }
    let mut groups: Vec<(usize, Group)> = causes
        .into_iter()
        .filter_map(|((code, stage), failures)| {
            let last = failures.iter().max_by_key(|failure| failure.error.at)?;
            let first = failures.iter().map(|failure| failure.error.at).min();
            let jobs: BTreeSet<&str> = failures.iter().map(|failure| failure.job.id.as_str()).collect();
            let page = last.page.map(|page| format!("/pages/{page}")).unwrap_or_default();
            let group = Group {
                code,
                stage,
                pages: failures.iter().filter(|failure| failure.page.is_some()).count(),
                jobs: jobs.len(),
                sample: last.error.message.clone(),
                place: last.page.map_or_else(|| last.job.name.clone(), |page| format!("{} p. {page}", last.job.name)),
                href: format!("{}/jobs/{}{page}", shell.base, segment(&last.job.id)),
                first: age(first, now),
                last: age(Some(last.error.at), now),
            };
            Some((failures.len(), group))
        })
        .collect();
    groups.sort_by_key(|(failures, _)| std::cmp::Reverse(*failures));
    groups.into_iter().map(|(_, group)| group).collect()
}

fn letter(letter: &Dead) -> Letter {
    let or_nothing = |text: Option<&String>| text.cloned().unwrap_or_else(|| NOTHING.to_owned());
    let about = &letter.dead.letter;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => NOTHING.to_owned(),
        other => other.to_string(),
    };
    Letter {
        task: or_nothing(letter.task.as_ref()),
        task_id: letter.task_id.clone().unwrap_or_default(),
        queue: letter.dead.queue.clone(),
        reason: text(serde_json::json!(about.reason)),
        deliveries: text(serde_json::json!(about.deliveries)),
        worker: text(serde_json::json!(about.nodename)),
        body: serde_json::json!({"ids": [letter.dead.id]}).to_string(),
    }
}
