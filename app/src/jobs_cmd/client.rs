//! The desk as a command has it: opened by the settings, with the archive where there is one.

use std::future::Future;
use std::path::Path;

use celeriac::cli::logging;
use celeriac::cli::settings::Surroundings;
use celeriac::cli::{Exit, Failure, GlobalArgs, terminal};
use celeriac::config::{Loaded, redact};
use tokio::runtime::Runtime;

use crate::archive::{self, Archive};
use crate::jobs::{Desk, Refusal};
use crate::settings::{Documents, load};

/// What a command has.
pub(super) struct Client {
    pub(super) desk: Desk,
    pub(super) around: Surroundings,
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// Where the archive is, or would be.
    archive: Option<String>,
    /// The largest document that is handed in.
    pub(super) max_document_bytes: u64,
    runtime: Runtime,
}

impl Client {
    pub(super) fn open(global: &GlobalArgs) -> Result<Self, Failure> {
        let around = Surroundings::read(global)?;
        let loaded = load(&around, global, Vec::new())?;
        elsewhere(&loaded)?;
        logging::for_answers(&loaded, &around, global, &["celeriac"])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
        let archive = archive::url(&loaded)?;
        let desk = runtime.block_on(async {
            let (desk, _) = Desk::open(&loaded, &around.env)?;
            match archive.as_ref().filter(|url| exists(url)) {
                Some(url) => Ok::<_, Failure>(desk.with_archive(Archive::open(url).await?)),
                None => Ok(desk),
            }
        })?;
        let documents: Documents = loaded.table(Documents::TABLE.path)?;
        let max_document_bytes = documents.max_document_mb.saturating_mul(1_000_000);
        Ok(Self { desk, around, json: global.json, quiet: global.quiet, archive, max_document_bytes, runtime })
    }

    /// The archive, made where there is none yet.
    pub(super) async fn archive(&self) -> Result<Archive, Failure> {
        match (&self.desk.archive, &self.archive) {
            (Some(archive), _) => Ok(archive.clone()),
            (None, Some(url)) => Archive::open(url).await,
            (None, None) => Err(Failure::new(Exit::Config, "there is no archive to take jobs into")
                .why("the store is no folder, and celeriac.archive.url is not set")
                .fix("set DATABASE_URL to sqlite:FILE or postgres://…")),
        }
    }

    /// Does something to its end.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Asks whether to do what cannot be undone, unless it was said that it may.
    pub(super) fn may(&self, question: &str, force: bool) -> Result<(), Failure> {
        if force {
            return Ok(());
        }
        if !terminal::stdin_is_terminal() {
            return Err(Failure::usage(format!("this asks first, and there is no terminal to ask on: {question}"))
                .fix("-f does it unasked"));
        }
        if terminal::confirmed(&format!("{question} [y/N]: "))? { Ok(()) } else { Err(Failure::new(Exit::Failure, "Aborted!")) }
    }
}

/// Jobs in the memory of another process cannot be seen from here.
fn elsewhere(loaded: &Loaded) -> Result<(), Failure> {
    let memory = |url: &Option<String>| url.as_deref().is_some_and(|url| url.starts_with("memory:"));
    if memory(&loaded.settings.broker_url) || memory(&loaded.settings.result_backend) {
        return Err(Failure::new(Exit::Config, "the jobs are in the memory of the process that serves them")
            .why("broker_url or result_backend is memory://")
            .fix("ask that process over HTTP (GET /v1/jobs), or keep jobs on Redis (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"));
    }
    Ok(())
}

/// Looking does not make an archive where none is yet.
fn exists(url: &str) -> bool {
    url.strip_prefix("sqlite:")
        .is_none_or(|file| Path::new(file.trim_start_matches("//").split('?').next().unwrap_or(file)).exists())
}

/// A refusal as the command line has it.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    let exit = match refusal {
        Refusal::Invalid(_) => Exit::Usage,
        Refusal::Busy(..) | Refusal::Unavailable(_) => Exit::TryLater,
        Refusal::NotFound(_) | Refusal::Gone(_) | Refusal::Conflict(_) | Refusal::TooLarge(_) => Exit::Failure,
    };
    let failure = Failure::new(exit, terminal::safe(&redact::text(refusal.message())));
    match refusal {
        Refusal::Unavailable(_) => failure.fix("`celeriac doctor` tells what is wrong"),
        _ => failure,
    }
}
