//! The desk: where jobs are handed in, asked about, stopped and taken up again. The HTTP service and the command line are two ways to it.

mod act;
mod content;
mod estimate;
mod fleet;
mod priority;
mod rates;
mod refusal;
mod stats;
mod submit;
mod telling;
mod view;
mod wait;

use celeriac::app::App;
use celeriac::cli::Failure;
use celeriac::config::{Env, Loaded};
use celeriac_tasks::ledger::{Entry, Ledger};
use celeriac_tasks::provider::Counts;
use celeriac_tasks::store::Store;

use crate::archive::Archive;

pub(crate) use self::act::Retry;
pub(crate) use self::content::{Form, written};
pub(crate) use self::estimate::Estimate;
pub(crate) use self::fleet::{WorkerView, open_circuits};
#[cfg(test)]
pub(crate) use self::rates::{JobRates, PageStats};
pub(crate) use self::refusal::Refusal;
#[cfg(test)]
pub(crate) use self::stats::RedisStats;
pub(crate) use self::stats::{QueueStats, Stats};
pub(crate) use self::submit::Asked;
pub(crate) use self::telling::Telling;
pub(crate) use self::view::{JobView, job as view_job};

/// The desk. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) app: App,
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    /// Where finished jobs are kept for good; none: only as long as the ledger keeps them.
    pub(crate) archive: Option<Archive>,
    /// More messages than this may not wait when a job is handed in.
    max_waiting: u64,
    /// What analyses pages unless a job says otherwise: what they take is learned apart for each.
    analyzer: String,
    /// How many pages of one document are worked on at once; 0: as many as can.
    page_parallelism: u32,
    /// What this process asks of models, where a worker runs in it.
    pub(crate) counts: Option<Counts>,
    heard: fleet::Heard,
}

type Result<T> = std::result::Result<T, Refusal>;

impl Desk {
    /// With an archive, so that jobs the ledger has forgotten are known still.
    pub(crate) fn with_archive(self, archive: Archive) -> Self {
        Self { archive: Some(archive), ..self }
    }

    /// Over the settings' broker, store and ledger; with what a worker in the same process needs.
    pub(crate) fn open(loaded: &Loaded, env: &Env) -> std::result::Result<(Self, Vec<std::path::PathBuf>), Failure> {
        let pipeline = crate::pipeline::build(loaded, env, Vec::new())?;
        let app = pipeline.app.connect()?;
        let max_waiting = loaded.settings.celeriac.max_queue_size;
        Ok((
            Self {
                app,
                store: pipeline.store,
                ledger: pipeline.ledger,
                archive: None,
                max_waiting,
                analyzer: pipeline.analyzer,
                page_parallelism: pipeline.page_parallelism,
                counts: pipeline.counts,
                heard: fleet::Heard::default(),
            },
            pipeline.readable,
        ))
    }

    /// Jobs that fit, youngest first.
    pub(crate) async fn find(&self, query: &celeriac_tasks::ledger::Query) -> Result<celeriac_tasks::ledger::Found> {
        Ok(self.ledger.find(query).await?)
    }

    /// Finished jobs that fit, youngest first, those the ledger has forgotten among them.
    pub(crate) async fn history(&self, query: &celeriac_tasks::ledger::Query) -> Result<celeriac_tasks::ledger::Found> {
        match &self.archive {
            Some(archive) => archive.find(query).await,
            None => self.find(query).await,
        }
    }

    /// A job as it is now, or as it was archived.
    pub(crate) async fn job(&self, job_id: &str) -> Result<Entry> {
        if let Some(entry) = self.ledger.get(job_id).await? {
            return Ok(entry);
        }
        let archived = match &self.archive {
            Some(archive) => archive.entry(job_id).await?,
            None => None,
        };
        archived.ok_or_else(|| Refusal::unknown(job_id))
    }
}
