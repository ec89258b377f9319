//! What documents need on this machine, made from the settings: the store, the guard of sources, the children that render.

use std::path::PathBuf;

use celeriac::cli::{Exit, Failure};
use celeriac::config::{Env, Loaded};
use celeriac::pool::{ChildPool, ChildPoolOptions, Sandbox, Settings};
use celeriac_tasks::ledger::{self, Ledger};
use celeriac_tasks::render::{PDFIUM_SETTING, PdfiumOptions, RenderOptions, find_pdfium};
use celeriac_tasks::source::SourceOptions;
use celeriac_tasks::store::{Store, StoreOptions};

use crate::settings::{Documents, Retention, Storage};

/// Folders a rendering child reads besides the store: fonts for text whose own are missing.
const FONTS: &[&str] = &["/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/X11/fonts"];

/// Where PDFium is searched.
pub(crate) fn pdfium_options(documents: &Documents, env: &Env) -> PdfiumOptions {
    let home = || env.get("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    PdfiumOptions {
        setting: documents.pdfium.as_ref().map(PathBuf::from),
        executable: std::env::current_exe().ok(),
        data_dir: env.get("XDG_DATA_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home),
        python_dirs: python_dirs(env),
    }
}

/// PDFium cannot tell its version; `get-pdfium` leaves a note beside the library.
pub(crate) fn pdfium_version(documents: &Documents, env: &Env) -> Option<String> {
    let library = find_pdfium(&pdfium_options(documents, env)).ok()?;
    let note = std::fs::read_to_string(library.parent()?.join("VERSION")).ok()?;
    Some(note.trim().to_owned()).filter(|note| !note.is_empty())
}

/// The package folders of an active virtual environment and of the system's Python.
fn python_dirs(env: &Env) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let roots = env.get("VIRTUAL_ENV").map(PathBuf::from).into_iter().chain(["/usr/local", "/usr"].map(PathBuf::from));
    for lib in roots.map(|root| root.join("lib")) {
        let Ok(entries) = std::fs::read_dir(&lib) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("python3")) {
            dirs.extend(["site-packages", "dist-packages"].map(|packages| entry.path().join(packages)));
        }
    }
    dirs
}

/// The store's address and keys.
pub(crate) fn store_options(storage: &Storage) -> StoreOptions {
    let spool = storage.spool.as_ref().map_or_else(|| std::env::temp_dir().join("celeriac-spool"), PathBuf::from);
    StoreOptions {
        url: storage.url.clone(),
        spool,
        s3_endpoint: storage.endpoint.clone(),
        s3_region: storage.region.clone(),
        s3_access_key_id: storage.access_key_id.clone(),
        s3_secret_access_key: storage.secret_access_key.clone(),
    }
}

/// Opens the store.
pub(crate) fn open_store(loaded: &Loaded) -> Result<Store, Failure> {
    let storage: Storage = loaded.table(Storage::TABLE.path)?;
    Store::open(&store_options(&storage)).map_err(|error| {
        Failure::new(Exit::CannotWrite, format!("cannot open the store {}", celeriac::config::redact::text(&storage.url)))
            .why(error.message)
            .fix("set celeriac.storage.url or CELERIAC_STORE")
    })
}

/// Opens the ledger of jobs, where results are kept.
pub(crate) fn open_ledger(loaded: &Loaded) -> Result<Ledger, Failure> {
    let kept: Retention = loaded.table(Retention::TABLE.path)?;
    let retention = ledger::Retention {
        completed: kept.completed_age.duration(),
        failed: kept.failed_age.duration(),
        events: kept.events_age.duration(),
        pages: kept.artifacts_age.duration(),
        ..ledger::Retention::default()
    };
    Ok(Ledger::open(&loaded.settings, retention)?)
}

/// What sources may do.
pub(crate) fn source_options(documents: &Documents) -> SourceOptions {
    SourceOptions {
        allowed_folders: documents.allowed_paths.iter().map(PathBuf::from).collect(),
        max_bytes: documents.max_document_mb.saturating_mul(1_000_000),
        allow_loopback_http: documents.allow_loopback_http,
        ..SourceOptions::default()
    }
}

/// How pages are rendered unless a job says otherwise.
pub(crate) fn render_options(documents: &Documents) -> RenderOptions {
    RenderOptions {
        dpi: documents.dpi,
        quality: documents.jpeg_quality,
        max_pixels: documents.max_pixels,
        thumb_width: documents.thumbnail_width,
        ..RenderOptions::default()
    }
}

/// Children of this very program that render and read pages, `size` of them at most.
pub(crate) fn children(loaded: &Loaded, env: &Env, readable: Vec<PathBuf>, size: usize) -> Result<ChildPool, Failure> {
    let mut options = ChildPoolOptions::this_program(size);
    options.max_tasks_per_child = loaded.settings.worker_max_tasks_per_child;
    options.max_memory_per_child = loaded.settings.worker_max_memory_per_child;
    prepare_children(loaded, env, readable, &mut options)?;
    Ok(ChildPool::new(options))
}

/// Says what children that render and read pages need, and may do.
pub(crate) fn prepare_children(
    loaded: &Loaded,
    env: &Env,
    readable: Vec<PathBuf>,
    options: &mut ChildPoolOptions,
) -> Result<(), Failure> {
    let documents: Documents = loaded.table(Documents::TABLE.path)?;
    let mut sandbox = Sandbox::strict();
    for folder in readable.into_iter().chain(FONTS.iter().map(PathBuf::from)) {
        sandbox = sandbox.readable(folder);
    }
    let mut settings = Settings::default();
    match find_pdfium(&pdfium_options(&documents, env)) {
        Ok(path) => {
            settings = settings.with(PDFIUM_SETTING, &path).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        }
        // Images need no PDFium; a PDF then ends in an error that says the same.
        Err(missing) => tracing::warn!("{missing}"),
    }
    options.sandbox = sandbox;
    options.settings = settings;
    Ok(())
}
