//! `tasks.process_batch` replaces itself by a chord of its pages; `tasks.collect_batch`, that chord's body, writes what the batch came to.

use celeriac::canvas::chord;
use celeriac::protocol::signature::Signature;
use celeriac::task::{Context, TaskError};
use serde::{Deserialize, Serialize};

use super::documents::Documents;
use super::ending::failed;
use super::{as_urgent, lanes, names, page};
use crate::error::DocumentError;
use crate::ledger::Verdict;
use crate::result::{BatchRecord, PageSpan};
use crate::store::Key;

/// One batch of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Batch {
    pub(super) job_id: String,
    /// From 1.
    pub(super) batch: u32,
    /// How many of its pages are worked on at once; 0: all.
    #[serde(default)]
    pub(super) at_once: u32,
    /// The batches that its lane has to do after it, by their numbers: each page's message bears them, and they are no more than that.
    #[serde(default)]
    pub(super) rest: Vec<u32>,
}

impl Batch {
    /// The call that does it, or that collects it.
    pub(super) fn call(&self, task: &str) -> Signature {
        let rest: Vec<i64> = self.rest.iter().copied().map(i64::from).collect();
        let call = Signature::new(task).kwarg("job_id", self.job_id.as_str()).kwarg("batch", self.batch);
        call.kwarg("at_once", self.at_once).kwarg("rest", rest).immutable()
    }

    /// The one after it in its lane.
    fn next(&self) -> Option<Self> {
        let (next, rest) = self.rest.split_first()?;
        Some(Self { batch: *next, rest: rest.to_vec(), ..self.clone() })
    }
}

/// What a batch returns: a few hundred bytes, whatever is on its pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BatchRef {
    batch: u32,
    ok: u32,
    failed: Vec<u32>,
    /// Where its record lies in the store.
    #[serde(rename = "ref")]
    reference: String,
}

pub(super) async fn process_batch(ctx: Context, batch: Batch) -> Result<BatchRef, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let pages = pages(&documents, &batch).await.map_err(|error| failed(&ctx, error))?;
    if let Verdict::Stop(_) = documents.ledger.verdict(&batch.job_id).await.map_err(|error| failed(&ctx, error))? {
        return collect(&ctx, &documents, &batch, &pages).await.map_err(|error| failed(&ctx, error));
    }
    let mut missing = Vec::new();
    for page in &pages {
        let done = documents.page_record(&batch.job_id, *page).await.map_err(|error| failed(&ctx, error))?;
        if !done.is_some_and(|page| page.is_usable()) {
            missing.push(as_urgent(&ctx, page::signature(&batch.job_id, *page)));
        }
    }
    if missing.is_empty() {
        return conclude(&ctx, &documents, &batch, &pages).await;
    }
    Err(ctx.replace(chord(lanes::chains(missing, batch.at_once as usize), as_urgent(&ctx, batch.call(names::COLLECT)))))
}

pub(super) async fn collect_batch(ctx: Context, batch: Batch) -> Result<BatchRef, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let pages = pages(&documents, &batch).await.map_err(|error| failed(&ctx, error))?;
    conclude(&ctx, &documents, &batch, &pages).await
}

/// Writes what the batch came to, and lets its lane go on: the job's chord waits for the next one, too.
async fn conclude(ctx: &Context, documents: &Documents, batch: &Batch, pages: &[u32]) -> Result<BatchRef, TaskError> {
    let collected = collect(ctx, documents, batch, pages).await.map_err(|error| failed(ctx, error))?;
    if let Some(next) = batch.next() {
        ctx.add_to_chord(as_urgent(ctx, next.call(names::BATCH)))?;
    }
    Ok(collected)
}

/// Its pages.
async fn pages(documents: &Documents, batch: &Batch) -> Result<Vec<u32>, DocumentError> {
    let record = documents.job(&batch.job_id).await?;
    let pages = record.batches().get((batch.batch as usize).saturating_sub(1)).map(|pages| pages.to_vec());
    Ok(pages.unwrap_or_default())
}

async fn collect(ctx: &Context, documents: &Documents, batch: &Batch, pages: &[u32]) -> Result<BatchRef, DocumentError> {
    let mut records = Vec::with_capacity(pages.len());
    for page in pages {
        records.extend(documents.page_record(&batch.job_id, *page).await?);
    }
    let span = PageSpan { from: pages.first().copied().unwrap_or_default(), to: pages.last().copied().unwrap_or_default() };
    let collected = BatchRecord {
        task_id: Some(ctx.request().id().to_owned()),
        worker: Some(ctx.request().hostname.clone()),
        ..BatchRecord::of(batch.batch, span, &records)
    };
    let key = key(&batch.job_id, batch.batch)?;
    documents.store.put_json(&key, &collected).await?;
    let usable = |page: &u32| records.iter().any(|record| record.page == *page && record.is_usable());
    let failed = pages.iter().copied().filter(|page| !usable(page)).collect();
    Ok(BatchRef { batch: batch.batch, ok: collected.ok, failed, reference: key.as_str().to_owned() })
}

/// Where a batch's record lies.
pub(super) fn key(job_id: &str, batch: u32) -> Result<Key, DocumentError> {
    Key::job(job_id, &format!("batches/{batch:05}.json"))
}
