//! `jobs watch`: a job to its end. Progress on standard error, how it ended on standard output; with `--json` each event as a line.

use std::time::Duration;

use celeriac::cli::terminal::{self, print};
use celeriac::cli::{Exit, Failure};
use celeriac_tasks::ledger::Entry;
use indicatif::MultiProgress;

use super::client::{Client, refused};
use crate::jobs::Telling;
use crate::process::{Display, snapshot};

/// Longer than anybody watches.
const FOR_EVER: Duration = Duration::from_secs(86_400 * 365);

pub(super) async fn watch(client: &Client, job_id: &str, timeout: Option<f64>) -> Result<Exit, Failure> {
    let time = match timeout {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| Failure::usage("--timeout is a number of seconds"))?,
        None => FOR_EVER,
    };
    let telling = Telling::begin(client.desk.clone(), job_id.to_owned(), None).await.map_err(|refusal| refused(&refusal))?;
    tokio::select! {
        ended = follow(client, job_id, telling) => ended,
        () = tokio::time::sleep(time.min(FOR_EVER)) => Ok(Exit::Timeout),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn follow(client: &Client, job_id: &str, mut telling: Telling) -> Result<Exit, Failure> {
    let bars = MultiProgress::new();
    let mut display = if client.json || client.quiet {
        Display::Silent
    } else if terminal::bars(&client.around.env) {
        Display::bars(&bars, job_id)
    } else {
        Display::lines(job_id)
    };
    while let Some(news) = telling.next().await {
        if client.json {
            print(&format!("{}\n", news.to_json()))?;
        } else if let Ok(entry) = client.desk.job(job_id).await
            && !(entry.pages.is_empty() && entry.parts.is_none())
        {
            display.show(&snapshot(&entry));
        }
    }
    display.finish();
    let entry = client.desk.job(job_id).await.map_err(|refusal| refused(&refusal))?;
    ended(client, &entry).await
}

async fn ended(client: &Client, entry: &Entry) -> Result<Exit, Failure> {
    if !client.json && !client.quiet {
        let view = client.desk.shown(entry).await.map_err(|refusal| refused(&refusal))?;
        print(&super::show::text(&view))?;
    }
    if !entry.status.is_terminal() {
        return Err(Failure::new(Exit::TryLater, "the job is not told of any more").why("the connection to Redis ended"));
    }
    Ok(super::code(entry))
}
