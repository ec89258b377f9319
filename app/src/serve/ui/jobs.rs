//! The jobs: found by state, tag or words, youngest first; those that only the archive remembers among them.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::response::Response;
use celeriac_tasks::ledger::{Cursor, Query};
use celeriac_tasks::result::JobStatus;
use chrono::Utc;
use serde::Deserialize;

use super::super::Api;
use super::answer;
use super::job::Job;
use super::place::Shell;
use super::words::{count, segment};
use crate::jobs::{Desk, Refusal};

/// How many jobs a page has.
const PAGE: usize = 50;
/// The states jobs are chosen by; several under one name.
const CHIPS: [(&str, &str, &[JobStatus]); 6] = [
    ("Queued", "queued", &[JobStatus::Queued]),
    ("Processing", "processing", &[JobStatus::Processing, JobStatus::Cancelling]),
    ("Completed", "completed", &[JobStatus::Completed]),
    ("Partial", "partial", &[JobStatus::Partial]),
    ("Failed", "failed", &[JobStatus::Failed]),
    ("Cancelled", "cancelled", &[JobStatus::Cancelled]),
];

#[derive(Template)]
#[template(path = "jobs.html")]
struct Jobs<'a> {
    shell: &'a Shell,
    q: String,
    tag: String,
    chips: Vec<Chip>,
    jobs: Vec<Job>,
    /// Where older ones are.
    next: String,
    filtered: bool,
    selectable: bool,
}

/// A choice.
#[derive(Debug)]
struct Chip {
    name: &'static str,
    href: String,
    count: String,
    here: bool,
}

/// Which jobs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    status: String,
    tag: String,
    q: String,
    cursor: String,
}

pub(super) async fn show(State(api): State<Api>, shell: Shell, Asked(which): Asked<Which>) -> Response {
    answer(&shell, jobs(&api.desk, &shell, which).await)
}

async fn jobs<'a>(desk: &Desk, shell: &'a Shell, which: Which) -> Result<Jobs<'a>, Refusal> {
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let query = Query {
        status: CHIPS.iter().find(|(_, word, _)| *word == which.status).map(|(.., of)| of.to_vec()).unwrap_or_default(),
        tag: some(&which.tag),
        text: some(&which.q),
        cursor: Cursor::parse(&which.cursor),
        limit: PAGE,
        // What is looked for may be one of several documents; the list of all names their job alone.
        whole: which.status.is_empty() && which.tag.is_empty() && which.q.is_empty(),
        ..Query::default()
    };
    let found = desk.find_all(&query).await?;
    let now = Utc::now();
    let older = |cursor: Cursor| address(shell, &which.status, &which, Some(&cursor.to_text()));
    Ok(Jobs {
        shell,
        chips: chips(desk, shell, &which).await?,
        jobs: found.jobs.iter().map(|entry| Job::of(entry, now)).collect(),
        next: found.next.map(older).unwrap_or_default(),
        filtered: !(which.status.is_empty() && which.tag.is_empty() && which.q.is_empty()),
        selectable: shell.powers.operate,
        q: which.q,
        tag: which.tag,
    })
}

async fn chips(desk: &Desk, shell: &Shell, which: &Which) -> Result<Vec<Chip>, Refusal> {
    let mut chips = Vec::new();
    for (name, word, states) in CHIPS {
        let mut found = 0;
        for state in states {
            found += desk.count(*state).await?;
        }
        chips.push(Chip { name, href: address(shell, word, which, None), count: count(found), here: word == which.status });
    }
    let here = which.status.is_empty();
    let all = desk.ledger.whole().await?;
    chips.insert(0, Chip { name: "All", href: address(shell, "", which, None), count: count(all), here });
    Ok(chips)
}

/// The address of jobs in a state, with what else was asked.
fn address(shell: &Shell, status: &str, which: &Which, cursor: Option<&str>) -> String {
    let asked = [("status", status), ("tag", &which.tag), ("q", &which.q), ("cursor", cursor.unwrap_or_default())];
    let asked = asked.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", segment(value)));
    let asked = asked.collect::<Vec<_>>().join("&");
    format!("{}/jobs{}{asked}", shell.base, if asked.is_empty() { "" } else { "?" })
}
