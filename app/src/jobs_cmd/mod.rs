//! `jobs`, `monitor` and `stats`: the desk, at the command line.

mod act;
mod backup;
mod client;
mod content;
mod list;
mod show;
mod stats;
mod submit;
mod tidy;
mod watch;

use celeriac::cli::{Exit, Failure, GlobalArgs};
use celeriac_tasks::ledger::{Entry, Query};
use celeriac_tasks::result::JobStatus;

use self::client::Client;
use crate::args::{JobsCommand, MonitorCommand, StatsArgs, WhichArgs};

/// `jobs`.
pub(crate) fn jobs(command: &JobsCommand, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(global)?;
    client.block_on(async {
        match command {
            JobsCommand::Submit(args) => submit::submit(&client, args).await,
            JobsCommand::List(args) => list::list(&client, args).await,
            JobsCommand::Show(job) => show::show(&client, &job.job_id).await,
            JobsCommand::Watch(args) => watch::watch(&client, &args.job_id, args.timeout).await,
            JobsCommand::Result(args) => content::result(&client, args).await,
            JobsCommand::Pages(args) => content::pages(&client, args).await,
            JobsCommand::Log(job) => content::log(&client, &job.job_id).await,
            JobsCommand::Cancel(jobs) => act::cancel(&client, &jobs.job_ids).await,
            JobsCommand::Retry(args) => act::retry(&client, args).await,
            JobsCommand::Resume(jobs) => act::resume(&client, &jobs.job_ids).await,
            JobsCommand::Delete(args) => act::delete(&client, args).await,
            JobsCommand::Recover => tidy::recover(&client).await,
            JobsCommand::Export(args) => backup::export(&client, args).await,
            JobsCommand::Import(args) => backup::import(&client, args).await,
            JobsCommand::Prune(args) => tidy::prune(&client, args).await,
        }
    })
}

/// `monitor`.
pub(crate) fn monitor(command: &MonitorCommand, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(global)?;
    client.block_on(async {
        match command {
            MonitorCommand::Stats { watch } => stats::stats(&client, watch.then_some(2)).await,
            MonitorCommand::Job { job_id, watch: false } => show::show(&client, job_id).await,
            MonitorCommand::Job { job_id, watch: true } => watch::watch(&client, job_id, None).await,
            MonitorCommand::Cancel { job_id, watch } => {
                let exit = act::cancel(&client, std::slice::from_ref(job_id)).await?;
                if *watch { watch::watch(&client, job_id, None).await } else { Ok(exit) }
            }
        }
    })
}

/// `stats`.
pub(crate) fn stats(args: &StatsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(global)?;
    client.block_on(stats::stats(&client, args.watch))
}

/// How a job has ended, as a code.
fn code(entry: &Entry) -> Exit {
    let limit = entry.partial_reasons.iter().any(|reason| reason.is_limit());
    match entry.status {
        JobStatus::Partial | JobStatus::Failed if limit => Exit::Limit,
        JobStatus::Partial => Exit::Partial,
        JobStatus::Failed => Exit::JobFailed,
        JobStatus::Cancelled => Exit::Cancelled,
        _ => Exit::Ok,
    }
}

/// The jobs that are asked for.
fn chosen(which: &WhichArgs) -> Result<Query, Failure> {
    Ok(Query { status: states(&which.status)?, user_id: which.user.clone(), tag: which.tag.clone(), ..Query::default() })
}

/// States by their names; no names, no states.
fn states(words: &[String]) -> Result<Vec<JobStatus>, Failure> {
    let read = |word: &String| {
        serde_json::from_value::<JobStatus>(word.trim().into()).map_err(|_| {
            Failure::usage(format!("there is no state {word:?}"))
                .fix("queued, processing, cancelling, completed, partial, failed, cancelled")
        })
    };
    words.iter().filter(|word| !word.trim().is_empty()).map(read).collect()
}
