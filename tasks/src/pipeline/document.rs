//! `tasks.process_document`: gets the document, opens it, writes the job's record, and replaces itself by the job's canvas.

use celeriac::canvas::{chain, chord};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::{Value, to_value};
use celeriac::task::{Context, TaskError};
use chrono::Utc;

use super::batch::Batch;
use super::documents::Documents;
use super::ending::{failed, job_failed};
use super::{as_urgent, lanes, names, page};
use crate::error::{Code, DocumentError, Stage};
use crate::job::{JobRecord, ProcessDocument, Wanted};
use crate::ledger::{Ending, Opened, Opening, Verdict};
use crate::render;
use crate::result::{
    Document, Engine, Job, JobOptions, JobStatus, JobTimes, OutlineItem, PartialReason, PdfInfo, Phase, TextLayer,
};
use crate::source;

pub(super) async fn process_document(ctx: Context, asked: ProcessDocument) -> Result<Value, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let job_id = asked.job_id.clone().unwrap_or_else(|| ctx.request().id().to_owned());
    match documents.begin(&job_id, &asked).await {
        Ok(Verdict::Go) => {}
        Ok(Verdict::Stop(reason)) => return stopped(&ctx, &documents, &job_id, reason).await,
        Err(error) => return Err(failed(&ctx, error)),
    }
    match prepare(&ctx, &documents, asked, &job_id).await {
        Ok((record, missing)) => {
            tracing::info!(job_id, pages = record.pages.len(), missing = missing.len(), "document opened");
            Err(ctx.replace(canvas(&ctx, &record, &missing)))
        }
        Err(error) => Err(job_failed(&ctx, &documents, &job_id, error).await),
    }
}

/// A job that was stopped before this run of it has begun. What earlier runs have done is its result.
async fn stopped(ctx: &Context, documents: &Documents, job_id: &str, reason: PartialReason) -> Result<Value, TaskError> {
    let status = if reason == PartialReason::Cancelled { JobStatus::Cancelled } else { JobStatus::Failed };
    if status == JobStatus::Failed
        && let Some(record) = begun_before(documents, job_id).await.map_err(|error| failed(ctx, error))?
    {
        return Err(ctx.replace(canvas(ctx, &record, &[])));
    }
    let ending = Ending { status, partial_reasons: vec![reason], error: None };
    documents.finish(job_id, ending).await.map_err(|error| failed(ctx, error))?;
    Ok(to_value(&serde_json::json!({"job_id": job_id, "status": status, "partial_reasons": [reason]}))?)
}

/// The record of a job of which some page is done.
async fn begun_before(documents: &Documents, job_id: &str) -> Result<Option<JobRecord>, DocumentError> {
    let Some(record) = JobRecord::load(&documents.store, job_id).await? else { return Ok(None) };
    let missing = missing(documents, &record).await?;
    Ok((missing.len() < record.pages.len()).then_some(record))
}

/// The job's record, and its pages that are not done.
async fn prepare(
    ctx: &Context,
    documents: &Documents,
    asked: ProcessDocument,
    job_id: &str,
) -> Result<(JobRecord, Vec<u32>), DocumentError> {
    let earlier = JobRecord::load(&documents.store, job_id).await?;
    let record = match earlier {
        // By its id alone: the same again.
        Some(earlier) if asked.names_no_source() => continued(earlier, ctx, &asked, documents),
        earlier => {
            let wanted = documents.wanted(&asked);
            let fetched = source::fetch(&asked.source()?, &documents.store, &documents.sources).await?;
            match earlier {
                Some(earlier) if earlier.wanted == wanted && earlier.source.sha256 == fetched.sha256 => {
                    continued(earlier, ctx, &asked, documents)
                }
                earlier => {
                    if earlier.is_some() {
                        documents.store.delete_job_but(job_id, asked.password_key(job_id)?.as_ref()).await?;
                    }
                    begun(ctx, documents, asked, job_id.to_owned(), wanted, fetched).await?
                }
            }
        }
    };
    record.save(&documents.store).await?;
    documents.forget_job(job_id);
    let missing = missing(documents, &record).await?;
    documents.opened(job_id, opening(&record, &missing)).await?;
    Ok((record, missing))
}

/// What the ledger is told of an opened document.
fn opening(record: &JobRecord, missing: &[u32]) -> Opening {
    let opened = Opened {
        total_pages: record.document.total_pages,
        threshold: record.threshold,
        batch_size: record.batch_size,
        title: record.document.title.clone(),
        analyzer: record.job.engine.analyzer.clone(),
        summary: record.summary,
        audio: record.audio,
    };
    let cached = record.pages.iter().copied().filter(|page| missing.binary_search(page).is_err()).collect();
    Opening { opened, cached, asked: record.pages.clone() }
}

