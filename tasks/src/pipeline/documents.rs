//! What all tasks of the pipeline share: the store, the settings, the analysers. A program hands one to its tasks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use celeriac::task::Context;
use chrono::Utc;

use crate::analysis::{OFFLINE_VERSION, Offline};
use crate::error::{Code, DocumentError, Stage};
use crate::job::{Analysis, BatchSize, JobRecord, Mark, ProcessDocument, Progress, Wanted, marks_key, read_marks};
use crate::narration::NarrationOptions;
use crate::openai::{OPENAI_VERSION, OpenAi};
use crate::page::{Ocr, OcrMode};
use crate::render::RenderOptions;
use crate::result::{PageRecord, Phase};
use crate::source::SourceOptions;
use crate::store::{Key, PageFile, Store};

/// Progress is told at most so often by one process.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Job records kept in memory.
const JOBS_KEPT: usize = 16;

/// What a job makes when its caller does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// More pages than this are split into batches.
    pub large_document_threshold: usize,
    /// Pages a batch.
    pub batch_size: BatchSize,
    /// How pages are rendered.
    pub render: RenderOptions,
    /// No job may have more pages; 0 is no limit.
    pub max_pages: u32,
    /// No page may take longer in its child.
    pub page_timeout: Duration,
    /// When pages are read by OCR.
    pub ocr: OcrMode,
    /// The OCR program's languages.
    pub ocr_languages: String,
    /// How pages are analysed; by default a model where one is configured, else by extracting sentences.
    pub analysis: Option<Analysis>,
    /// Whether a summary is made.
    pub summary: bool,
    /// Whether it is narrated.
    pub audio: bool,
    /// The voice.
    pub voice: Option<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            large_document_threshold: 50,
            batch_size: BatchSize::default(),
            render: RenderOptions::default(),
            max_pages: 0,
            page_timeout: Duration::from_secs(120),
            ocr: OcrMode::Auto,
            ocr_languages: "eng".to_owned(),
            analysis: None,
            summary: true,
            audio: false,
            voice: None,
        }
    }
}

/// What all tasks share.
#[derive(Debug)]
pub struct Documents {
    /// Where documents, pages and results lie.
    pub store: Store,
    /// Where documents may come from.
    pub sources: SourceOptions,
    /// What a job makes when its caller does not say.
    pub defaults: Defaults,
    /// The OCR program.
    pub ocr: Ocr,
    /// The language model, where one is configured.
    pub openai: Option<OpenAi>,
    /// How many pages may begin a minute on all workers together, for a model that takes no more; none: as many as can.
    pub pages_per_minute: Option<f64>,
    /// The speech API's model; without one, or without its API, summaries are spoken by a program here.
    pub speech_model: Option<String>,
    /// How summaries are spoken and encoded.
    pub narration: NarrationOptions,
    /// The version of PDFium, where it is known.
    pub pdfium_version: Option<String>,
    offline: Offline,
    jobs: Mutex<HashMap<String, Arc<JobRecord>>>,
    /// When progress was last told. Held while it is told, so that it never goes backwards.
    told: tokio::sync::Mutex<Option<Instant>>,
}

