//! Several documents handed in together: one job, and one more for each of them as its part.
//!
//! What is asked is written to the store before anything is entered, and whoever enters the parts says now and then that he is still
//! at it; where he falls silent, another goes on. A part's id is made of its job's and its number, so that none is entered twice.

use std::time::Duration;

use celeriac_tasks::ledger::{Created, Entry, Limits, Query, Submission};
use celeriac_tasks::result::JobStatus;
use celeriac_tasks::store::Key;
use futures::future::try_join_all;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::act::Retry;
use super::refusal::Refusal;
use super::submit::{Asked, Submitted, accepted, fits, is_id};
use super::{Desk, Result};

/// How many parts are entered, sent or changed at once.
const AT_ONCE: usize = 64;
/// How many parts are entered before the service answers; a chore enters the rest.
pub(crate) const FIRST: usize = 2 * AT_ONCE;
/// How often it is said that somebody is still entering parts.
const STILL: Duration = Duration::from_secs(20);
/// The longest id, so that those of the parts are ids still.
const ID_MAX: usize = 190;

/// What is handed in.
#[derive(Debug)]
pub(crate) struct Together {
    /// The whole's id; none: one is made.
    pub(crate) job_id: Option<String>,
    /// What is kept with the whole.
    pub(crate) submission: Submission,
    /// The documents, in order.
    pub(crate) documents: Vec<Asked>,
}

impl Desk {
    /// Enters a job of several documents and sends so many of them; where there are more, the rest is a chore of the service. The same
    /// again is the same job.
    pub(crate) async fn submit_together(&self, asked: Together, first: usize) -> Result<Submitted> {
        let (job_id, whole, parts) = self.whole(asked)?;
        if let Some(known) = self.ledger.get(&job_id).await? {
            return self.again(known, &whole, parts, first).await;
        }
        self.room(parts.len()).await?;
        self.write_down(&job_id, &whole, &parts).await?;
        match self.ledger.create(&job_id, whole.clone()).await? {
            Created::New(_) => Ok(Submitted { entry: self.begin(&job_id, &parts, first).await?, new: true }),
            Created::Same(known) | Created::Different(known) => self.again(*known, &whole, parts, first).await,
        }
    }

    /// It was handed in before; perhaps whoever entered it did not come to the end.
    async fn again(&self, known: Entry, whole: &Submission, parts: Vec<Submission>, first: usize) -> Result<Submitted> {
        if known.submission.fingerprint != whole.fingerprint {
            return Err(Refusal::other_words(&known.job_id));
        }
        let entered = known.parts.is_some_and(|parts| parts.entered);
        let entry = if entered { known } else { self.begin(&known.job_id, &parts, first).await? };
        Ok(Submitted { entry, new: false })
    }

    /// Enters all parts, or the first ones and leaves the rest to a service.
    async fn begin(&self, job_id: &str, parts: &[Submission], first: usize) -> Result<Entry> {
        if parts.len() <= first {
            return self.enter(job_id, parts).await;
        }
        self.enter_some(job_id, &parts[..first]).await?;
        self.ledger.enter_rest(job_id).await?;
        self.job(job_id).await
    }

