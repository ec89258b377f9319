//! What all tasks of the pipeline share: the store, the settings, the analysers. A program hands one to its tasks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use celeriac::task::Context;
use chrono::Utc;

use crate::analysis::{OFFLINE_VERSION, Offline};
use crate::error::{Code, DocumentError, Stage};
use crate::job::{Analysis, BatchSize, JobRecord, ProcessDocument, Progress, Wanted};
use crate::ledger::{Ending, Entry, Ledger, Opening, PageChange, PageState, Submission, Verdict};
use crate::narration::NarrationOptions;
use crate::openai::{OPENAI_VERSION, OpenAi};
use crate::page::{Ocr, OcrMode};
use crate::provider::Provider;
use crate::render::RenderOptions;
use crate::result::{JobStatus, PageRecord, PartialReason, Phase};
use crate::source::SourceOptions;
use crate::store::{Key, PageFile, Store};

/// Progress is told at most so often by one process.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// How often a page that takes long looks whether its job goes on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Job records kept in memory.
const JOBS_KEPT: usize = 16;

/// What a job makes when its caller does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// More pages than this are split into batches.
    pub large_document_threshold: usize,
    /// Pages a batch.
    pub batch_size: BatchSize,
    /// How many pages of a document are worked on at once; 0: as many as can.
    pub page_parallelism: u32,
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
            page_parallelism: 6,
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
    /// What every job is now.
    pub ledger: Ledger,
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
    /// The voice behind the model's interface; without one, or without the model, summaries are spoken by a program here.
    pub speech: Option<Arc<Provider>>,
    /// How summaries are spoken and encoded.
    pub narration: NarrationOptions,
    /// The version of PDFium, where it is known.
    pub pdfium_version: Option<String>,
    /// How long pages that run may go on after their job was cancelled.
    pub cancel_grace: Duration,
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
            ledger: Ledger::memory(),
            sources: SourceOptions::default(),
            defaults: Defaults::default(),
            ocr: Ocr::default(),
            openai: None,
            pages_per_minute: None,
            speech: None,
            narration: NarrationOptions::default(),
            pdfium_version: None,
            cancel_grace: Duration::from_secs(5),
            offline: Offline::new(),
            jobs: Mutex::default(),
            told: tokio::sync::Mutex::default(),
        }
    }

    /// The offline analyser.
    pub(super) fn offline(&self) -> &Offline {
        &self.offline
    }

    /// Whom it asks over the network.
    pub fn providers(&self) -> Vec<Arc<Provider>> {
        self.openai.iter().map(OpenAi::provider).chain(&self.speech).map(Arc::clone).collect()
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
    pub fn analyzer_name(&self, asked: &ProcessDocument) -> String {
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

    /// Enters that a job is begun; whether it may be. Who was not handed it by the service still finds it in the ledger.
    pub(super) async fn begin(&self, job_id: &str, asked: &ProcessDocument) -> Result<Verdict, DocumentError> {
        let submission = || Submission {
            file_name: asked.file_name.clone(),
            user_id: asked.user_id.clone(),
            tags: asked.tags.clone(),
            metadata: asked.metadata.clone(),
            priority: asked.priority.clone().map(Into::into),
            max_cost_usd: asked.max_cost_usd,
            ..Submission::default()
        };
        self.ledger.begin(job_id, Phase::Render, submission).await
    }

    /// Enters what opening a document told.
    pub(super) async fn opened(&self, job_id: &str, opening: Opening) -> Result<(), DocumentError> {
        self.ledger.opened(job_id, opening).await
    }

    /// Enters what happened to a page, and tells the job's progress; whether work on the job goes on. That nobody can be told is no
    /// reason to fail a page.
    pub(super) async fn tell_page(&self, ctx: &Context, job: &JobRecord, change: PageChange) -> Verdict {
        let mut told = self.told.lock().await;
        let ended = change.state.has_ended();
        let (entry, verdict) = match self.ledger.pages(&job.job.job_id, &[change]).await {
            Ok(Some(changed)) => changed,
            Ok(None) => return Verdict::Go,
            Err(error) => {
                tracing::debug!(%error, "cannot enter what happened to a page");
                return Verdict::Go;
            }
        };
        if ended && told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            self.tell(ctx, job, &entry).await;
        }
        verdict
    }

    /// Enters and tells that a job has come to another stage.
    pub(super) async fn tell_phase(&self, ctx: &Context, job: &JobRecord, phase: Phase) {
        match self.ledger.phase(&job.job.job_id, phase).await {
            Ok(Some((entry, _))) => self.tell(ctx, job, &entry).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot enter a job's stage"),
        }
    }

    /// Enters how a job ended. Where that cannot be done it is done again: the task is not over before.
    pub(super) async fn finish(&self, job_id: &str, ending: Ending) -> Result<(), DocumentError> {
        let status = ending.status;
        let entry = self.ledger.finish(job_id, ending).await?;
        match entry.map_or(status, |entry| entry.status) {
            JobStatus::Failed => tracing::error!(job_id, "Failed job"),
            status => tracing::info!(job_id, status = status.as_str(), "job ended"),
        }
        Ok(())
    }

    /// Enters that a job failed.
    pub(super) async fn give_up(&self, job_id: &str, error: crate::error::ErrorRecord) {
        let ending = Ending { status: JobStatus::Failed, partial_reasons: Vec::new(), error: Some(error) };
        if let Err(error) = self.finish(job_id, ending).await {
            tracing::warn!(job_id, %error, "cannot enter that a job failed");
        }
    }

    /// Why work on a job has stopped, once it has; for pages that run.
    pub(super) async fn stopped(&self, job_id: &str) -> PartialReason {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Ok(Verdict::Stop(reason)) = self.ledger.verdict(job_id).await {
                tokio::time::sleep(self.cancel_grace).await;
                return reason;
            }
        }
    }

    /// How pages of such jobs are kept apart in estimates.
    pub(super) async fn learn(&self, job: &JobRecord, change: &PageChange) {
        let Some(ms) = change.milliseconds.filter(|_| change.state == PageState::Ok) else { return };
        if let Err(error) = self.ledger.learn(&job.job.engine.analyzer, ms).await {
            tracing::debug!(%error, "cannot enter how long a page took");
        }
    }

    /// Stores the job's `PROGRESS`.
    async fn tell(&self, ctx: &Context, job: &JobRecord, entry: &Entry) {
        if let Err(error) = ctx.update_state_of(&job.task_id, "PROGRESS", &Progress::of(entry, Utc::now())).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot tell progress");
        }
    }

    fn lock_jobs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<JobRecord>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
