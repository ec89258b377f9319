//! `jobs cancel`, `retry`, `resume`, `delete`: each job by itself, so that one that refuses does not hold up the others.

use celeriac::cli::terminal::{print, print_json, safe, tell};
use celeriac::cli::{Exit, Failure};
use celeriac_tasks::job::Selection;
use celeriac_tasks::ledger::Entry;
use chrono::Utc;
use serde_json::json;

use super::client::{Client, refused};
use crate::args::{DeleteArgs, RetryArgs};
use crate::jobs::{Refusal, Retry, view_job};

type Acted = Vec<(String, Result<Entry, Refusal>)>;

pub(super) async fn cancel(client: &Client, job_ids: &[String]) -> Result<Exit, Failure> {
    let mut acted = Acted::new();
    for job_id in job_ids {
        acted.push((job_id.clone(), client.desk.cancel(job_id).await));
    }
    report(client, acted, "stopping")
}

pub(super) async fn resume(client: &Client, job_ids: &[String]) -> Result<Exit, Failure> {
    let mut acted = Acted::new();
    for job_id in job_ids {
        acted.push((job_id.clone(), client.desk.retry(job_id, &Retry::GoOn).await));
    }
    report(client, acted, "goes on")
}

pub(super) async fn retry(client: &Client, args: &RetryArgs) -> Result<Exit, Failure> {
    let what = match &args.pages {
        Some(list) => {
            let wanted: Selection = list.parse().map_err(|error| Failure::usage(format!("--pages: {error}")))?;
            let entry = client.desk.job(&args.job_id).await.map_err(|refusal| refused(&refusal))?;
            Retry::Pages(wanted.pages(u32::try_from(entry.pages.len()).unwrap_or(u32::MAX)))
        }
        None if args.all => Retry::All,
        None => Retry::Missing,
    };
    let acted = client.desk.retry(&args.job_id, &what).await;
    report(client, vec![(args.job_id.clone(), acted)], "runs again")
}

pub(super) async fn delete(client: &Client, args: &DeleteArgs) -> Result<Exit, Failure> {
    let count = args.job_ids.len();
    let what = if count == 1 { format!("job {}", safe(&args.job_ids[0])) } else { format!("{count} jobs") };
    client.may(&format!("Remove {what} with results, pages and archive?"), args.force)?;
    let mut acted = Acted::new();
    for job_id in &args.job_ids {
        acted.push((job_id.clone(), client.desk.delete(job_id).await));
    }
    report(client, acted, "removed")
}

/// What became of each; the code is that of the first refusal.
fn report(client: &Client, acted: Acted, done: &str) -> Result<Exit, Failure> {
    let (now, mut exit, mut jobs, mut refusals) = (Utc::now(), Exit::Ok, Vec::new(), Vec::new());
    for (job_id, outcome) in acted {
        match outcome {
            Ok(entry) => {
                if !client.json && !client.quiet {
                    print(&format!("{}: {done}\n", safe(&job_id)))?;
                }
                jobs.push(json!(view_job(&entry, now)));
            }
            Err(refusal) => {
                let failure = refused(&refusal);
                exit = if exit == Exit::Ok { failure.exit } else { exit };
                tell(&format!("{failure}\n"))?;
                refusals.push(json!({"job_id": job_id, "message": refusal.message()}));
            }
        }
    }
    if client.json {
        print_json(&json!({"jobs": jobs, "refused": refusals}))?;
    }
    Ok(exit)
}
