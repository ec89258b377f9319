//! `jobs show`: a job at one moment.

use celeriac::cli::terminal::{print, print_json, safe};
use celeriac::cli::{Exit, Failure};
use serde_json::json;

use super::client::{Client, refused};
use crate::jobs::{JobView, PartView};

pub(super) async fn show(client: &Client, job_id: &str) -> Result<Exit, Failure> {
    let entry = client.desk.job(job_id).await.map_err(|refusal| refused(&refusal))?;
    let view = client.desk.shown(&entry).await.map_err(|refusal| refused(&refusal))?;
    if client.json {
        print_json(&json!(view))?;
    } else {
        print(&text(&view))?;
    }
    Ok(Exit::Ok)
}

/// One of several documents.
fn document(part: &PartView) -> String {
    let name = safe(part.file_name.as_deref().unwrap_or("-"));
    format!("  {:<10} {:>5.1} %  {name}  {}\n", part.status, part.percent, safe(&part.job_id))
}

/// A line for each thing that is known.
pub(super) fn text(job: &JobView) -> String {
    let counts = job.counts;
    let state = match job.status.as_str() {
        "processing" => format!("processing · {} · {:.1} %", job.phase, job.percent),
        status if job.partial_reasons.is_empty() => status.to_owned(),
        status => format!("{status} · {}", job.partial_reasons.join(", ")),
    };
    let of = |count: u32, word: &str| (count > 0).then(|| format!("{count} {word}"));
    let pages: Vec<String> = [
        Some(format!("{} of {} done", counts.ok + counts.cached, counts.total)),
        of(counts.running, "running"),
        of(counts.queued, "waiting"),
        of(counts.failed, "failed"),
        of(counts.cancelled, "left out"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let batches = (job.batches.total > 0).then(|| format!("{} of {} complete", job.batches.completed, job.batches.total));
    let cost = (job.usage.cost_usd > 0.0).then(|| format!("{:.4} USD", job.usage.cost_usd));
    let error = job.error.as_ref().map(|error| error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned));
    let lines = [
        ("job", Some(job.job_id.clone())),
        ("of", job.parent.clone()),
        ("document", job.title.clone().or_else(|| job.file_name.clone())),
        ("status", Some(state)),
        ("error", error),
        (if job.documents.is_some() { "documents" } else { "pages" }, Some(pages.join(" · "))),
        ("batches", batches),
        ("remaining", job.eta_seconds.map(|seconds| format!("{seconds} s"))),
        ("cost", cost),
        ("user", job.user_id.clone()),
        ("tags", (!job.tags.is_empty()).then(|| job.tags.join(", "))),
        ("created", job.times.created.clone()),
        ("started", job.times.started.clone()),
        ("finished", job.times.finished.clone()),
        ("runs", (job.runs > 1).then(|| job.runs.to_string())),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some(format!("{name:<10} {}\n", safe(&value?))));
    lines.chain(job.documents.iter().flat_map(|documents| documents.first.iter().map(document))).collect()
}
