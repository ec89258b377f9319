//! The document tasks in an app: everything they share, made from the settings.

use std::path::PathBuf;
use std::sync::Arc;

use celeriac::app::{App, AppBuilder};
use celeriac::cli::{Failure, Start};
use celeriac::config::{Env, Loaded};
use celeriac_tasks::job::{Analysis as AnalysisKind, ProcessDocument};
use celeriac_tasks::ledger::Ledger;
use celeriac_tasks::page::{Ocr, OcrMode, OcrOptions};
use celeriac_tasks::pipeline::{self, Defaults};
use celeriac_tasks::provider::Counts;
use celeriac_tasks::store::Store;

use crate::settings::{Analysis, Audio, Documents};
use crate::{model, resources};

/// An app with the document tasks, not yet connected.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) app: AppBuilder,
    pub(crate) store: Store,
    /// What every job is now.
    pub(crate) ledger: Ledger,
    /// What analyses pages unless a job says otherwise.
    pub(crate) analyzer: String,
    /// The model, if nothing says what it costs.
    pub(crate) unpriced: Option<String>,
    /// How many pages of one document are worked on at once.
    pub(crate) page_parallelism: u32,
    /// What this process asks of models, where there are some.
    pub(crate) counts: Option<Counts>,
    /// What children must be allowed to read.
    pub(crate) readable: Vec<PathBuf>,
}

/// Registers the tasks; `allowed` are folders that may be read besides those of the settings.
pub(crate) fn build(loaded: &Loaded, env: &Env, allowed: Vec<PathBuf>) -> Result<Pipeline, Failure> {
    celeriac_tasks::tls::use_ring();
    let settings: Documents = loaded.table(Documents::TABLE.path)?;
    let analysis: Analysis = loaded.table(Analysis::TABLE.path)?;
    let audio: Audio = loaded.table(Audio::TABLE.path)?;
    let store = resources::open_store(loaded)?;
    let ledger = resources::open_ledger(loaded)?;
    let mut documents = pipeline::Documents::new(store.clone());
    documents.ledger = ledger.clone();
    documents.cancel_grace = settings.cancel_grace.duration();
    documents.sources = resources::source_options(&settings);
    documents.sources.allowed_folders.extend(allowed);
    documents.defaults = defaults(&settings, &analysis, &audio);
    documents.ocr = Ocr::new(OcrOptions {
        program: settings.tesseract.clone().into(),
        languages: settings.ocr_languages.clone(),
        time_limit: settings.ocr_timeout.duration(),
        ..OcrOptions::default()
    });
    documents.openai = model::openai(&analysis)?;
    // Each page asks the model once.
    documents.pages_per_minute = documents.openai.as_ref().and(analysis.rpm).map(f64::from);
    documents.speech = model::speech(&audio, documents.openai.as_ref()).map(Arc::new);
    documents.narration = model::narration(&audio);
    documents.pdfium_version = resources::pdfium_version(&settings, env);
    let counts = documents.openai.as_ref().map(|openai| openai.provider().counts().clone());
    let (readable, analyzer) = (documents.readable_folders(), documents.analyzer_name(&ProcessDocument::default()));
    let page_parallelism = settings.page_parallelism;
    let mut app = App::builder(loaded.settings.clone());
    app.written(loaded.written());
    pipeline::register(&mut app, documents);
    Ok(Pipeline { app, store, ledger, analyzer, unpriced: model::unpriced(&analysis), page_parallelism, counts, readable })
}

/// What a worker is started with: the tasks, and children that may read what they need.
pub(crate) fn start(start: &mut Start<'_>) -> Result<(), Failure> {
    let pipeline = build(start.loaded, start.env, Vec::new())?;
    resources::prepare_children(start.loaded, start.env, pipeline.readable, &mut start.children)?;
    start.app = pipeline.app;
    Ok(())
}

/// What a job makes when its caller does not say.
fn defaults(settings: &Documents, analysis: &Analysis, audio: &Audio) -> Defaults {
    Defaults {
        large_document_threshold: settings.large_document_threshold as usize,
        batch_size: settings.batch_size,
        page_parallelism: settings.page_parallelism,
        render: resources::render_options(settings),
        max_pages: settings.max_pages,
        page_timeout: settings.page_timeout.duration(),
        ocr: match settings.ocr.as_str() {
            "always" => OcrMode::Always,
            "never" => OcrMode::Never,
            _ => OcrMode::Auto,
        },
        ocr_languages: settings.ocr_languages.clone(),
        analysis: match analysis.provider.as_str() {
            "none" => Some(AnalysisKind::None),
            "extractive" => Some(AnalysisKind::Extractive),
            "openai" => Some(AnalysisKind::Openai),
            _ => None,
        },
        summary: settings.summary,
        audio: audio.enabled,
        voice: audio.voice.clone(),
    }
}
