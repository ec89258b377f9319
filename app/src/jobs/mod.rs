//! The desk: where jobs are handed in, asked about, stopped and taken up again. The HTTP service and the command line are two ways to it.

mod act;
mod backup;
mod content;
mod documents;
mod estimate;
mod fleet;
pub(crate) mod kind;
mod lines;
mod page;
mod paused;
mod priority;
mod progress;
mod rates;
mod refusal;
mod stats;
mod submit;
mod telling;
mod together;
mod view;
mod wait;

use std::collections::HashSet;

use celeriac::app::App;
use celeriac::cli::Failure;
use celeriac::config::{Env, Loaded};
use celeriac_tasks::ledger::{Cursor, Entry, Found, Ledger, Query};
use celeriac_tasks::provider::Counts;
use celeriac_tasks::result::JobStatus;
use celeriac_tasks::store::Store;
use futures::future::try_join_all;

use crate::archive::Archive;
use crate::settings::Priority;

pub(crate) use self::act::Retry;
pub(crate) use self::backup::{Imported, Kept};
pub(crate) use self::content::{Form, Part, keep_only, lines, was_there, written};
pub(crate) use self::estimate::Estimate;
pub(crate) use self::fleet::{Bounds, WorkerView, open_circuits, queue_names};
pub(crate) use self::priority::{Level, Levels, step as priority_step};
#[cfg(test)]
pub(crate) use self::rates::{JobRates, PageStats};
pub(crate) use self::refusal::Refusal;
#[cfg(test)]
pub(crate) use self::stats::RedisStats;
pub(crate) use self::stats::{QueueStats, Stats};
pub(crate) use self::submit::{Asked, Submitted, accepted};
pub(crate) use self::telling::{News, Telling};
pub(crate) use self::together::{FIRST, Together};
pub(crate) use self::view::{JobView, PartView, job as view_job};

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
    /// How urgent jobs are whose callers do not say.
    priority: Priority,
    /// What analyses pages unless a job says otherwise: what they take is learned apart for each.
    analyzer: String,
    /// The model, if nothing says what it costs.
    unpriced: Option<String>,
    /// How many pages of one document are worked on at once; 0: as many as can.
    page_parallelism: u32,
    /// What this process asks of models, where a worker runs in it.
    pub(crate) counts: Option<Counts>,
    heard: fleet::Heard,
    remembered: progress::Remembered,
}

type Result<T> = std::result::Result<T, Refusal>;

impl Desk {
    /// In memory, with its files in a folder.
    #[cfg(test)]
    pub(crate) fn in_memory(folder: &std::path::Path, retention: celeriac_tasks::ledger::Retention) -> Self {
        let (broker, backend) = celeriac::broker::memory::pair();
        let app = App::builder(celeriac::config::Settings::default());
        Self {
            app: app.connect_with(std::sync::Arc::new(broker), std::sync::Arc::new(backend)),
            store: Store::local(folder).unwrap(),
            ledger: Ledger::in_memory(retention),
            archive: None,
            max_waiting: 1000,
            priority: Priority::default(),
            analyzer: String::new(),
            unpriced: None,
            page_parallelism: 0,
            counts: None,
            heard: fleet::Heard::default(),
            remembered: progress::Remembered::default(),
        }
    }

    /// With an archive, so that jobs the ledger has forgotten are known still.
    pub(crate) fn with_archive(self, archive: Archive) -> Self {
        Self { archive: Some(archive), ..self }
    }

    /// Over the settings' broker, store and ledger; with what a worker in the same process needs.
    pub(crate) fn open(loaded: &Loaded, env: &Env) -> std::result::Result<(Self, Vec<std::path::PathBuf>), Failure> {
        let pipeline = crate::pipeline::build(loaded, env, Vec::new())?;
        let app = pipeline.app.connect()?;
        let priority = loaded.table(Priority::TABLE.path)?;
        let max_waiting = loaded.settings.celeriac.max_queue_size;
        Ok((
            Self {
                app,
                store: pipeline.store,
                ledger: pipeline.ledger,
                archive: None,
                max_waiting,
                priority,
                analyzer: pipeline.analyzer,
                unpriced: pipeline.unpriced,
                page_parallelism: pipeline.page_parallelism,
                counts: pipeline.counts,
                heard: fleet::Heard::default(),
                remembered: progress::Remembered::default(),
            },
            pipeline.readable,
        ))
    }

    /// Jobs that fit, youngest first.
    pub(crate) async fn find(&self, query: &Query) -> Result<Found> {
        Ok(self.ledger.find(query).await?)
    }

