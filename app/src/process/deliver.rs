//! Puts a result where the person asked for it: forms of the result, and the narration beside them.

use celeriac::cli::{Exit, Failure};
use celeriac_tasks::result::DocumentResult;
use celeriac_tasks::store::{Key, Store};

use crate::jobs::{Form, written};

use super::Plan;
use super::ended::Ended;
use super::output::{self, Target};
use super::sources::Input;

/// Writes everything a document came to; a failed one leaves nothing.
pub(super) async fn deliver(plan: &Plan<'_>, store: &Store, input: &Input, mut ended: Ended) -> Result<Ended, Failure> {
    if ended.error.is_some() {
        return Ok(ended);
    }
    ended.full = full(store, &ended.job_id).await.map(Box::new);
    match &plan.target {
        Target::Stdout => {
            for format in &plan.formats {
                output::write_stdout(&String::from_utf8_lossy(&rendered(&ended, *format)?))?;
            }
        }
        Target::File(path, format) => {
            output::write(path, &rendered(&ended, *format)?)?;
            ended.files.push((kind(*format), path.clone()));
        }
        Target::Folder(_) | Target::Beside => {
            let folder = plan.target.folder(input, plan.inputs.len()).unwrap_or_default();
            for format in &plan.formats {
                let path = folder.join(output::file_name(*format));
                output::write(&path, &rendered(&ended, *format)?)?;
                ended.files.push((kind(*format), path));
            }
            narration(store, &folder, &mut ended).await?;
        }
    }
    Ok(ended)
}

/// The result in full; none where the store is another machine's.
async fn full(store: &Store, job_id: &str) -> Option<DocumentResult> {
    let key = Key::job(job_id, "result.json").ok()?;
    match store.get_json(&key).await {
        Ok(result) => result,
        Err(error) => {
            tracing::warn!(error = error.message, "cannot read the result in full");
            None
        }
    }
}

fn kind(format: Form) -> &'static str {
    match format {
        Form::Json => "result",
        Form::Md => "document",
        Form::Txt => "text",
        Form::Ndjson => "pages",
        Form::Html => "page",
    }
}

fn rendered(ended: &Ended, format: Form) -> Result<Vec<u8>, Failure> {
    let broken = |why: &dyn std::fmt::Display| Failure::new(Exit::Failure, "the result cannot be written").why(why);
    match (format, &ended.full) {
        (Form::Json, Some(full)) => serde_json::to_vec_pretty(full).map_err(|error| broken(&error)),
        (Form::Json, None) => serde_json::to_vec_pretty(&ended.compact).map_err(|error| broken(&error)),
        (form, Some(full)) => written(full, form).map_err(|error| broken(&error)),
        (_, None) => Err(Failure::new(Exit::CannotWrite, "the document's text is in a store that cannot be read from here")
            .fix("set celeriac.storage.url to the workers' store, or ask for --format json")),
    }
}

/// Copies the audio files beside the result.
async fn narration(store: &Store, folder: &std::path::Path, ended: &mut Ended) -> Result<(), Failure> {
    let parts = ended.full.as_ref().and_then(|full| full.audio.as_ref()).map(|audio| audio.parts.clone()).unwrap_or_default();
    for part in parts {
        let Ok(key) = Key::parse(&part.url) else { continue };
        let read = store.get(&key).await.ok().flatten();
        let Some(bytes) = read else {
            tracing::warn!(key = part.url, "the narration is not in the store");
            continue;
        };
        let name =
            if part.part <= 1 { format!("summary.{}", part.format) } else { format!("summary-{}.{}", part.part, part.format) };
        let path = folder.join(name);
        output::write(&path, &bytes)?;
        ended.files.push(("audio", path));
    }
    Ok(())
}
