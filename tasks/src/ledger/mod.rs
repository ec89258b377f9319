//! The ledger: what every job is now, and what happened to it, shared by all workers and whoever is asked about jobs.
//!
//! A job is one [`Entry`]. How it may change is said in [`life`] and nowhere else; the ledger reads an entry, changes it and writes
//! it back if nobody else has in the meantime, together with its events and its places in the indexes, in one step. Where entries are
//! kept is a [`Shelf`]: memory, or Redis. After a job has ended and was removed here, the archive of the program still has it.

mod change;
mod entry;
mod event;
mod life;
mod memory;
mod parts;
mod query;
mod redis;
mod shelf;
mod states;
mod together;

use std::sync::Arc;
use std::time::Duration;

use celeriac::config::Settings;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use self::change::{places, places_of_expired};
pub use self::entry::{Batch, Entry, Limits, Opened, Spent, Submission, Webhook};
pub use self::event::{Event, EventId, Kind, Told};
pub use self::life::{Ending, Opening, PageChange, Verdict};
pub use self::parts::Parts;
pub use self::query::{Cursor, Found, Query};
use self::redis::RedisShelf;
pub use self::shelf::{Chore, Follower, Index, Shelf};
use self::shelf::{Commit, Versioned};
pub use self::states::{PageState, PageStates};
use crate::error::{Code, DocumentError, Stage};
use crate::result::{JobStatus, ModelUsage, Phase};

/// How long what is kept of jobs is kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Entries of jobs that ended well.
    pub completed: Duration,
    /// Entries of jobs that failed or were cancelled.
    pub failed: Duration,
    /// Events of jobs that have ended.
    pub events: Duration,
    /// Images and texts of pages of jobs that have ended.
    pub pages: Duration,
    /// How many events of one job, and of all together, are kept at most.
    pub events_max: usize,
    /// How many chores of a kind wait at most: where nobody does them, those that were due first are forgotten.
    pub chores_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(86_400 * days);
        Self {
            completed: days(30),
            failed: days(30),
            events: Duration::from_secs(3600),
            pages: days(7),
            events_max: 5000,
            chores_max: 100_000,
        }
    }
}

/// How many of those that ended longest ago are looked at: whether their time is over.
const LOOKED_AT: usize = 10_000;

/// The ledger. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    shelf: Arc<dyn Shelf>,
    retention: Retention,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It is entered.
    New(Box<Entry>),
    /// The same was handed in before under this id.
    Same(Box<Entry>),
    /// Something else was handed in before under this id.
    Different(Box<Entry>),
}

type Result<T> = std::result::Result<T, DocumentError>;

impl Ledger {
    /// In this process only.
    pub fn memory() -> Self {
        Self::in_memory(Retention::default())
    }

    /// The same, and what is kept is kept so long.
    pub fn in_memory(retention: Retention) -> Self {
        Self::on(Arc::new(memory::MemoryShelf::new(retention.chores_max)), retention)
    }

    /// Where the settings keep results: in memory, or on that Redis server.
    pub fn open(settings: &Settings, retention: Retention) -> celeriac::Result<Self> {
        Ok(match celeriac::data::Redis::open(settings)? {
            Some(server) => Self::on(Arc::new(RedisShelf::new(server, &retention)?), retention),
            None => Self::in_memory(retention),
        })
    }

    /// On a shelf of the caller's.
    pub fn on(shelf: Arc<dyn Shelf>, retention: Retention) -> Self {
        Self { shelf, retention }
    }

    /// A job as it is now.
    pub async fn get(&self, job_id: &str) -> Result<Option<Entry>> {
        let Some(mut entry) = self.left_of(job_id).await?.filter(|entry| !entry.deleted) else { return Ok(None) };
        self.count_parts(&mut entry).await?;
        Ok(Some(entry))
    }

    /// The same, or what is left of one that was deleted.
    pub async fn left_of(&self, job_id: &str) -> Result<Option<Entry>> {
        Ok(self.shelf.load(job_id).await?.map(|found| found.entry))
    }

    /// Enters a job. The same under the same id is found again; something else under that id is refused.
    pub async fn create(&self, job_id: &str, submission: Submission) -> Result<Created> {
        loop {
            let version = match self.shelf.load(job_id).await? {
                Some(Versioned { entry, version }) if entry.deleted => version,
                Some(Versioned { entry, .. }) => {
                    let same = entry.submission.fingerprint == submission.fingerprint;
                    return Ok(if same { Created::Same(Box::new(entry)) } else { Created::Different(Box::new(entry)) });
                }
                None => 0,
            };
            let entry = Entry::new(job_id, submission.clone(), Utc::now());
            let told = vec![entry.state_event()];
            if self.shelf.commit(Commit { version, ..self.commit_of(None, &entry, told) }).await? {
                return Ok(Created::New(Box::new(entry)));
            }
        }
    }

    /// The job's task was handed to the broker.
    pub async fn sent(&self, job_id: &str) -> Result<()> {
        self.change(job_id, |entry, _, _| entry.sent = true).await.map(drop)
    }

