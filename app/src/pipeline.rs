//! The document tasks in an app: everything they share, made from the settings.

use std::path::PathBuf;

use celeriac::app::{App, AppBuilder};
use celeriac::config::Loaded;
use celeriac_tasks::store::Store;

use crate::exit::Failure;
use crate::resources;

/// The queues, in the order one worker for all of them serves them.
pub(crate) const QUEUES: [&str; 5] =
    ["audio_generation", "document_orchestration", "page_processing", "batch_processing", "default"];

/// An app with the document tasks, not yet connected.
pub(crate) struct Pipeline {
    pub(crate) app: AppBuilder,
    pub(crate) store: Store,
    /// What children must be allowed to read.
    pub(crate) readable: Vec<PathBuf>,
}

pub(crate) fn build(loaded: &Loaded) -> Result<Pipeline, Failure> {
    celeriac_tasks::tls::use_ring();
    let store = resources::open_store(loaded)?;
    let readable = store.local_folders();
    let app = App::builder(loaded.settings.clone());
    Ok(Pipeline { app, store, readable })
}
