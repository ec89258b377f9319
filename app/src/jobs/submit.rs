//! Handing in a job: entered in the ledger first, then sent; the same again is the same job.

use std::time::Duration;

use celeriac::protocol::signature::Signature;
use celeriac_tasks::job::ProcessDocument;
use celeriac_tasks::ledger::{Created, Entry, Submission};
use celeriac_tasks::pipeline::{QUEUES, names};
use futures::future::try_join_all;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::priority;
use super::refusal::Refusal;
use super::{Desk, Result};
use crate::model;

/// The most bytes of what is asked for, the document itself apart.
const ENTRY_MAX: usize = 64 * 1024;

/// What is handed in: the task's own arguments, which name a source by reference, and what only the service needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) call: ProcessDocument,
    /// As it will be entered; what the call says is taken over.
    pub(crate) submission: Submission,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    pub(crate) entry: Entry,
    /// Whether this call has entered it; else it was there.
    pub(crate) new: bool,
}

impl Desk {
    /// Enters and sends a job. A job of the same id that was asked for in the same words is given back; in other words it is refused.
    pub(crate) async fn submit(&self, asked: Asked) -> Result<Submitted> {
        let (job_id, submission) = self.checked(asked)?;
        self.room(1).await?;
        self.hand_in(&job_id, submission).await
    }

    /// Several jobs of one request: all are entered, or none because there is no room for all or one makes no sense.
    pub(crate) async fn submit_each(&self, asked: Vec<Asked>) -> Result<Vec<Entry>> {
        let checked = asked.into_iter().map(|asked| self.checked(asked)).collect::<Result<Vec<_>>>()?;
        self.room(checked.len()).await?;
        let mut entries = Vec::new();
        for (job_id, submission) in checked {
            entries.push(self.hand_in(&job_id, submission).await?.entry);
        }
        Ok(entries)
    }

    fn checked(&self, asked: Asked) -> Result<(String, Submission)> {
        let (job_id, mut submission) = entered(asked)?;
        self.priority.set(&mut submission);
        self.countable(submission.max_cost_usd, &submission)?;
        Ok((job_id, submission))
    }

    /// Refuses a limit in money where nothing says what the model costs, and so nothing would ever count.
    pub(super) fn countable(&self, limit: Option<f64>, submission: &Submission) -> Result<()> {
        let said = submission.call.get("analysis").and_then(serde_json::Value::as_str);
        match limit {
            Some(_) => model::countable(self.unpriced.as_deref(), &self.analyzer, said).map_err(Refusal::Invalid),
            None => Ok(()),
        }
    }

    async fn hand_in(&self, job_id: &str, submission: Submission) -> Result<Submitted> {
        match self.create(job_id, submission).await? {
            Created::New(entry) => {
                self.send(&entry).await?;
                Ok(Submitted { entry: *entry, new: true })
            }
            Created::Same(entry) => {
                // Whoever entered it may have died before he sent it.
                if !entry.sent && !entry.status.is_terminal() {
                    self.send(&entry).await?;
                }
                Ok(Submitted { entry: *entry, new: false })
            }
            Created::Different(_) => Err(Refusal::other_words(job_id)),
        }
    }

    /// Enters a job. A password is kept apart: entries, messages and archives are read by more than the job's own task.
    pub(super) async fn create(&self, job_id: &str, mut submission: Submission) -> Result<Created> {
        if let Some(serde_json::Value::String(password)) = submission.call.remove("password") {
            // Under the fingerprint, so that no other submission of this id writes over it.
            let name = submission.fingerprint.clone();
            ProcessDocument::keep_password(&self.store, job_id, &name, password).await?;
            submission.call.insert("password_ref".to_owned(), name.into());
        }
        Ok(self.ledger.create(job_id, submission).await?)
    }

    /// Hands a job's task to the broker. The task bears the job's id, so that sending it twice makes one result.
    pub(crate) async fn send(&self, entry: &Entry) -> Result<()> {
        self.send_at(entry, step(entry)?).await
    }

    /// The same for a job that is done again.
    pub(super) async fn send_again(&self, entry: &Entry) -> Result<()> {
        self.send_at(entry, self.priority.step_again(step(entry)?)).await
    }

    async fn send_at(&self, entry: &Entry, step: i64) -> Result<()> {
        let mut call = Signature::new(names::DOCUMENT);
        for (name, value) in &entry.submission.call {
            call = call.kwarg(name.as_str(), celeriac::protocol::value::Value::from(value.clone()));
        }
        for (name, value) in [("tags", json!(entry.submission.tags)), ("metadata", json!(entry.submission.metadata))] {
            call = call.kwarg(name, celeriac::protocol::value::Value::from(value));
        }
        let failed = Signature::new(names::FAILED).kwarg("job_id", entry.job_id.as_str()).immutable();
        let call = call.kwarg("job_id", entry.job_id.as_str()).id(entry.job_id.as_str()).priority(step).link_error(failed);
        self.app.send(call.queue(QUEUES[1])).await?;
        self.ledger.sent(&entry.job_id).await?;
        tracing::info!("Job {} submitted", entry.job_id);
        Ok(())
    }

    /// Refuses where too much waits already for so many more.
    pub(super) async fn room(&self, more: usize) -> Result<()> {
        let more = more as u64;
        if more > self.max_waiting {
            let text =
                format!("{more} documents are more than may wait (max_queue_size is {}): hand in fewer at once", self.max_waiting);
            return Err(Refusal::TooLarge(text));
        }
        // All at once: who hands in waits for it.
        let depths = QUEUES.map(|queue| self.app.broker().depth(queue));
        let waiting: u64 = try_join_all(depths).await?.iter().map(|depth| depth.waiting as u64).sum();
        if waiting + more <= self.max_waiting {
            return Ok(());
        }
        let text = format!("{waiting} messages wait already, and max_queue_size is {}; try again later", self.max_waiting);
        Err(Refusal::Busy(text, Duration::from_secs(30)))
    }
}

