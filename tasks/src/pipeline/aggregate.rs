//! `tasks.aggregate_document`: all pages in page order, with every gap named, in one result. Returns the compact result.

use std::time::Instant;

use celeriac::protocol::value::{Value, to_value};
use celeriac::task::{Context, TaskError};
use chrono::Utc;
use serde::Deserialize;

use super::batch;
use super::documents::Documents;
use super::ending::{failed, job_failed};
use crate::error::{Code, DocumentError, Stage};
use crate::job::JobRecord;
use crate::ledger::{Ending, Verdict};
use crate::result::{
    BatchRecord, Document, DocumentResult, Job, JobStatus, PageRecord, PageSpan, PartialReason, Phase, TextLayer, TextSource,
    aggregate, terminal,
};
use crate::store::Key;

/// A job, for the tasks that work on all of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OfJob {
    pub(super) job_id: String,
    /// Read where retries are counted.
    #[serde(default, rename = "waited")]
    _waited: u32,
}

pub(super) async fn aggregate_document(ctx: Context, OfJob { job_id, .. }: OfJob) -> Result<Value, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let record = documents.job(&job_id).await.map_err(|error| failed(&ctx, error))?;
    documents.tell_phase(&ctx, &record, Phase::Aggregate).await;
    match gather(&documents, &job_id).await {
        Ok(result) => conclude(&ctx, &documents, result).await,
        Err(error) => Err(job_failed(&ctx, &documents, &job_id, error).await),
    }
}

/// Writes the result as it is now, and gives its compact form. A document of which no page is usable has failed.
pub(super) async fn conclude(ctx: &Context, documents: &Documents, mut result: DocumentResult) -> Result<Value, TaskError> {
    result.job.times.finished = Some(Utc::now());
    result.job.phase = Phase::Done;
    let started = result.job.times.started.unwrap_or_else(Utc::now);
    result.timings.wall_ms = u64::try_from((Utc::now() - started).num_milliseconds()).unwrap_or_default();
    let result = save(documents, result).await.map_err(|error| failed(ctx, error))?;
    let last = !follows(ctx);
    if last || result.job.status == JobStatus::Failed {
        let ending = Ending {
            status: result.job.status,
            partial_reasons: result.job.partial_reasons.clone(),
            error: result.errors.first().filter(|_| result.job.status == JobStatus::Failed).cloned(),
        };
        documents.finish(&result.job.job_id, ending).await.map_err(|error| failed(ctx, error))?;
    }
    if result.job.status == JobStatus::Failed {
        let first = result.errors.first().map_or_else(|| "nothing was asked for".to_owned(), |error| error.message.clone());
        let message = format!("no page could be processed: {first}");
        return Err(failed(
            ctx,
            DocumentError::new(result.errors.first().map_or(Code::Internal, |error| error.code), Stage::Aggregate, message)
                .permanent(),
        ));
    }
    if !last {
        // The step that comes last returns the result: once in the backend is enough.
        return Ok(to_value(&serde_json::json!({"job_id": result.job.job_id, "status": result.job.status}))?);
    }
    Ok(to_value(&result.compact()?)?)
}

/// Whether another step of the job comes after this one.
fn follows(ctx: &Context) -> bool {
    ctx.request().message.embed.chain.as_ref().is_some_and(|rest| !rest.is_empty())
}

/// Why the job was stopped, if it was, which then stands in its result as well.
pub(super) async fn stopped(documents: &Documents, result: &mut DocumentResult) -> Result<Option<PartialReason>, DocumentError> {
    let Verdict::Stop(reason) = documents.ledger.verdict(&result.job.job_id).await? else { return Ok(None) };
    result.add_reason(reason);
    Ok(Some(reason))
}

/// The whole result of a job as it was last written.
pub(super) async fn load(documents: &Documents, job_id: &str) -> Result<DocumentResult, DocumentError> {
    let missing =
        || DocumentError::new(Code::StorageFailed, Stage::Store, format!("the result of job {job_id} is not in the store"));
    documents.store.get_large_json(&key(job_id)?).await?.ok_or_else(missing)
}

