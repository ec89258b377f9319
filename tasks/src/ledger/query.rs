//! Finding jobs: a list youngest first, page by page, by what callers ask.

use chrono::{DateTime, Utc};
use futures::future::try_join_all;

use super::entry::Entry;
use super::shelf::{Index, Shelf};
use crate::error::DocumentError;
use crate::result::JobStatus;

/// How many entries are read at once.
const CHUNK: usize = 100;
/// How many entries one answer looks at that do not fit, so that a search for what is not there ends.
const MISSES_MAX: usize = 5000;

/// A place in a list by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// By what the list is ordered, milliseconds since 1970.
    pub milliseconds: i64,
    /// And then by this.
    pub job_id: String,
}

impl Cursor {
    /// Before everything that is younger than this time.
    pub fn before(time: DateTime<Utc>) -> Self {
        Self { milliseconds: time.timestamp_millis().saturating_add(1), job_id: String::new() }
    }

    /// Before everything.
    pub const fn start() -> Self {
        Self { milliseconds: i64::MAX, job_id: String::new() }
    }

    /// As it is handed out and taken back.
    pub fn to_text(&self) -> String {
        format!("{}-{}", self.milliseconds, self.job_id)
    }

    /// Reads it back.
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, id) = text.split_once('-')?;
        Some(Self { milliseconds: ms.parse().ok()?, job_id: id.to_owned() })
    }
}

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// In one of these states; empty: in any.
    pub status: Vec<JobStatus>,
    /// Of this user.
    pub user_id: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Whose name, id, title, tag or metadata contains this, in whatever case.
    pub text: Option<String>,
    /// Created after this.
    pub created_after: Option<DateTime<Utc>>,
    /// Only parts of this job, the first first.
    pub parent: Option<String>,
    /// Only those that are no part of another.
    pub whole: bool,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// How many are left out first.
    pub skip: usize,
    /// How many at most.
    pub limit: usize,
}

/// A page of jobs.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The jobs.
    pub jobs: Vec<Entry>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
}

impl Query {
    /// The shortest lists that have all of them, none in two.
    fn indexes(&self) -> Vec<Index> {
        if let Some(parent) = &self.parent {
            let status = if let [status] = self.status.as_slice() { Some(*status) } else { None };
            return vec![Index::Parts(parent.clone(), status)];
        }
        match (&self.user_id, &self.tag, self.status.as_slice()) {
            (Some(user), ..) => vec![Index::User(user.clone())],
            (None, Some(tag), _) => vec![Index::Tag(tag.clone())],
            (None, None, [status]) => vec![Index::Status(*status)],
            _ if self.whole => vec![Index::Whole],
            _ => vec![Index::Whole, Index::Part],
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        let asked = &entry.submission;
        (self.status.is_empty() || self.status.contains(&entry.status))
            && self.user_id.as_ref().is_none_or(|user| asked.user_id.as_ref() == Some(user))
            && self.tag.as_ref().is_none_or(|tag| asked.tags.contains(tag))
            && !(self.whole && asked.parent.is_some())
            && self.parent.as_ref().is_none_or(|parent| asked.parent.as_ref() == Some(parent))
            && self.created_after.is_none_or(|after| entry.times.created.is_some_and(|created| created > after))
            && self.text.as_ref().is_none_or(|text| contains(entry, &text.to_lowercase()))
    }
}

fn contains(entry: &Entry, text: &str) -> bool {
    let has = |found: &str| found.to_lowercase().contains(text);
    let asked = &entry.submission;
    let title = entry.opened.as_ref().and_then(|opened| opened.title.as_deref());
    [Some(entry.job_id.as_str()), asked.file_name.as_deref(), title].into_iter().flatten().any(has)
        || asked.tags.iter().any(|tag| has(tag))
        || asked.metadata.values().filter_map(|value| value.as_str()).any(has)
}

/// The next places of lists that have none in common, as if they were one.
async fn youngest(shelf: &dyn Shelf, indexes: &[Index], from: &Cursor) -> Result<Vec<Cursor>, DocumentError> {
    let lists = indexes.iter().map(|index| shelf.ids(index, from.clone(), CHUNK, false));
    let mut places = try_join_all(lists).await?.concat();
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.truncate(CHUNK);
    Ok(places)
}

pub(super) async fn find(shelf: &dyn Shelf, query: &Query) -> Result<Found, DocumentError> {
    let (indexes, mut cursor) = (query.indexes(), query.cursor.clone().unwrap_or_else(Cursor::start));
    let (mut jobs, mut skipped, mut misses) = (Vec::new(), 0, 0);
    loop {
        let places = youngest(shelf, &indexes, &cursor).await?;
        let ids: Vec<String> = places.iter().map(|place| place.job_id.clone()).collect();
        let entries = shelf.load_all(&ids).await?;
        let last_chunk = places.len() < CHUNK;
        for (place, entry) in places.into_iter().zip(entries) {
            // Parts stand by their numbers.
            let by_time = query.created_after.filter(|_| query.parent.is_none());
            if by_time.is_some_and(|after| place.milliseconds <= after.timestamp_millis()) {
                return Ok(Found { jobs, next: None });
            }
            cursor = place;
            let Some(entry) = entry.filter(|entry| query.fits(entry)) else {
                misses += 1;
                continue;
            };
            if skipped < query.skip {
                skipped += 1;
                continue;
            }
            jobs.push(entry);
            if jobs.len() == query.limit {
                return Ok(Found { jobs, next: Some(cursor) });
            }
        }
        if last_chunk {
            return Ok(Found { jobs, next: None });
        }
        if misses >= MISSES_MAX {
            return Ok(Found { jobs, next: Some(cursor) });
        }
    }
}
