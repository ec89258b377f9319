//! Documents that were handed in go once no job has them. Which do is looked up all at once, an hour apart: jobs share documents, and
//! no count of who has one could go wrong that is never kept.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use celeriac_tasks::ledger::{Entry, Query, Submission};
use celeriac_tasks::source::Document;
use celeriac_tasks::store::{Kept, Key};
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;

use crate::jobs::{Desk, Refusal};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(3600);
/// How long a document stays of which no job is known: it is handed in before its job is entered, and what is lost is lost for good. What
/// a job may not run again with is kept as long, so that none goes just after somebody took the job up again.
const UNCLAIMED: TimeDelta = TimeDelta::days(1);
/// How many entries are read at once.
const CHUNK: usize = 500;
/// How many records of the store are read at once.
const AT_ONCE: usize = 16;

pub(super) async fn watch(desk: Desk) {
    loop {
        match sweep(&desk, Utc::now()).await {
            Ok(0) => {}
            Ok(documents) => tracing::info!(documents, "documents removed that no job has"),
            Err(refusal) => {
                tracing::warn!(reason = refusal.message(), "cannot remove documents that no job has; trying again later");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes the documents that no job has and nobody has handed in lately; how many.
pub(super) async fn sweep(desk: &Desk, now: DateTime<Utc>) -> Result<usize, Refusal> {
    let before = now - UNCLAIMED;
    // First: what is written from here on is too young, and what has a job later was written from here on.
    let documents = desk.store.documents().await?;
    if documents.values().all(|kept| kept.written > before) {
        return Ok(0);
    }
    let claimed = claimed(desk, &documents, before).await?;
    let mut removed = 0;
    for (sha256, _) in documents.iter().filter(|(sha256, kept)| kept.written <= before && !claimed.contains(*sha256)) {
        // Once more, whether it was handed in again meanwhile.
        removed += usize::from(desk.store.delete_document(sha256, before).await?);
    }
    Ok(removed)
}

/// The documents that some job has: of the ledger, or one that has files here and is in no ledger of ours, as `process` runs them.
async fn claimed(desk: &Desk, documents: &BTreeMap<String, Kept>, now: DateTime<Utc>) -> Result<HashSet<String>, Refusal> {
    let (mut sums, mut records, mut known) = (HashSet::new(), Vec::new(), HashSet::new());
    let mut rest = Some(Query { limit: CHUNK, ..Query::default() });
    while let Some(query) = rest {
        let found = desk.ledger.find(&query).await?;
        for entry in found.jobs {
            // One with an id that can be no key has no files, and never runs.
            let Ok(files) = Key::job_prefix(&entry.job_id) else { continue };
            if desk.ledger.keeps_files(&entry, now) {
                sums.extend(named(&entry.submission));
                records.extend(fetched(&entry).then(|| files.clone()));
                sums.extend(desk.parts_left(&entry).await?.iter().filter_map(named));
            }
            known.insert(files);
        }
        rest = found.next.map(|cursor| Query { cursor: Some(cursor), ..query });
    }
    records.extend(desk.store.jobs().await?.into_iter().filter(|files| !known.contains(files)));
    sums.extend(read(records.into_iter().map(|files| record(desk.clone(), files))).await?);
    // A set of images has nothing of its own but the list of them.
    let is_set = |sum: &String| documents.get(sum).is_some_and(|kept| !kept.source);
    let sets: Vec<_> = sums.iter().filter(|sum| is_set(sum)).map(|sum| set(desk.clone(), sum.clone())).collect();
    sums.extend(read(sets.into_iter()).await?);
    Ok(sums)
}

/// The sums of documents, some of which are read at a time.
async fn read(
    documents: impl Iterator<Item = impl Future<Output = Result<Option<Document>, Refusal>>>,
) -> Result<Vec<String>, Refusal> {
    let read: Vec<_> = stream::iter(documents).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(read.iter().flatten().flat_map(Document::sums).map(str::to_owned).collect())
}

/// The document that a submission names.
fn named(submission: &Submission) -> Option<String> {
    let key = ["document_key", "store_key"].iter().find_map(|name| submission.call.get(*name)?.as_str());
    Document::sum_of(key?).map(str::to_owned)
}

/// Whether it has a document that a worker has fetched, which only its record names.
fn fetched(entry: &Entry) -> bool {
    entry.opened.is_some() && !entry.submission.call.contains_key("document_key")
}

/// What is read of a job's record.
#[derive(Deserialize)]
struct Record {
    source: Document,
}

/// The document of a job that was begun.
async fn record(desk: Desk, files: Key) -> Result<Option<Document>, Refusal> {
    let key = Key::parse(&format!("{files}/job.json"))?;
    Ok(desk.store.get_json::<Record>(&key).await?.map(|record| record.source))
}

/// A set of images.
async fn set(desk: Desk, sha256: String) -> Result<Option<Document>, Refusal> {
    Ok(desk.store.get_json(&Key::parse(&Document::key_of(&sha256))?).await?)
}