    /// A worker has begun a job, which is entered if it was sent past us, by plain Celery.
    pub async fn begin(&self, job_id: &str, phase: Phase, submission: impl FnOnce() -> Submission) -> Result<Verdict> {
        let begin = |entry: &mut Entry, now, events: &mut Vec<Event>| {
            entry.sent = true;
            entry.begin(phase, now, events)
        };
        if let Some(verdict) = self.change(job_id, begin).await? {
            return Ok(verdict);
        }
        self.create(job_id, submission()).await?;
        Ok(self.change(job_id, begin).await?.unwrap_or(Verdict::Go))
    }

    /// Its document was opened.
    pub async fn opened(&self, job_id: &str, opening: Opening) -> Result<()> {
        self.change(job_id, |entry, _, events| entry.open(opening.clone(), events)).await.map(drop)
    }

    /// Something happened to pages: the job as it is then, and whether work on it goes on.
    pub async fn pages(&self, job_id: &str, changes: &[PageChange]) -> Result<Option<(Entry, Verdict)>> {
        self.change(job_id, |entry, now, events| {
            let verdict = entry.verdict(now);
            let begins = |change: &&PageChange| change.state == PageState::Running;
            // What is not to begin is not told of as begun.
            let kept = changes.iter().filter(|change| verdict == Verdict::Go || !begins(change)).cloned().collect::<Vec<_>>();
            entry.change_pages(&kept, now, events);
            (entry.clone(), verdict)
        })
        .await
    }

    /// Whether work on a job goes on.
    pub async fn verdict(&self, job_id: &str) -> Result<Verdict> {
        Ok(self.left_of(job_id).await?.map_or(Verdict::Go, |entry| entry.verdict(Utc::now())))
    }

    /// It came to another stage: the job as it is then, and whether work on it goes on.
    pub async fn phase(&self, job_id: &str, phase: Phase) -> Result<Option<(Entry, Verdict)>> {
        self.change(job_id, |entry, now, events| {
            entry.set_phase(phase, events);
            (entry.clone(), entry.verdict(now))
        })
        .await
    }

    /// A model was asked for the job as a whole.
    pub async fn spend(&self, job_id: &str, usage: &ModelUsage) -> Result<()> {
        self.change(job_id, |entry, _, _| entry.spent.add(usage)).await.map(drop)
    }

    /// It ended; the entry as it is then.
    pub async fn finish(&self, job_id: &str, ending: Ending) -> Result<Option<Entry>> {
        self.change(job_id, |entry, now, events| {
            entry.finish(ending.clone(), now, events);
            entry.clone()
        })
        .await
    }

    /// Somebody wants it stopped, with all its parts: the entry as it is then, and whether it had not ended before.
    pub async fn cancel(&self, job_id: &str) -> Result<Option<(Entry, bool)>> {
        let cancelled = self
            .change(job_id, |entry, now, events| {
                let taken = entry.cancel(now, events);
                (entry.clone(), taken)
            })
            .await?;
        match cancelled.filter(|(entry, _)| !entry.deleted) {
            Some((entry, true)) if entry.parts.is_some() => {
                self.cancel_parts(job_id).await?;
                Ok(self.get(job_id).await?.map(|entry| (entry, true)))
            }
            other => Ok(other),
        }
    }

    /// It is to run again: the entry as it is then, and whether it had ended before.
    pub async fn restart(&self, job_id: &str, limits: Limits) -> Result<Option<(Entry, bool)>> {
        let restarted = self.change(job_id, |entry, now, events| {
            let taken = !entry.deleted && entry.restart(limits, now, events);
            (entry.clone(), taken)
        });
        Ok(restarted.await?.filter(|(entry, _)| !entry.deleted))
    }

    /// Removes a job: nobody finds it any more. Of one that was stopped a mark stays for a week, by which what is left of its work, such
    /// as a message that still waits, knows that it is to do nothing. `false`: some of it runs still, and may write.
    pub async fn remove(&self, job_id: &str) -> Result<bool> {
        let mark = |entry: &mut Entry, _, _: &mut Vec<Event>| {
            let parent = entry.submission.parent.clone();
            entry.mark();
            (entry.clone(), parent)
        };
        let Some((entry, parent)) = self.change(job_id, mark).await? else {
            self.shelf.remove(job_id, &places_of_expired()).await?;
            return Ok(true);
        };
        if !entry.deleted {
            self.shelf.remove(job_id, &places(&entry)).await?;
        }
        if let Some(parent) = &parent {
            self.follow_parts(parent, true).await?;
        }
        Ok(!entry.deleted || entry.status.is_terminal())
    }

    /// Writes a line into its log.
    pub async fn log(&self, job_id: &str, level: &str, text: &str) -> Result<()> {
        self.change(job_id, |entry, _, events| events.push(entry.event(Kind::Log, json!({"level": level, "text": text}))))
            .await
            .map(drop)
    }

    /// Jobs that fit, youngest first.
    pub async fn find(&self, query: &Query) -> Result<Found> {
        let mut found = query::find(self.shelf.as_ref(), query).await?;
        for entry in &mut found.jobs {
            self.count_parts(entry).await?;
        }
        Ok(found)
    }

