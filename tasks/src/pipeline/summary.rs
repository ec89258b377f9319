//! `tasks.summarize_document`: the summary of all pages, from what each page handed on.

use std::time::Instant;

use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};
use chrono::Utc;

use super::aggregate::{OfJob, conclude, load, stopped};
use super::documents::Documents;
use super::ending::{again, failed, tries};
use crate::analysis::PageDigest;
use crate::error::DocumentError;
use crate::job::{Analysis, JobRecord};
use crate::result::{DocumentResult, PageStatus, PartialReason, Phase};
use crate::store::{Key, PageFile};
use crate::summary::{self, SummaryInput};

pub(super) async fn summarize_document(ctx: Context, OfJob { job_id, .. }: OfJob) -> Result<Value, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let record = documents.job(&job_id).await.map_err(|error| failed(&ctx, error))?;
    let mut result = load(&documents, &job_id).await.map_err(|error| failed(&ctx, error))?;
    let stop = stopped(&documents, &mut result).await.map_err(|error| failed(&ctx, error))?;
    if stop == Some(PartialReason::Cancelled) {
        return conclude(&ctx, &documents, result).await;
    }
    documents.tell_phase(&ctx, &record, Phase::Summary).await;
    let begun = Instant::now();
    let digests = digests(&documents, &record, &result).await.map_err(|error| failed(&ctx, error))?;
    let input = input(&record, &result, digests);
    match summarize(&documents, &record, &mut result, &input).await {
        Ok(()) => {}
        Err(error) if again(&ctx, &error) => return Err(failed(&ctx, error)),
        Err(error) => without_model(&ctx, &documents, &mut result, &input, &error),
    }
    result.timings.stages_ms.summary = u64::try_from(begun.elapsed().as_millis()).unwrap_or_default();
    conclude(&ctx, &documents, result).await
}

async fn summarize(
    documents: &Documents,
    record: &JobRecord,
    result: &mut DocumentResult,
    input: &SummaryInput,
) -> Result<(), DocumentError> {
    let model = documents.openai.as_ref().filter(|_| !may_not_cost(result));
    match (model, record.wanted.analysis) {
        (Some(openai), Analysis::Openai) => {
            let (made, usage) = openai.summarize(input).await?;
            result.usage.add(&usage);
            result.set_summary(made);
            if let Err(error) = documents.ledger.spend(&record.job.job_id, &usage).await {
                tracing::debug!(%error, "cannot enter what a summary took");
            }
        }
        _ => result.set_summary(summary::summarize(documents.offline(), input)),
    }
    Ok(())
}

/// Whether the job's budget or its time is used up: then no model is asked any more.
fn may_not_cost(result: &DocumentResult) -> bool {
    result.job.partial_reasons.iter().any(|reason| reason.is_limit())
}

/// The model is away for good: the document still gets the summary that can be made here, and says so.
fn without_model(ctx: &Context, documents: &Documents, result: &mut DocumentResult, input: &SummaryInput, error: &DocumentError) {
    tracing::warn!(job_id = result.job.job_id, %error, "the model made no summary; extracting one");
    result.add_reason(PartialReason::ProviderUnavailable);
    result.errors.push(error.record(tries(ctx), Utc::now()));
    result.set_summary(summary::summarize(documents.offline(), input));
}

fn input(record: &JobRecord, result: &DocumentResult, digests: Vec<PageDigest>) -> SummaryInput {
    let missing = result.pages.iter().filter(|page| page.status == PageStatus::Failed).map(|page| page.page).collect();
    SummaryInput {
        title: result.document.title.clone(),
        outline: result.document.pdf.as_ref().map(|pdf| pdf.outline.clone()).unwrap_or_default(),
        total_pages: result.document.total_pages,
        missing_pages: missing,
        pages_per_section: record.job.batch_size,
        digests,
    }
}

/// What the usable pages handed on, in page order.
async fn digests(documents: &Documents, record: &JobRecord, result: &DocumentResult) -> Result<Vec<PageDigest>, DocumentError> {
    let mut digests = Vec::new();
    for page in result.pages.iter().filter(|page| page.is_usable()) {
        let key = Key::page(&record.job.job_id, page.page, PageFile::Digest)?;
        digests.extend(documents.store.get_json::<PageDigest>(&key).await?);
    }
    Ok(digests)
}