/// The step of a job's queue.
fn step(entry: &Entry) -> Result<i64> {
    priority::step(entry.submission.priority.as_ref()).map_err(Refusal::Invalid)
}

/// The id and the entry of what is asked.
fn entered(mut asked: Asked) -> Result<(String, Submission)> {
    let job_id = asked.call.job_id.take().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    if !is_id(&job_id) {
        return Err(Refusal::Invalid(
            "job_id has 1 to 200 letters, digits, or any of -_.:@, and is not made of dots alone".to_owned(),
        ));
    }
    Ok((job_id, accepted(asked)?))
}

/// The entry of what is asked, whatever its id.
pub(crate) fn accepted(Asked { mut call, mut submission }: Asked) -> Result<Submission> {
    call.source()?;
    submission.file_name = call.file_name.clone().or(submission.file_name).or_else(|| last_part(&call));
    submission.user_id = call.user_id.clone().or(submission.user_id);
    submission.tags = std::mem::take(&mut call.tags);
    submission.metadata = std::mem::take(&mut call.metadata);
    if submission.priority.is_none() {
        submission.priority = call.priority.clone().map(Into::into);
    }
    priority::step(submission.priority.as_ref()).map_err(Refusal::Invalid)?;
    submission.call = arguments(&call);
    submission.fingerprint = fingerprint(&submission);
    fits(&submission)?;
    Ok(submission)
}

/// An entry is read and written with every page that ends, and kept for weeks: what is large belongs into a document.
pub(super) fn fits(submission: &Submission) -> Result<()> {
    let bytes = serde_json::to_vec(submission).map_or(usize::MAX, |text| text.len());
    if bytes <= ENTRY_MAX {
        return Ok(());
    }
    let text = format!(
        "what is kept with a job has {ENTRY_MAX} bytes at most (metadata, tags, user_id and all else), and this has {bytes}"
    );
    Err(Refusal::Invalid(text))
}

/// What a document is called where nobody said: the last part of its path, key or address.
fn last_part(call: &ProcessDocument) -> Option<String> {
    let path = call.path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let address = call.url.as_ref().and_then(|url| Some(url::Url::parse(url).ok()?.path().to_owned()));
    let name = path.or(address).or_else(|| call.store_key.clone())?;
    name.rsplit('/').next().map(str::to_owned).filter(|name| !name.is_empty())
}

/// Whether an id can stand in a path as it is: one that cannot would name a job that nobody can ask for.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '@');
    (1..=200).contains(&text.len()) && text.chars().all(fits) && text.chars().any(|letter| letter != '.')
}

/// The arguments that say something.
fn arguments(call: &ProcessDocument) -> serde_json::Map<String, serde_json::Value> {
    let says = |value: &serde_json::Value| match value {
        serde_json::Value::Null => false,
        serde_json::Value::Array(list) => !list.is_empty(),
        serde_json::Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    match serde_json::to_value(call) {
        Ok(serde_json::Value::Object(map)) => map.into_iter().filter(|(_, value)| says(value)).collect(),
        _ => serde_json::Map::new(),
    }
}

/// The deadline is counted from when it was asked: it differs though the words are the same.
pub(super) fn fingerprint(submission: &Submission) -> String {
    let text = serde_json::to_vec(&Submission { deadline: None, ..submission.clone() }).unwrap_or_default();
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(call: serde_json::Value) -> Asked {
        Asked { call: serde_json::from_value(call).unwrap(), submission: Submission::default() }
    }

    #[test]
    fn the_same_words_are_the_same_and_others_are_not() {
        let of = |call| entered(asked(call)).unwrap();
        let (id, first) = of(json!({"path": "/a.pdf", "job_id": "j", "user_id": "u", "tags": ["t"]}));
        assert_eq!((id.as_str(), first.user_id.as_deref(), first.tags.as_slice()), ("j", Some("u"), &["t".to_owned()][..]));
        assert_eq!(first.call, *json!({"path": "/a.pdf", "user_id": "u"}).as_object().unwrap());
        let again = of(json!({"path": "/a.pdf", "job_id": "other", "user_id": "u", "tags": ["t"]})).1;
        assert_eq!(first.fingerprint, again.fingerprint);
        let later = Submission { deadline: Some(chrono::Utc::now()), fingerprint: String::new(), ..first.clone() };
        assert_eq!(fingerprint(&later), first.fingerprint);
        assert_ne!(first.fingerprint, of(json!({"path": "/b.pdf", "user_id": "u", "tags": ["t"]})).1.fingerprint);
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_it_is_entered() {
        for (call, word) in [
            (json!({}), "no source"),
            (json!({"path": "a", "url": "b"}), "more than one source"),
            (json!({"path": "a", "job_id": ""}), "job_id"),
            (json!({"path": "a", "job_id": ".."}), "job_id"),
            (json!({"path": "a", "job_id": "a/b"}), "job_id"),
            (json!({"path": "a", "job_id": "a?b"}), "job_id"),
            (json!({"path": "a", "job_id": "a\nb"}), "job_id"),
            (json!({"path": "a", "priority": "soon"}), "priority"),
            (json!({"path": "a", "metadata": {"m": "x".repeat(40_000)}, "tags": ["y".repeat(30_000)]}), "65536 bytes at most"),
        ] {
            let refusal = entered(asked(call)).unwrap_err();
            assert!(refusal.message().contains(word), "{refusal:?}");
        }
    }
}