async fn save(documents: &Documents, result: DocumentResult) -> Result<DocumentResult, DocumentError> {
    documents.store.put_large_json(&key(&result.job.job_id)?, result).await
}

/// Where a job's result lies.
fn key(job_id: &str) -> Result<Key, DocumentError> {
    Key::job(job_id, "result.json")
}

async fn gather(documents: &Documents, job_id: &str) -> Result<DocumentResult, DocumentError> {
    let begun = Instant::now();
    let record = documents.job(job_id).await?;
    let mut pages = Vec::with_capacity(record.pages.len());
    for page in &record.pages {
        pages.extend(documents.page_record(job_id, *page).await?);
    }
    let stop = match documents.ledger.verdict(job_id).await? {
        // A deadline that passed after the last page took nothing away.
        Verdict::Stop(reason) if reason == PartialReason::Cancelled || pages.len() < record.pages.len() => Some(reason),
        Verdict::Stop(_) | Verdict::Go => None,
    };
    let missing = |page: u32| {
        if stop.is_some() || record.pages.binary_search(&page).is_err() {
            return PageRecord::skipped(page);
        }
        let error = DocumentError::new(Code::WorkerLost, Stage::Aggregate, "no worker wrote a record of this page").on_page(page);
        PageRecord { batch: record.batch_of(page), ..PageRecord::failed(page, error.record(0, Utc::now())) }
    };
    let pages = aggregate(record.document.total_pages, pages, missing);
    let (status, partial_reasons) = terminal(&pages.counts, stop.as_slice());
    let batches = batches(documents, &record, &pages.pages).await?;
    let job = Job { status, partial_reasons, phase: Phase::Aggregate, ..record.job.clone() };
    let mut result = DocumentResult::new(job, document(&record, &pages.pages), batches, pages);
    let now = Utc::now();
    result.job.times.pages_done = Some(now);
    let started = record.job.times.started.unwrap_or(now);
    result.timings.stages_ms.pages = u64::try_from((now - started).num_milliseconds()).unwrap_or_default();
    result.timings.stages_ms.aggregate = u64::try_from(begun.elapsed().as_millis()).unwrap_or_default();
    let minutes = (now - started).as_seconds_f64() / 60.0;
    result.timings.pages_per_minute = (f64::from(result.counts.ok) / minutes.max(1e-6) * 10.0).round() / 10.0;
    Ok(result)
}

/// What each batch came to; of one whose record is missing (its worker died after the last page) what its pages say.
async fn batches(documents: &Documents, record: &JobRecord, pages: &[PageRecord]) -> Result<Vec<BatchRecord>, DocumentError> {
    let mut batches = Vec::new();
    for (number, span) in (1..).zip(record.batches()) {
        let stored = documents.store.get_json::<BatchRecord>(&batch::key(&record.job.job_id, number)?).await?;
        let span = PageSpan { from: span.first().copied().unwrap_or_default(), to: span.last().copied().unwrap_or_default() };
        let told = BatchRecord::of(number, span, pages);
        batches.push(match stored {
            Some(stored) => BatchRecord { status: told.status, ok: told.ok, failed: told.failed, errors: told.errors, ..stored },
            None => told,
        });
    }
    Ok(batches)
}

/// The document with what only its pages can tell: the language of most of them, and whether they carry text.
fn document(record: &JobRecord, pages: &[PageRecord]) -> Document {
    let mut document = record.document.clone();
    let mut languages = std::collections::BTreeMap::<&str, usize>::new();
    for language in pages.iter().filter_map(|page| page.text.as_ref()?.language.as_deref()) {
        *languages.entry(language).or_default() += 1;
    }
    document.language = languages.into_iter().max_by_key(|(_, count)| *count).map(|(language, _)| language.to_owned());
    if let Some(pdf) = &mut document.pdf {
        let usable = pages.iter().filter(|page| page.is_usable()).count();
        let layered = |page: &&PageRecord| page.text.as_ref().is_some_and(|text| text.source == TextSource::TextLayer);
        pdf.has_text_layer = match pages.iter().filter(layered).count() {
            0 => TextLayer::No,
            count if count == usable => TextLayer::Yes,
            _ => TextLayer::Mixed,
        };
    }
    document
}