    /// The same, with those the ledger has forgotten and the archive has.
    pub(crate) async fn find_all(&self, query: &Query) -> Result<Found> {
        let found = self.find(query).await?;
        let Some(archive) = &self.archive else { return Ok(found) };
        let mut archived = archive.find(query).await?;
        let told: HashSet<&str> = found.jobs.iter().map(|job| job.job_id.as_str()).collect();
        archived.jobs.retain(|entry| !told.contains(entry.job_id.as_str()));
        // What the ledger knows it knows better: such a job does not fit any more.
        let known = try_join_all(archived.jobs.iter().map(|entry| self.ledger.get(&entry.job_id))).await?;
        archived.jobs = archived.jobs.into_iter().zip(known).filter(|(_, known)| known.is_none()).map(|(entry, _)| entry).collect();
        Ok(merged(found, archived, query.limit))
    }

    /// How many jobs there are in a state, those the ledger has forgotten among them.
    pub(crate) async fn count(&self, status: JobStatus) -> Result<u64> {
        let known = self.ledger.count(status).await?;
        Ok(match &self.archive {
            // Each that ended is archived soon.
            Some(archive) if status.is_terminal() => archive.count(status).await?.max(known),
            _ => known,
        })
    }

    /// Finished jobs that fit, youngest first, those the ledger has forgotten among them.
    pub(crate) async fn history(&self, query: &Query) -> Result<Found> {
        if let Some(archive) = &self.archive {
            return archive.find(query).await;
        }
        let asked = |status: &JobStatus| query.status.is_empty() || query.status.contains(status);
        let status: Vec<JobStatus> = JobStatus::ALL.into_iter().filter(|status| status.is_terminal() && asked(status)).collect();
        if status.is_empty() {
            return Ok(Found::default());
        }
        self.find(&Query { status, ..query.clone() }).await
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

/// Two lists as one, and where it goes on: where one of them ends early because its page is full, the other does not run ahead.
fn merged(one: Found, other: Found, limit: usize) -> Found {
    let place = |entry: &Entry| Cursor {
        milliseconds: entry.times.created.map_or(0, |at| at.timestamp_millis()),
        job_id: entry.job_id.clone(),
    };
    let end = one.next.into_iter().chain(other.next).max();
    let mut jobs: Vec<Entry> =
        one.jobs.into_iter().chain(other.jobs).filter(|job| end.as_ref().is_none_or(|end| place(job) >= *end)).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(place(job)));
    let cut = jobs.len() > limit;
    jobs.truncate(limit);
    let next = if cut { jobs.last().map(place) } else { end };
    Found { jobs, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::Submission;
    use chrono::DateTime;

    fn found(times: &[i64], next: Option<i64>) -> Found {
        let entry = |ms: &i64| Entry::new(format!("j{ms}"), Submission::default(), DateTime::from_timestamp_millis(*ms).unwrap());
        let cursor = |milliseconds: i64| Cursor { milliseconds, job_id: format!("j{milliseconds}") };
        Found { jobs: times.iter().map(entry).collect(), next: next.map(cursor) }
    }

    fn shown(found: Found) -> (Vec<String>, Option<String>) {
        (found.jobs.into_iter().map(|job| job.job_id).collect(), found.next.map(|next| next.job_id))
    }

    #[tokio::test]
    async fn without_an_archive_the_history_is_of_jobs_that_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::in_memory(folder.path(), celeriac_tasks::ledger::Retention::default());
        for job_id in ["ended", "waits"] {
            desk.ledger.create(job_id, Submission::default()).await.unwrap();
        }
        desk.ledger.cancel("ended").await.unwrap();
        let told = async |status: &[JobStatus]| {
            let query = Query { status: status.to_vec(), limit: 10, ..Query::default() };
            shown(desk.history(&query).await.unwrap()).0
        };
        assert_eq!(told(&[]).await, ["ended"]);
        assert_eq!(told(&[JobStatus::Queued, JobStatus::Cancelled]).await, ["ended"]);
        assert_eq!(told(&[JobStatus::Queued]).await, [""; 0]);
    }

    #[test]
    fn two_lists_are_one_and_nothing_is_left_out_between_its_pages() {
        let of = |one, other, limit| shown(merged(one, other, limit));
        let words = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(of(found(&[9, 5], None), found(&[7, 1], None), 9), (words(&["j9", "j7", "j5", "j1"]), None));
        // The first list goes on below 5: what the other has below is for the next page.
        assert_eq!(of(found(&[9, 5], Some(5)), found(&[7, 1], None), 2), (words(&["j9", "j7"]), Some("j7".to_owned())));
        assert_eq!(of(found(&[], Some(5)), found(&[7, 1], None), 9), (words(&["j7"]), Some("j5".to_owned())));
        assert_eq!(of(found(&[], None), found(&[], None), 9), (vec![], None));
    }
}