/// The same job again: what it makes is as before, what follows the pages is as asked for now.
fn continued(mut record: JobRecord, ctx: &Context, asked: &ProcessDocument, documents: &Documents) -> JobRecord {
    record.summary = asked.summary.unwrap_or(documents.defaults.summary);
    record.audio = asked.audio.unwrap_or(documents.defaults.audio);
    record.page_parallelism = asked.page_parallelism.unwrap_or(documents.defaults.page_parallelism);
    record.job.root_task_id = ctx.request().root_id().to_owned();
    record.task_id = ctx.request().id().to_owned();
    record.job.resumed_from = Some(record.job.job_id.clone());
    record.job.times.started = Some(Utc::now());
    record
}

async fn begun(
    ctx: &Context,
    documents: &Documents,
    mut asked: ProcessDocument,
    job_id: String,
    wanted: Wanted,
    fetched: source::Document,
) -> Result<JobRecord, DocumentError> {
    asked.password = asked.password(&documents.store, &job_id).await?;
    let opened = open(ctx, documents, &asked, &fetched).await?;
    let pages = wanted.pages.pages(opened.pages);
    if pages.is_empty() {
        let message = format!("the document has {} pages, none of which was asked for ({})", opened.pages, wanted.pages);
        return Err(DocumentError::new(Code::SourceRefused, Stage::Open, message));
    }
    if documents.defaults.max_pages > 0 && pages.len() > documents.defaults.max_pages as usize {
        let message = format!("{} pages are more than this service takes ({})", pages.len(), documents.defaults.max_pages);
        return Err(DocumentError::new(Code::SourceTooLarge, Stage::Open, message));
    }
    let defaults = &documents.defaults;
    let batch_size = asked.batch_size.unwrap_or(defaults.batch_size);
    let batched = pages.len() > defaults.large_document_threshold;
    let job = Job {
        processing_strategy: if batched { "batch_parallel" } else { "direct" }.to_owned(),
        batch_size: u32::try_from(batch_size.pages(pages.len())).unwrap_or(u32::MAX),
        options: options(&wanted, asked.audio.unwrap_or(defaults.audio)),
        ..job(ctx, &asked, job_id, documents)
    };
    Ok(JobRecord {
        job,
        task_id: ctx.request().id().to_owned(),
        document: document(&asked, &fetched, &opened),
        source: fetched,
        render: render::RenderOptions { dpi: wanted.dpi, ..defaults.render },
        pages,
        threshold: defaults.large_document_threshold,
        batch_size,
        page_parallelism: asked.page_parallelism.unwrap_or(defaults.page_parallelism),
        summary: asked.summary.unwrap_or(defaults.summary),
        audio: asked.audio.unwrap_or(defaults.audio),
        voice: asked.voice.or_else(|| defaults.voice.clone()),
        password: asked.password,
        wanted,
    })
}

/// Opens the document in a child. Of a set of images nothing is opened: each is a page of its own.
async fn open(
    ctx: &Context,
    documents: &Documents,
    asked: &ProcessDocument,
    fetched: &source::Document,
) -> Result<render::Opened, DocumentError> {
    if let source::Content::Images { images } = &fetched.content {
        let pages = u32::try_from(images.len()).unwrap_or(u32::MAX);
        return Ok(render::Opened { pages, title: None, authors: Vec::new(), sizes: Vec::new(), pdf: None });
    }
    let (key, kind, _) = fetched.page_file(1)?;
    let path = documents.store.local_path(&key).await?;
    let arguments = render::OpenArgs { path, kind, password: asked.password.clone() };
    let call = ctx.isolated(&render::OPEN, arguments).affinity(fetched.sha256.as_str()).time_limit(documents.defaults.page_timeout);
    call.await.map_err(|error| page::call_failed(&error, Stage::Open, documents))?
}

fn job(ctx: &Context, asked: &ProcessDocument, job_id: String, documents: &Documents) -> Job {
    let now = Some(Utc::now());
    Job {
        job_id,
        root_task_id: ctx.request().root_id().to_owned(),
        user_id: asked.user_id.clone(),
        tags: asked.tags.clone(),
        metadata: asked.metadata.clone(),
        status: JobStatus::Processing,
        phase: Phase::Pages,
        priority: asked.priority.clone(),
        engine: Engine {
            celeriac: env!("CARGO_PKG_VERSION").to_owned(),
            pdfium: documents.pdfium_version.clone(),
            analyzer: documents.analyzer_name(asked),
            analyzer_version: documents.analyzer_version(asked),
        },
        times: JobTimes { created: now, started: now, ..JobTimes::default() },
        ..Job::default()
    }
}

