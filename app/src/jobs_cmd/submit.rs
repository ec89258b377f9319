//! `jobs submit`: documents into the store and jobs into the queues, as `POST /v1/jobs` does it.

use std::io::Read;
use std::path::Path;

use celeriac::cli::terminal::{print, print_json, safe};
use celeriac::cli::{Exit, Failure};
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{Entry, Submission};
use celeriac_tasks::source::Upload;
use chrono::Utc;
use serde_json::{Map, Value, json};

use super::client::{Client, refused};
use crate::args::SubmitArgs;
use crate::jobs::{Asked, Refusal, Together, kind, view_job};
use crate::process::{From, Input, expand};
use crate::scratch::Scratch;

/// How much of a file is read at once.
const BLOCK: usize = 256 * 1024;

pub(super) async fn submit(client: &Client, args: &SubmitArgs) -> Result<Exit, Failure> {
    let options = options(args)?;
    let scratch =
        Scratch::new("submit").map_err(|error| Failure::new(Exit::CannotWrite, "cannot make a temporary folder").why(error))?;
    let inputs = expand(&args.sources, scratch.path())?;
    if args.job_id.is_some() && inputs.len() > 1 && !args.together {
        return Err(Failure::usage(format!("--job-id names one job, and there are {} documents", inputs.len()))
            .fix("--together makes one job of them"));
    }
    let mut documents = Vec::new();
    for input in &inputs {
        documents.push(document(client, args, options.clone(), input).await?);
    }
    let entries = handed_in(client, args, documents).await.map_err(|refusal| refused(&refusal))?;
    if client.json {
        let now = Utc::now();
        print_json(&json!({"jobs": entries.iter().map(|entry| view_job(entry, now)).collect::<Vec<_>>()}))?;
    } else {
        print(&entries.iter().map(|entry| format!("{}\n", safe(&entry.job_id))).collect::<String>())?;
    }
    Ok(Exit::Ok)
}

/// One job of all, or one of each.
async fn handed_in(client: &Client, args: &SubmitArgs, documents: Vec<Asked>) -> Result<Vec<Entry>, Refusal> {
    if args.together {
        let submission = Submission { user_id: args.user.clone(), tags: args.tag.clone(), ..submission(args) };
        let together = Together { job_id: args.job_id.clone(), submission, documents };
        return Ok(vec![client.desk.submit_together(together, usize::MAX).await?.entry]);
    }
    let mut entries = Vec::new();
    for mut asked in documents {
        asked.call.job_id.clone_from(&args.job_id);
        entries.push(client.desk.submit(asked).await?.entry);
    }
    Ok(entries)
}

fn submission(args: &SubmitArgs) -> Submission {
    Submission { job_type: args.job_type.clone(), priority: args.priority.clone().map(Value::from), ..Submission::default() }
}

/// What the kind of job stands for, and over it what was said.
fn options(args: &SubmitArgs) -> Result<Map<String, Value>, Failure> {
    let wrong = |why: String| Failure::usage("--job-type").why(why);
    let mut options = args.job_type.as_deref().map_or(Ok(Map::new()), kind::options).map_err(wrong)?;
    if let Some(said) = &args.options {
        let said: Map<String, Value> = serde_json::from_str(said)
            .map_err(|error| Failure::usage("--options is a JSON object").why(error).fix("--options '{\"dpi\": 100}'"))?;
        options.extend(kind::renamed(said));
    }
    Ok(options)
}

/// A document, a file of this machine in the store.
async fn document(client: &Client, args: &SubmitArgs, options: Map<String, Value>, input: &Input) -> Result<Asked, Failure> {
    let call: ProcessDocument = serde_json::from_value(options.into()).map_err(|error| Failure::usage("--options").why(error))?;
    let call = ProcessDocument { user_id: args.user.clone(), tags: args.tag.clone(), file_name: Some(input.name.clone()), ..call };
    let mut submission = submission(args);
    let call = match &input.from {
        From::Url(url) => ProcessDocument { url: Some(url.clone()), ..call },
        From::File(path) => {
            let (key, size) = kept(client, path, &input.name).await?;
            submission.size_bytes = Some(size);
            ProcessDocument { document_key: Some(key), ..call }
        }
    };
    Ok(Asked { call, submission })
}

/// Puts a file into the store: its key there, and its size.
async fn kept(client: &Client, path: &Path, name: &str) -> Result<(String, u64), Failure> {
    let unreadable = |error| Failure::new(Exit::Failure, format!("cannot read {}", path.display())).why(error);
    let refusal = |error| refused(&Refusal::from(error));
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mut upload = Upload::begin(&client.desk.store, client.max_document_bytes).await.map_err(refusal)?;
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block).map_err(unreadable)? {
            0 => break,
            read => upload.write(&block[..read]).await.map_err(refusal)?,
        }
    }
    let document = upload.finish(Some(name.to_owned())).await.map_err(refusal)?;
    let key = document.enter(&client.desk.store).await.map_err(refusal)?;
    Ok((key.as_str().to_owned(), document.size_bytes))
}