impl Documents {
    /// Over a store, with everything else by default.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            sources: SourceOptions::default(),
            defaults: Defaults::default(),
            ocr: Ocr::default(),
            openai: None,
            pages_per_minute: None,
            speech_model: None,
            narration: NarrationOptions::default(),
            pdfium_version: None,
            offline: Offline::new(),
            jobs: Mutex::default(),
            told: tokio::sync::Mutex::default(),
        }
    }

    /// The offline analyser.
    pub(super) fn offline(&self) -> &Offline {
        &self.offline
    }

    /// The folders a sandboxed child must be allowed to read.
    pub fn readable_folders(&self) -> Vec<PathBuf> {
        self.store.local_folders()
    }

    /// What a job makes, with every default filled in.
    pub(super) fn wanted(&self, asked: &ProcessDocument) -> Wanted {
        let defaults = &self.defaults;
        let analysis = self.analysis(asked);
        let model = self.openai.as_ref().map(|openai| openai.model().to_owned());
        Wanted {
            pages: asked.pages.clone().unwrap_or_default(),
            dpi: asked.dpi.unwrap_or(defaults.render.dpi).clamp(20, 600),
            ocr: asked.ocr.unwrap_or(defaults.ocr),
            ocr_languages: asked.ocr_languages.clone().unwrap_or_else(|| defaults.ocr_languages.clone()),
            analysis,
            model: model.filter(|_| analysis == Analysis::Openai),
        }
    }

    fn analysis(&self, asked: &ProcessDocument) -> Analysis {
        let usual = if self.openai.is_some() { Analysis::Openai } else { Analysis::Extractive };
        asked.analysis.or(self.defaults.analysis).unwrap_or(usual)
    }

    /// What analyses a job's pages, as a result names it.
    pub(super) fn analyzer_name(&self, asked: &ProcessDocument) -> String {
        let wanted = self.wanted(asked);
        match wanted.analysis {
            Analysis::None => "none".to_owned(),
            Analysis::Extractive => "offline".to_owned(),
            Analysis::Openai => format!("openai:{}", wanted.model.unwrap_or_default()),
        }
    }

    /// Rises when the analysis of the same page gives something else.
    pub(super) fn analyzer_version(&self, asked: &ProcessDocument) -> String {
        if self.analysis(asked) == Analysis::Openai { OPENAI_VERSION } else { OFFLINE_VERSION }.to_owned()
    }

    /// A job's record, kept in memory while its pages run.
    pub(super) async fn job(&self, job_id: &str) -> Result<Arc<JobRecord>, DocumentError> {
        if let Some(known) = self.lock_jobs().get(job_id) {
            return Ok(Arc::clone(known));
        }
        let missing = || {
            DocumentError::new(
                Code::StorageFailed,
                Stage::Store,
                format!("the record of job {job_id} is not in this worker's store"),
            )
        };
        let record = Arc::new(JobRecord::load(&self.store, job_id).await?.ok_or_else(missing)?);
        let mut jobs = self.lock_jobs();
        if jobs.len() >= JOBS_KEPT {
            jobs.clear();
        }
        jobs.insert(job_id.to_owned(), Arc::clone(&record));
        Ok(record)
    }

    /// Forgets a job's record, because a new one was written.
    pub(super) fn forget_job(&self, job_id: &str) {
        self.lock_jobs().remove(job_id);
    }

    /// A page's record, if it is written.
    pub(super) async fn page_record(&self, job_id: &str, page: u32) -> Result<Option<PageRecord>, DocumentError> {
        self.store.get_json(&Key::page(job_id, page, PageFile::Record)?).await
    }

    /// Writes a page's record: the last of its files, so that a page with a record is whole.
    pub(super) async fn put_page(&self, job_id: &str, record: &PageRecord) -> Result<(), DocumentError> {
        self.store.put_json(&Key::page(job_id, record.page, PageFile::Record)?, record).await
    }

    /// Marks a page and tells the job's progress. That nobody can be told is no reason to fail a page.
    pub(super) async fn mark(&self, ctx: &Context, job: &JobRecord, page: u32, mark: Mark) {
        if let Err(error) = self.try_mark(ctx, job, page, mark).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot tell progress");
        }
    }

    async fn try_mark(&self, ctx: &Context, job: &JobRecord, page: u32, mark: Mark) -> celeriac::Result<()> {
        let mut told = self.told.lock().await;
        let row = ctx.mark(&marks_key(&job.job.job_id), &[(page as usize, mark as u8)]).await?;
        let started = job.job.times.started.unwrap_or_else(Utc::now);
        let progress = || read_marks(&job.job.job_id, &row, &job.pages, &job.batches(), started, Utc::now());
        if mark != Mark::Running && told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            self.tell(ctx, job, &progress()).await?;
        }
        Ok(())
    }

    /// Tells that a job has come to another stage.
    pub(super) async fn tell_phase(&self, ctx: &Context, job: &JobRecord, phase: Phase) {
        let told = async {
            let row = ctx.mark(&marks_key(&job.job.job_id), &[]).await?;
            let started = job.job.times.started.unwrap_or_else(Utc::now);
            let progress = read_marks(&job.job.job_id, &row, &job.pages, &job.batches(), started, Utc::now());
            self.tell(ctx, job, &Progress { phase, ..progress }).await
        };
        if let Err(error) = told.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot tell progress");
        }
    }

    /// Stores the job's `PROGRESS`.
    async fn tell(&self, ctx: &Context, job: &JobRecord, progress: &Progress) -> celeriac::Result<()> {
        ctx.update_state_of(&job.task_id, "PROGRESS", progress).await
    }

    fn lock_jobs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<JobRecord>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