fn options(wanted: &Wanted, audio: bool) -> JobOptions {
    JobOptions {
        analysis: wanted.analysis.as_str().to_owned(),
        ocr: wanted.ocr.as_str().to_owned(),
        audio,
        pages: (!wanted.pages.is_all()).then(|| wanted.pages.to_string()),
        options_hash: wanted.hash(),
        more: [("dpi".to_owned(), wanted.dpi.into())].into_iter().collect(),
    }
}

fn document(asked: &ProcessDocument, fetched: &source::Document, opened: &render::Opened) -> Document {
    let outline = |entry: &render::OutlineEntry| OutlineItem { title: entry.title.clone(), page: entry.page, level: entry.level };
    Document {
        document_id: format!("doc_{}", fetched.sha256.get(..16).unwrap_or(&fetched.sha256)),
        file_name: asked.file_name.clone().or_else(|| fetched.file_name.clone()).unwrap_or_else(|| "document".to_owned()),
        file_type: fetched.file_type(),
        mime_type: fetched.mime_type().to_owned(),
        size_bytes: fetched.size_bytes,
        sha256: fetched.sha256.clone(),
        total_pages: opened.pages,
        title: opened.title.clone(),
        authors: opened.authors.clone(),
        language: None,
        pdf: opened.pdf.as_ref().map(|pdf| PdfInfo {
            version: pdf.version.clone(),
            encrypted: pdf.encrypted,
            tagged: Some(pdf.tagged),
            has_text_layer: TextLayer::No,
            outline: pdf.outline.iter().map(outline).collect(),
        }),
    }
}

/// The pages that are not done, in order. A page that failed is tried again.
async fn missing(documents: &Documents, record: &JobRecord) -> Result<Vec<u32>, DocumentError> {
    let job_id = &record.job.job_id;
    let mut missing = Vec::new();
    let written: std::collections::HashSet<u32> = documents.store.pages_done(job_id).await?.into_iter().collect();
    for page in &record.pages {
        let done = written.contains(page) && documents.page_record(job_id, *page).await?.is_some_and(|record| record.is_usable());
        if !done {
            missing.push(*page);
        }
    }
    Ok(missing)
}

/// The batches in which something is missing, in their lanes.
fn batches(ctx: &Context, record: &JobRecord, missing: &[u32]) -> Vec<Signature> {
    let batches = record.batches();
    let open = |batch: &&[u32]| batch.iter().any(|page| missing.binary_search(page).is_ok());
    let open: Vec<u32> = (1..).zip(&batches).filter(|(_, batch)| open(batch)).map(|(number, _)| number).collect();
    // Without lanes all batches begin at once, and so do their pages.
    let widths = lanes::of_batches(record.page_parallelism, open.len(), record.job.batch_size as usize).unwrap_or_default();
    let lanes = lanes::dealt(open, widths.len()).into_iter().zip(widths.into_iter().chain(std::iter::repeat(0)));
    let first = |(mut lane, at_once): (Vec<u32>, u32)| {
        let rest = lane.split_off(1);
        Batch { job_id: record.job.job_id.clone(), batch: lane[0], at_once, rest }
    };
    lanes.map(|lane| as_urgent(ctx, first(lane).call(names::BATCH))).collect()
}

/// What the job's task is replaced by: its missing pages, then what makes one result of all.
fn canvas(ctx: &Context, record: &JobRecord, missing: &[u32]) -> Signature {
    let job_id = record.job.job_id.as_str();
    let step = |name: &str| as_urgent(ctx, Signature::new(name).kwarg("job_id", job_id).immutable());
    let header = if record.batches().is_empty() {
        let pages = missing.iter().map(|page| as_urgent(ctx, page::signature(job_id, *page))).collect();
        lanes::chains(pages, record.page_parallelism as usize)
    } else {
        batches(ctx, record, missing)
    };
    let aggregate = step(names::AGGREGATE);
    let mut steps = vec![if header.is_empty() { aggregate } else { chord(header, aggregate) }];
    if record.summary {
        steps.push(step(names::SUMMARIZE));
    }
    if record.audio {
        steps.push(step(names::AUDIO));
    }
    let all = if steps.len() == 1 { steps.remove(0) } else { chain(steps) };
    all.link_error(step(names::FAILED))
}