    /// How many jobs are in a state.
    pub async fn count(&self, status: JobStatus) -> Result<u64> {
        self.shelf.count(&Index::Status(status)).await
    }

    /// What a job was told of after an event, oldest first.
    pub async fn events(&self, job_id: &str, after: EventId, limit: usize) -> Result<Vec<Told>> {
        self.shelf.events(Some(job_id), after, limit).await
    }

    /// The place of the last event of a job; before everything where it has none.
    pub async fn last_event(&self, job_id: &str) -> Result<EventId> {
        self.shelf.last_event(job_id).await
    }

    /// What happened to all jobs after an event, oldest first.
    pub async fn all_events(&self, after: EventId, limit: usize) -> Result<Vec<Told>> {
        self.shelf.events(None, after, limit).await
    }

    /// Everything that happens after this has answered, to whatever job.
    pub async fn follow(&self) -> Result<Follower> {
        self.shelf.follow().await
    }

    /// What is to be done after jobs have ended, and is due: it is given again after `lease` unless [`Ledger::done`] says it is done.
    pub async fn chores(&self, kind: &str, limit: usize, lease: Duration) -> Result<Vec<Chore>> {
        self.shelf.chores(kind, limit, lease).await
    }

    /// Puts a chore on the list, to be done after `delay`.
    pub async fn remind(&self, chore: &Chore, delay: Duration) -> Result<()> {
        self.shelf.remind(chore, delay).await
    }

    /// A chore is done.
    pub async fn done(&self, chore: &Chore) -> Result<()> {
        self.shelf.done(chore).await
    }

    /// Takes in how long a page took, for estimates; `kind` keeps apart what takes differently long.
    pub async fn learn(&self, kind: &str, milliseconds: u64) -> Result<()> {
        self.shelf.learn(kind, milliseconds as f64).await
    }

    /// How many milliseconds a page takes, where some were seen.
    pub async fn milliseconds_per_page(&self, kind: &str) -> Result<Option<f64>> {
        self.shelf.learned(kind).await
    }

    /// Jobs that have ended, those that did longest ago first.
    pub async fn oldest(&self, limit: usize) -> Result<Vec<String>> {
        let ended = self.shelf.ids(&Index::Ended, Cursor::start(), limit, true).await?;
        Ok(ended.into_iter().map(|cursor| cursor.job_id).collect())
    }

    /// Jobs that ended so long ago that their entries are not kept any more. Parts go with the whole.
    pub async fn over(&self, now: DateTime<Utc>) -> Result<Vec<String>> {
        let shortest = TimeDelta::from_std(self.retention.completed.min(self.retention.failed)).unwrap_or(TimeDelta::MAX);
        let Some(before) = now.checked_sub_signed(shortest) else { return Ok(Vec::new()) };
        let ended = self.shelf.ids(&Index::Ended, Cursor::before(before), LOOKED_AT, true).await?;
        let ids: Vec<String> = ended.into_iter().map(|cursor| cursor.job_id).collect();
        let entries = self.shelf.load_all(&ids).await?;
        let is_over = |entry: &Entry| {
            let kept = self.kept_for(entry).and_then(|kept| TimeDelta::from_std(kept).ok());
            kept.zip(entry.times.finished).is_some_and(|(kept, finished)| now - finished > kept)
        };
        // Where the entry has expired its places are left.
        let over = ids.into_iter().zip(entries).filter(|(_, entry)| entry.as_ref().is_none_or(is_over));
        Ok(over.map(|(job_id, _)| job_id).collect())
    }

    /// Removes a job that has ended before the time of its files is over; they go when it is.
    pub async fn let_go(&self, entry: &Entry, now: DateTime<Utc>) -> Result<()> {
        let age = entry.times.finished.and_then(|finished| (now - finished).to_std().ok()).unwrap_or_default();
        // Anew: it may be done or lost, and nothing else will know of the files.
        self.remind(&Chore::pages(&entry.job_id), self.retention.pages.saturating_sub(age)).await?;
        self.remove(&entry.job_id).await.map(drop)
    }

    /// Whether the images and texts of a job's pages are kept still, and with them all it needs to run again.
    pub fn keeps_files(&self, entry: &Entry, now: DateTime<Utc>) -> bool {
        let kept = TimeDelta::from_std(self.retention.pages).unwrap_or(TimeDelta::MAX);
        !entry.status.is_terminal() || entry.times.finished.is_none_or(|finished| now - finished <= kept)
    }

    /// How many have ended that are no parts of others.
    pub async fn ended(&self) -> Result<u64> {
        self.shelf.count(&Index::Ended).await
    }

    /// How many jobs are known, parts of others among them.
    pub async fn len(&self) -> Result<u64> {
        Ok(self.whole().await? + self.shelf.count(&Index::Part).await?)
    }

    /// How many of them are no parts of others.
    pub async fn whole(&self) -> Result<u64> {
        self.shelf.count(&Index::Whole).await
    }
}

/// A failure of the server as the pipeline's error.
fn failed(error: &celeriac::Error) -> DocumentError {
    DocumentError::new(Code::StorageFailed, Stage::Store, format!("the ledger of jobs cannot be reached: {error}"))
}