    /// The id, the entry of the whole and those of its parts.
    fn whole(&self, Together { job_id, mut submission, documents }: Together) -> Result<(String, Submission, Vec<Submission>)> {
        let job_id = job_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        if !is_id(&job_id) || job_id.len() > ID_MAX {
            return Err(Refusal::Invalid(format!(
                "the job_id of several documents has 1 to {ID_MAX} letters, digits, or any of -_.:@"
            )));
        }
        let count = u32::try_from(documents.len()).ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| Refusal::Invalid("documents is empty: name at least one".to_owned()))?;
        let part = |(number, asked): (u32, Asked)| {
            let wrong = |refusal: Refusal| Refusal::Invalid(format!("documents[{}]: {}", number - 1, refusal.message()));
            let mut part = accepted(asked).map_err(wrong)?;
            self.priority.set(&mut part);
            self.countable(part.max_cost_usd, &part).map_err(wrong)?;
            Ok(Submission { parent: Some(job_id.clone()), part: number, ..part })
        };
        let parts = (1..).zip(documents).map(part).collect::<Result<Vec<_>>>()?;
        submission.documents = Some(count);
        submission.fingerprint = fingerprint(&submission, &parts);
        fits(&submission)?;
        Ok((job_id, submission, parts))
    }

    /// One document a line, for whoever may have to go on.
    async fn write_down(&self, job_id: &str, whole: &Submission, parts: &[Submission]) -> Result<()> {
        let mut lines = Vec::new();
        for part in parts {
            serde_json::to_writer(&mut lines, part)
                .map_err(|error| Refusal::Unavailable(format!("cannot write a job: {error}")))?;
            lines.push(b'\n');
        }
        Ok(self.store.put(&written_at(job_id, whole)?, lines).await?)
    }

    /// Goes on where whoever entered the first parts of a job has left the rest, or fallen silent.
    pub(crate) async fn enter_rest(&self, job_id: &str) -> Result<()> {
        let Some(whole) = self.ledger.get(job_id).await?.filter(|entry| entry.parts.is_some_and(|parts| !parts.entered)) else {
            return Ok(());
        };
        let parts = self.parts_left(&whole).await?;
        tracing::info!(job_id, documents = parts.len(), "entering the documents of a job that are not entered yet");
        self.enter(job_id, &parts).await.map(drop)
    }

    /// The documents of a job as they are written down until all of them are entered.
    pub(crate) async fn parts_left(&self, whole: &Entry) -> Result<Vec<Submission>> {
        let job_id = &whole.job_id;
        if whole.parts.is_none_or(|parts| parts.entered) {
            return Ok(Vec::new());
        }
        let lines = self.store.get(&written_at(job_id, &whole.submission)?).await?.unwrap_or_default();
        let parts = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice);
        let parts = parts.collect::<serde_json::Result<Vec<Submission>>>();
        parts.map_err(|error| Refusal::Unavailable(format!("the documents of {job_id} cannot be read: {error}")))
    }

    /// Enters the parts and sends them, and says that this was all.
    async fn enter(&self, job_id: &str, parts: &[Submission]) -> Result<Entry> {
        self.enter_some(job_id, parts).await?;
        self.ledger.entered(job_id).await?;
        let whole = self.job(job_id).await?;
        self.store.delete(&written_at(job_id, &whole.submission)?).await?;
        Ok(whole)
    }

    /// Enters parts and sends them; those that are entered already are found again.
    async fn enter_some(&self, job_id: &str, parts: &[Submission]) -> Result<()> {
        let mut said = Instant::now();
        for chunk in parts.chunks(AT_ONCE) {
            let entered =
                try_join_all(chunk.iter().map(async |part| self.create(&part_id(job_id, part), part.clone()).await)).await?;
            let entered = entered.into_iter().map(|created| match created {
                Created::New(entry) | Created::Same(entry) | Created::Different(entry) => *entry,
            });
            // Looked up after they were entered: whoever stops the job stops them, or they are stopped here.
            match self.ledger.get(job_id).await? {
                None => return Err(self.orphaned(entered).await),
                Some(whole) if matches!(whole.status, JobStatus::Cancelling | JobStatus::Cancelled) => {
                    try_join_all(entered.map(async |part| self.ledger.cancel(&part.job_id).await)).await?;
                }
                Some(_) => {
                    let unsent = entered.filter(|part| !part.sent && !part.status.is_terminal());
                    try_join_all(unsent.map(async |part| self.send(&part).await)).await?;
                }
            }
            if said.elapsed() > STILL {
                self.ledger.entering(job_id).await?;
                said = Instant::now();
            }
        }
        Ok(())
    }

    /// The job was removed while its parts were entered.
    async fn orphaned(&self, parts: impl Iterator<Item = Entry>) -> Refusal {
        for part in parts {
            if let Err(refusal) = self.delete(&part.job_id).await {
                return refusal;
            }
        }
        Refusal::Conflict("the job was removed while its documents were entered".to_owned())
    }

    /// Does again what is missing of the parts of a job that has ended, or all of them.
    pub(super) async fn retry_parts(&self, whole: &Entry, what: &Retry, limits: Limits) -> Result<Entry> {
        if let Retry::Pages(_) = what {
            let text = format!(
                "job {} is of several documents, which have pages: name one of them, as GET /v1/jobs?parent= lists them",
                whole.job_id
            );
            return Err(Refusal::Invalid(text));
        }
        let again = |part: &Entry| part.status.is_terminal() && (*what == Retry::All || part.status != JobStatus::Completed);
        let mut rest = Some(of(&whole.job_id));
        while let Some(parts) = self.next_parts(&mut rest).await? {
            let parts = parts.iter().filter(|part| again(part)).collect::<Vec<_>>();
            // All of them before any of them.
            parts.iter().try_for_each(|part| self.may_go_on(part, limits))?;
            try_join_all(parts.into_iter().map(|part| self.retry_one(part, what, limits))).await?;
        }
        // Where none has begun yet, neither has the whole.
        self.ledger.settle_parts(&whole.job_id).await?;
        self.job(&whole.job_id).await
    }

    /// The next parts of a job, and in `rest` those after them.
    pub(super) async fn next_parts(&self, rest: &mut Option<Query>) -> Result<Option<Vec<Entry>>> {
        let Some(query) = rest.take() else { return Ok(None) };
        let found = self.ledger.find(&query).await?;
        *rest = found.next.map(|cursor| Query { cursor: Some(cursor), ..query });
        Ok(Some(found.jobs))
    }

    /// The parts of a job after a place among them, the first first: from the ledger, or, once that has forgotten the job, the archive.
    pub(crate) async fn parts(&self, query: &Query) -> Result<celeriac_tasks::ledger::Found> {
        let parent = query.parent.as_deref().unwrap_or_default();
        match &self.archive {
            Some(archive) if self.ledger.get(parent).await?.is_none() => archive.find(query).await,
            _ => self.find(query).await,
        }
    }
}

/// The parts of a job, as many as are changed at once.
pub(super) fn of(job_id: &str) -> Query {
    Query { parent: Some(job_id.to_owned()), limit: AT_ONCE, ..Query::default() }
}

/// The id of a part: no id that a caller may choose has a `~`.
fn part_id(job_id: &str, part: &Submission) -> String {
    format!("{job_id}~{}", part.part)
}

/// Where the documents of a job are written down until they are entered.
fn written_at(job_id: &str, whole: &Submission) -> Result<Key> {
    Ok(Key::job(job_id, &format!("documents-{}.jsonl", whole.fingerprint))?)
}

/// The same for the same wishes for the same documents.
fn fingerprint(whole: &Submission, parts: &[Submission]) -> String {
    let mut hash = Sha256::new();
    hash.update(super::submit::fingerprint(whole));
    parts.iter().for_each(|part| hash.update(&part.fingerprint));
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
