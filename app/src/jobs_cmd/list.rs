//! `jobs list`.

use std::fmt::Write as _;

use celeriac::cli::terminal::{print, print_json, safe, tell};
use celeriac::cli::{Exit, Failure};
use celeriac_tasks::ledger::{Cursor, Query};
use chrono::Utc;
use serde_json::json;

use super::client::{Client, refused};
use crate::args::ListArgs;
use crate::jobs::{JobView, view_job};

pub(super) async fn list(client: &Client, args: &ListArgs) -> Result<Exit, Failure> {
    let cursor = |text: &String| {
        Cursor::parse(text).ok_or_else(|| Failure::usage("--cursor is none of ours").fix("it is what the list before ended with"))
    };
    let query = Query {
        parent: args.parent.clone(),
        text: args.search.clone(),
        cursor: args.cursor.as_ref().map(cursor).transpose()?,
        limit: args.limit as usize,
        ..super::chosen(&args.which)?
    };
    let found = if args.history { client.desk.history(&query).await } else { client.desk.find(&query).await };
    let found = found.map_err(|refusal| refused(&refusal))?;
    let (now, next) = (Utc::now(), found.next.map(|cursor| cursor.to_text()));
    let jobs: Vec<JobView> = found.jobs.iter().map(|entry| view_job(entry, now)).collect();
    if client.json {
        print_json(&json!({"jobs": jobs, "next": next}))?;
        return Ok(Exit::Ok);
    }
    if client.quiet {
        print(&jobs.iter().map(|job| format!("{}\n", safe(&job.job_id))).collect::<String>())?;
        return Ok(Exit::Ok);
    }
    print(&table(&jobs))?;
    if let Some(next) = next {
        tell(&format!("more: --cursor {}\n", safe(&next)))?;
    }
    Ok(Exit::Ok)
}

/// One line a job.
fn table(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let width = jobs.iter().map(|job| job.job_id.chars().count()).max().unwrap_or(0).clamp(4, 40);
    let mut text =
        format!("{:<width$}  {:<10}  {:>5}  {:>11}  {:>6}  {:<20}  document\n", "job", "status", "%", "pages", "failed", "created");
    for job in jobs {
        let counts = job.counts;
        let pages = format!("{}/{}", counts.ok + counts.cached, counts.total);
        let created = job.times.created.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{:<width$}  {:<10}  {:>5.1}  {pages:>11}  {:>6}  {:<20}  {}",
            safe(&job.job_id),
            job.status,
            job.percent,
            counts.failed,
            created.split('.').next().unwrap_or(created).trim_end_matches('Z'),
            safe(job.title.as_deref().or(job.file_name.as_deref()).unwrap_or("-")),
        );
    }
    text
}
