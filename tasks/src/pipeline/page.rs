//! `tasks.process_page`: one page, from the document to its record in the store. Idempotent: a page that is done is not done again.
//!
//! A page never fails its batch: what goes wrong for good is written into the page's own record, and the others go on.

use celeriac::pool::CallError;
use celeriac::protocol::signature::Signature;
use celeriac::task::{Context, TaskError};
use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::documents::Documents;
use super::ending::{again, failed, tries};
use super::{names, page_work};
use crate::error::{Code, DocumentError, Stage};
use crate::job::{Analysis, JobRecord};
use crate::ledger::{PageChange, PageState, Verdict};
use crate::result::{PageRecord, PageStatus};
use crate::store::{Key, PageFile};

/// One page of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Page {
    job_id: String,
    /// From 1.
    page: u32,
    /// Read where retries are counted.
    #[serde(default, rename = "waited")]
    _waited: u32,
}

/// What a page returns: about 200 bytes, whatever is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// From 1.
    pub page: u32,
    /// How it ended.
    pub status: PageStatus,
    /// Where its record lies in the store.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Characters of text.
    pub chars: u32,
    /// Tokens a model took, in and out.
    pub tokens: u64,
}

impl PageRef {
    fn of(key: &Key, record: &PageRecord) -> Self {
        Self {
            page: record.page,
            status: record.status,
            reference: key.as_str().to_owned(),
            chars: record.text.as_ref().map_or(0, |text| text.chars),
            tokens: record.usage.as_ref().map_or(0, |usage| usage.input_tokens + usage.output_tokens),
        }
    }
}

/// The call that does a page.
pub(super) fn signature(job_id: &str, page: u32) -> Signature {
    Signature::new(names::PAGE).kwarg("job_id", job_id).kwarg("page", page).immutable()
}

pub(super) async fn process_page(ctx: Context, args: Page) -> Result<PageRef, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let job = documents.job(&args.job_id).await.map_err(|error| failed(&ctx, error))?;
    let key = Key::page(&args.job_id, args.page, PageFile::Record).map_err(|error| failed(&ctx, error))?;
    let earlier = documents.page_record(&args.job_id, args.page).await.map_err(|error| failed(&ctx, error))?;
    let record = match earlier.filter(PageRecord::is_usable) {
        Some(done) => done,
        None => run(&ctx, &documents, &job, args.page).await?,
    };
    documents.tell_page(&ctx, &job, ended(&record)).await;
    Ok(PageRef::of(&key, &record))
}

/// What a page comes to that is not begun any more, because its job was stopped. Nothing is told of it: the job's own end does.
pub(super) async fn left_out(ctx: Context, args: Page) -> Option<PageRef> {
    let documents = ctx.state::<Documents>().ok()?;
    let key = Key::page(&args.job_id, args.page, PageFile::Record).ok()?;
    match documents.ledger.verdict(&args.job_id).await {
        Ok(Verdict::Stop(_)) => Some(PageRef::of(&key, &PageRecord::skipped(args.page))),
        _ => None,
    }
}

/// Why the page is put off: it could not be analysed now, so nothing is done for it. One that has waited too long is not.
fn put_off(ctx: &Context, documents: &Documents, job: &JobRecord) -> Option<DocumentError> {
    let openai = documents.openai.as_ref().filter(|_| job.wanted.analysis == Analysis::Openai)?;
    openai.provider().ready(Stage::Analyze).err().filter(|error| again(ctx, error))
}

/// Does the page unless its job was stopped, before or while it runs: then it is left out, and nothing of it is written.
async fn run(ctx: &Context, documents: &Documents, job: &JobRecord, page: u32) -> Result<PageRecord, TaskError> {
    let put_off = put_off(ctx, documents, job);
    let state = if put_off.is_some() { PageState::Retrying } else { PageState::Running };
    let begins = PageChange { attempt: tries(ctx), ..PageChange::new(page, state) };
    if let Verdict::Stop(_) = documents.tell_page(ctx, job, begins).await {
        return Ok(PageRecord::skipped(page));
    }
    if let Some(error) = put_off {
        return Err(failed(ctx, error));
    }
    tokio::select! {
        record = done_or_failed(ctx, documents, job, page) => {
            let record = record?;
            documents.learn(job, &ended(&record)).await;
            Ok(record)
        }
        // What is dropped ends its child.
        reason = documents.stopped(&job.job.job_id) => {
            tracing::info!(job_id = job.job.job_id, page, ?reason, "page cut off");
            Ok(PageRecord::skipped(page))
        }
    }
}

/// What a page's record tells the ledger.
fn ended(record: &PageRecord) -> PageChange {
    let state = match record.status {
        PageStatus::Ok | PageStatus::NeedsOcr => PageState::Ok,
        PageStatus::Failed => PageState::Failed,
        PageStatus::Skipped => PageState::Cancelled,
    };
    PageChange {
        milliseconds: record.times_ms.map(|times| times.total),
        attempt: record.attempts.max(1),
        usage: record.usage.clone(),
        error: record.error.clone(),
        ..PageChange::new(record.page, state)
    }
}

/// The page's record, written to the store; a retry where that may help.
async fn done_or_failed(ctx: &Context, documents: &Documents, job: &JobRecord, page: u32) -> Result<PageRecord, TaskError> {
    let error = match page_work::work(ctx, documents, job, page).await {
        Ok(record) => return Ok(record),
        Err(error) if ctx.cancelled().is_cancelled() => return Err(failed(ctx, error)),
        Err(error) => error.on_page(page),
    };
    let attempts = tries(ctx);
    if again(ctx, &error) {
        if error.tried() {
            tracing::warn!(job_id = job.job.job_id, page, attempts, %error, "page failed; trying again");
        }
        let again = PageChange { attempt: attempts, ..PageChange::new(page, PageState::Retrying) };
        documents.tell_page(ctx, job, again).await;
        return Err(failed(ctx, error));
    }
    tracing::error!(job_id = job.job.job_id, page, attempts, %error, "Failed page {page} for good");
    let record = PageRecord {
        batch: job.batch_of(page),
        task_id: Some(ctx.request().id().to_owned()),
        worker: Some(ctx.request().hostname.clone()),
        ..PageRecord::failed(page, error.record(attempts, Utc::now()))
    };
    documents.put_page(&job.job.job_id, &record).await.map_err(|error| failed(ctx, error))?;
    Ok(record)
}

/// What a call of a child that did not come back means for the document or page it was for.
pub(super) fn call_failed(error: &CallError, stage: Stage, documents: &Documents) -> DocumentError {
    let limit = documents.defaults.page_timeout.as_secs();
    match error {
        CallError::TimeLimit(_) => {
            DocumentError::new(Code::PageTimeout, stage, format!("took longer than {limit} s and was stopped"))
        }
        CallError::WorkerLost { status, .. } => {
            DocumentError::new(Code::WorkerLost, stage, format!("the process that worked on it died ({status})"))
        }
        CallError::Cancelled => DocumentError::new(Code::Cancelled, stage, "stopped"),
        CallError::Start(reason) => DocumentError::new(
            Code::PageRenderFailed,
            stage,
            format!("no process to render with: {reason}; `celeriac doctor` says what is missing"),
        ),
        other => DocumentError::new(Code::Internal, stage, other.to_string()),
    }
}
