//! Where entries are kept: the contract of memory and Redis, held by one suite (`tests/ledger`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::entry::Entry;
use super::event::{Event, EventId, Told};
use super::query::Cursor;
use crate::error::DocumentError;
use crate::result::JobStatus;

/// A list of jobs by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Index {
    /// Those that were handed in as they are, by when they were created.
    Whole,
    /// Those that are parts of others: every job stands here or there.
    Part,
    /// Those in a state.
    Status(JobStatus),
    /// Those of somebody.
    User(String),
    /// Those with a tag.
    Tag(String),
    /// The whole ones that have ended, by when they did.
    Ended,
    /// The parts of a job, all or those in a state, by their numbers: the first has the greatest place.
    Parts(String, Option<JobStatus>),
}

impl fmt::Display for Index {
    /// As part of a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Part => f.write_str("part"),
            Self::Status(status) => write!(f, "status:{}", status.as_str()),
            Self::User(user) => write!(f, "user:{user}"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
            Self::Ended => f.write_str("ended"),
            Self::Parts(parent, status) => write!(f, "parts:{}:{parent}", status.map_or("all", |status| status.as_str())),
        }
    }
}

/// An entry, and how often it was written.
#[derive(Debug, Clone)]
pub struct Versioned {
    /// The entry.
    pub entry: Entry,
    /// Goes up with each write, from 1.
    pub version: u64,
}

/// Everything that follows from one change of an entry.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The entry as it is to be.
    pub entry: Entry,
    /// The version it was read in; 0: there was none.
    pub version: u64,
    /// The indexes it leaves.
    pub leaves: Vec<(Index, i64)>,
    /// The indexes it joins, by these times.
    pub joins: Vec<(Index, i64)>,
    /// What is told of it.
    pub events: Vec<Event>,
    /// What is to be done, and after how long.
    pub chores: Vec<(Chore, Duration)>,
    /// After how long the entry goes by itself.
    pub entry_expires: Option<Duration>,
    /// After how long its events go.
    pub events_expire: Option<Duration>,
}

/// Something to be done for a job that has ended, by whoever comes first; done again if he dies over it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Chore {
    /// What: one list a kind.
    #[serde(skip)]
    pub kind: String,
    /// For which job.
    #[serde(rename = "j")]
    pub job_id: String,
    /// What more there is to know.
    #[serde(rename = "d", default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Chore {
    /// Its result goes into the archive.
    pub const ARCHIVE: &'static str = "archive";
    /// It was deleted: what was kept of it since goes, too.
    pub const DELETED: &'static str = "deleted";
    /// Somebody is told.
    pub const WEBHOOK: &'static str = "webhook";
    /// The images and texts of its pages go; the result stays as long as its entry.
    pub const PAGES: &'static str = "pages";
    /// The documents of a job of several are entered, where whoever began it has not come to the end.
    pub const DOCUMENTS: &'static str = "documents";

    pub(super) fn documents(job_id: &str) -> Self {
        Self::of(Self::DOCUMENTS, job_id)
    }

    /// What is to be done some time after a job was deleted.
    pub fn deleted(job_id: &str) -> Self {
        Self::of(Self::DELETED, job_id)
    }

    /// The files of a job's pages go.
    pub(super) fn pages(job_id: &str) -> Self {
        Self::of(Self::PAGES, job_id)
    }

    fn of(kind: &str, job_id: &str) -> Self {
        Self { kind: kind.to_owned(), job_id: job_id.to_owned(), detail: String::new() }
    }
}

/// Hears what happens, which all who hear it share. One that is too slow loses the oldest, and is told so.
pub type Follower = broadcast::Receiver<Arc<Told>>;

/// Where entries are kept.
#[async_trait]
pub trait Shelf: Send + Sync + fmt::Debug {
    /// The entry of a job.
    async fn load(&self, job_id: &str) -> Result<Option<Versioned>, DocumentError>;

    /// Writes all of a commit, or, where the entry is not in its version any more, nothing: then `false`.
    async fn commit(&self, commit: Commit) -> Result<bool, DocumentError>;

    /// Removes an entry from these places, with its events. `false`: it was not there.
    async fn remove(&self, job_id: &str, places: &[(Index, i64)]) -> Result<bool, DocumentError>;

    /// Jobs of an index before (or, `oldest_first`, from the oldest up to) a place in it.
    async fn ids(&self, index: &Index, from: Cursor, limit: usize, oldest_first: bool) -> Result<Vec<Cursor>, DocumentError>;

    /// How many jobs are in an index.
    async fn count(&self, index: &Index) -> Result<u64, DocumentError>;

    /// The entries of these jobs, where there are some.
    async fn load_all(&self, job_ids: &[String]) -> Result<Vec<Option<Entry>>, DocumentError>;

    /// The events of one job or of all, after one, oldest first.
    async fn events(&self, job_id: Option<&str>, after: EventId, limit: usize) -> Result<Vec<Told>, DocumentError>;

    /// The place of the last event of a job.
    async fn last_event(&self, job_id: &str) -> Result<EventId, DocumentError>;

    /// Hears everything that happens after this has answered.
    async fn follow(&self) -> Result<Follower, DocumentError>;

    /// Chores of a kind that are due, oldest first, put off by `lease`.
    async fn chores(&self, kind: &str, limit: usize, lease: Duration) -> Result<Vec<Chore>, DocumentError>;

    /// Puts a chore on the list, or puts it off.
    async fn remind(&self, chore: &Chore, delay: Duration) -> Result<(), DocumentError>;

    /// Takes a chore from the list.
    async fn done(&self, chore: &Chore) -> Result<(), DocumentError>;

    /// Takes a figure into a moving mean.
    async fn learn(&self, kind: &str, figure: f64) -> Result<(), DocumentError>;

    /// The mean.
    async fn learned(&self, kind: &str) -> Result<Option<f64>, DocumentError>;
}

/// How much a new figure counts in a moving mean.
pub(super) const WEIGHT: f64 = 0.1;

/// How many events a follower may be behind.
pub(super) const FOLLOWER_LAG: usize = 4096;
