//! The record of a job: everything its tasks need, so that a message carries only the job's id and a page number.

use serde::{Deserialize, Serialize};

use super::request::Wanted;
use super::split::{BatchSize, split};
use crate::error::DocumentError;
use crate::render::{OpenArgs, RenderOptions};
use crate::result::{Document, Job};
use crate::source;
use crate::store::{Key, Store};

/// A job. Written once, when its document was opened; the result holds what changes later.
#[derive(Clone, Serialize, Deserialize)]
pub struct JobRecord {
    /// Identity, options and times, as the result tells them.
    pub job: Job,
    /// The task whose result is the job's: its state tells the job's progress.
    pub task_id: String,
    /// The document, as the result tells it.
    pub document: Document,
    /// Where the document's bytes lie.
    pub source: source::Document,
    /// The password of an encrypted PDF. It stays in the store and never reaches a result.
    pub password: Option<String>,
    /// What is to be made.
    pub wanted: Wanted,
    /// The pages asked for, in order.
    pub pages: Vec<u32>,
    /// More pages than this are split into batches.
    pub threshold: usize,
    /// Pages a batch.
    pub batch_size: BatchSize,
    /// How many pages are worked on at once; 0: as many as can.
    #[serde(default)]
    pub page_parallelism: u32,
    /// How pages are rendered.
    pub render: RenderOptions,
    /// Whether a summary is made.
    pub summary: bool,
    /// Whether it is narrated.
    pub audio: bool,
    /// The voice.
    pub voice: Option<String>,
}

impl std::fmt::Debug for JobRecord {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobRecord").field("job_id", &self.job.job_id).field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl JobRecord {
    /// Reads a job's record; `None` when there is no such job.
    pub async fn load(store: &Store, job_id: &str) -> Result<Option<Self>, DocumentError> {
        store.get_json(&Self::key(job_id)?).await
    }

    /// Writes it.
    pub async fn save(&self, store: &Store) -> Result<(), DocumentError> {
        store.put_json(&Self::key(&self.job.job_id)?, self).await
    }

    fn key(job_id: &str) -> Result<Key, DocumentError> {
        Key::job(job_id, "job.json")
    }

    /// The pages of each batch; empty on the direct way.
    pub fn batches(&self) -> Vec<&[u32]> {
        split(&self.pages, self.threshold, self.batch_size).unwrap_or_default()
    }

    /// The batch (from 1) a page is in; `None` on the direct way.
    pub fn batch_of(&self, page: u32) -> Option<u32> {
        let batch = self.batches().iter().position(|batch| batch.contains(&page))?;
        u32::try_from(batch + 1).ok()
    }

    /// What a child is told to open for `page` (from 1), and the page's index in that file.
    pub async fn open_args(&self, store: &Store, page: u32) -> Result<(OpenArgs, u32), DocumentError> {
        let (key, kind, index) = self.source.page_file(page)?;
        let path = store.local_path(&key).await?;
        Ok((OpenArgs { path, kind, password: self.password.clone() }, index))
    }
}
