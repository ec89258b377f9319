//! `jobs recover` and `jobs prune`: what the service does by itself, now and by hand.

use celeriac::cli::terminal::{print, print_json};
use celeriac::cli::{Exit, Failure};
use celeriac_tasks::ledger::Query;
use celeriac_tasks::result::JobStatus;
use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::client::{Client, refused};
use crate::args::PruneArgs;
use crate::jobs::{Desk, Refusal};
use crate::upkeep::stray;

/// How many jobs are read at once.
const AT_ONCE: usize = 500;
/// The ends a job can have.
const ENDS: [JobStatus; 5] =
    [JobStatus::Completed, JobStatus::Partial, JobStatus::Failed, JobStatus::Cancelled, JobStatus::Expired];

pub(super) async fn recover(client: &Client) -> Result<Exit, Failure> {
    let found = stray::look(&client.desk).await.map_err(|refusal| refused(&refusal))?;
    if client.json {
        print_json(&json!({"sent": found.sent, "ended": found.ended}))?;
    } else {
        print(&format!("{} jobs sent that were entered and never sent, {} ended that nobody works on\n", found.sent, found.ended))?;
    }
    Ok(Exit::Ok)
}

pub(super) async fn prune(client: &Client, args: &PruneArgs) -> Result<Exit, Failure> {
    let wanted = match super::states(&args.status)? {
        states if states.is_empty() => ENDS.to_vec(),
        states => states,
    };
    if let Some(status) = wanted.iter().find(|status| !status.is_terminal()) {
        return Err(Failure::usage(format!("a job that is {} has not ended", status.as_str())).fix("`jobs cancel` ends it"));
    }
    let old = old(&client.desk, wanted, args.older_than).await.map_err(|refusal| refused(&refusal))?;
    if !old.is_empty() {
        let where_from = if args.archive { ", from the archive too" } else { "" };
        client.may(&format!("Remove {} jobs that ended long ago{where_from}?", old.len()), args.force)?;
    }
    for job_id in &old {
        let removed = if args.archive { client.desk.delete(job_id).await.map(drop) } else { client.desk.forget(job_id).await };
        match removed {
            // Somebody else was faster.
            Ok(()) | Err(Refusal::NotFound(_)) => {}
            Err(refusal) => return Err(refused(&refusal)),
        }
    }
    if client.json {
        print_json(&json!({"removed": old}))?;
    } else {
        print(&format!("{} jobs removed\n", old.len()))?;
    }
    Ok(Exit::Ok)
}

/// Jobs in these states that ended longer ago than this.
async fn old(desk: &Desk, status: Vec<JobStatus>, age: std::time::Duration) -> Result<Vec<String>, Refusal> {
    let before = TimeDelta::from_std(age).ok().and_then(|age| Utc::now().checked_sub_signed(age));
    // Longer ago than there are dates: nothing is.
    let Some(before) = before else { return Ok(Vec::new()) };
    let mut query = Query { status, limit: AT_ONCE, ..Query::default() };
    let mut old = Vec::new();
    loop {
        let found = desk.find(&query).await?;
        let ended = found.jobs.into_iter().filter(|job| job.times.finished.is_some_and(|at| at <= before));
        old.extend(ended.map(|job| job.job_id));
        match found.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(old),
        }
    }
}
