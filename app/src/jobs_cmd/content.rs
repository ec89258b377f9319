//! `jobs result`, `jobs pages`, `jobs log`: what has come of a job.

use std::fmt::Write as _;

use celeriac::cli::terminal::{print, print_json, safe};
use celeriac::cli::{Exit, Failure};
use celeriac_tasks::job::Selection;
use celeriac_tasks::ledger::{Entry, PageState};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde_json::{Value, json};

use super::client::{Client, refused};
use crate::args::{PagesArgs, ResultArgs};
use crate::jobs::written;

pub(super) async fn result(client: &Client, args: &ResultArgs) -> Result<Exit, Failure> {
    let wanted = args.pages.as_deref().map(str::parse::<Selection>).transpose();
    let wanted = wanted.map_err(|error| Failure::usage(format!("--pages: {error}")))?;
    let entry = client.desk.job(&args.job_id).await.map_err(|refusal| refused(&refusal))?;
    if entry.parts.is_some() {
        return of_documents(client, args, entry).await;
    }
    let result = client.desk.result(&args.job_id).await.map_err(|refusal| refused(&refusal))?;
    let Some(mut result) = result.filter(|_| entry.status.is_terminal()) else { return Err(none(&entry)) };
    if let Some(wanted) = wanted {
        let pages = wanted.pages(result.document.total_pages);
        result.pages.retain(|page| pages.binary_search(&page.page).is_ok());
    }
    let bytes =
        written(&result, args.format).map_err(|error| Failure::new(Exit::Failure, "the result cannot be written").why(error))?;
    Output::open(args)?.write(&bytes)?;
    Ok(super::code(&entry))
}

/// The result of several documents, written as it is read.
async fn of_documents(client: &Client, args: &ResultArgs, entry: Entry) -> Result<Exit, Failure> {
    if args.pages.is_some() {
        return Err(Failure::usage("--pages are those of one document").fix("`celeriac jobs list --parent ID` lists the documents"));
    }
    if !entry.status.is_terminal() {
        return Err(none(&entry));
    }
    let (code, mut output) = (super::code(&entry), Output::open(args)?);
    let mut written = Box::pin(client.desk.clone().parts_written(entry, args.format));
    while let Some(bytes) = written.next().await {
        output.write(&bytes.map_err(|refusal| refused(&refusal))?)?;
    }
    Ok(code)
}

/// Where a result is written.
struct Output {
    name: String,
    to: Box<dyn std::io::Write>,
}

impl Output {
    fn open(args: &ResultArgs) -> Result<Self, Failure> {
        if args.output.as_os_str() == "-" {
            return Ok(Self { name: "standard output".to_owned(), to: Box::new(std::io::stdout()) });
        }
        let name = args.output.display().to_string();
        let file = std::fs::File::create(&args.output).map_err(|error| Failure::write(&name, &error))?;
        Ok(Self { name, to: Box::new(file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).and_then(|()| self.to.flush()).map_err(|error| Failure::write(&self.name, &error))
    }
}

/// A job without a result: why.
fn none(entry: &Entry) -> Failure {
    let (job_id, status) = (safe(&entry.job_id), entry.status.as_str());
    if !entry.status.is_terminal() {
        return Failure::new(Exit::Failure, format!("job {job_id} has no result yet: it is {status}"))
            .fix(format!("`celeriac jobs watch {job_id}` waits for its end"));
    }
    let exit = match super::code(entry) {
        told @ (Exit::JobFailed | Exit::Cancelled | Exit::Limit) => told,
        _ => Exit::Failure,
    };
    let failure = Failure::new(exit, format!("job {job_id} has no result: it is {status}"));
    match &entry.error {
        Some(error) => failure.why(safe(&error.message)),
        None if exit == Exit::Failure => failure.why("it is not kept any more"),
        None => failure,
    }
}

pub(super) async fn pages(client: &Client, args: &PagesArgs) -> Result<Exit, Failure> {
    let wanted = args.status.as_deref().map(state).transpose()?;
    let entry = client.desk.job(&args.job_id).await.map_err(|refusal| refused(&refusal))?;
    let fits = |state: PageState| wanted.is_none_or(|wanted| wanted == state);
    let records = client.desk.pages(&entry, |_, state| fits(state)).await.map_err(|refusal| refused(&refusal))?;
    if client.json {
        print_json(&json!({
            "job_id": entry.job_id, "total": entry.total(), "page_states": entry.pages.to_string(), "pages": records,
        }))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for (page, state) in entry.pages.iter().filter(|(_, state)| fits(*state)) {
        let record = records.iter().find(|record| record.page == page);
        let error = record.and_then(|record| record.error.as_ref());
        let error = error.map_or_else(String::new, |error| format!("  {}", safe(&error.message)));
        let tries = record.map_or(0, |record| record.attempts);
        let tries = if tries > 1 { format!("  tried {tries} times") } else { String::new() };
        let _ = writeln!(text, "{page:>5}  {}{tries}{error}", state.name());
    }
    print(&text)?;
    Ok(Exit::Ok)
}

/// A state by its name or its letter.
fn state(word: &str) -> Result<PageState, Failure> {
    let fits = |state: &PageState| state.name() == word || state.letter().to_string() == word;
    PageState::ALL.into_iter().find(fits).ok_or_else(|| {
        let names = PageState::ALL.map(PageState::name).join(", ");
        Failure::usage(format!("a page is in no state {word:?}")).fix(names)
    })
}

pub(super) async fn log(client: &Client, job_id: &str) -> Result<Exit, Failure> {
    client.desk.job(job_id).await.map_err(|refusal| refused(&refusal))?;
    let log = client.desk.log(job_id).await.map_err(|refusal| refused(&refusal))?;
    if client.json {
        print_json(&json!({"job_id": job_id, "log": log}))?;
        return Ok(Exit::Ok);
    }
    print(&log.as_array().into_iter().flatten().map(line).collect::<String>())?;
    Ok(Exit::Ok)
}

fn line(told: &Value) -> String {
    let at = told["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok()).unwrap_or_default();
    let data = &told["data"];
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let what = match told["event"].as_str().unwrap_or_default() {
        "log" => format!("{}: {}", text("level"), text("text")),
        "batch" => format!("batch {}: {} done, {} failed", data["batch"], data["ok"], data["failed"]),
        "phase" => format!("phase {}", text("phase")),
        "state" | "end" => text("status").to_owned(),
        other => format!("{other} {data}"),
    };
    format!("{}  {}\n", at.format("%Y-%m-%d %H:%M:%S%.3fZ"), safe(&what))
}
