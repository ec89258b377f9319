//! How the ledger changes an entry, and all that follows from a change: its places in the lists, what is to be done, how long it is kept.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::event::Event;
use super::shelf::{Chore, Commit, Index, Versioned};
use super::{Ledger, Result, parts, together};
use crate::result::JobStatus;

/// How much longer an entry is kept than until it is to be removed.
const SLACK: Duration = Duration::from_secs(7 * 86_400);

impl Ledger {
    /// Reads, changes, and writes if nobody else has written in the meantime; else again. `None`: there is no such job. What changes
    /// the state of a part is followed by the whole.
    pub(super) async fn change<T>(
        &self,
        job_id: &str,
        change: impl Fn(&mut Entry, DateTime<Utc>, &mut Vec<Event>) -> T,
    ) -> Result<Option<T>> {
        loop {
            let Some(found) = self.shelf.load(job_id).await? else { return Ok(None) };
            let (mut entry, mut events) = (found.entry.clone(), Vec::new());
            let told = change(&mut entry, Utc::now(), &mut events);
            if entry.deleted {
                events.clear();
            }
            if self.write(&found, &entry, events).await? {
                let ended = entry.status.is_terminal();
                if let Some(parent) = entry.submission.parent.as_ref().filter(|_| ended || entry.status != found.entry.status) {
                    self.follow_parts(parent, ended).await?;
                }
                return Ok(Some(told));
            }
        }
    }

    /// Writes what has changed, if anything has. `false`: somebody else was faster.
    pub(super) async fn write(&self, found: &Versioned, entry: &Entry, events: Vec<Event>) -> Result<bool> {
        if *entry == found.entry && events.is_empty() {
            return Ok(true);
        }
        self.shelf.commit(self.commit_of(Some(found), entry, events)).await
    }

    pub(super) fn commit_of(&self, before: Option<&Versioned>, entry: &Entry, events: Vec<Event>) -> Commit {
        let (old, new) = (before.map(|found| places(&found.entry)).unwrap_or_default(), places(entry));
        let ended = entry.status.is_terminal() && before.is_none_or(|found| !found.entry.status.is_terminal());
        let chores = match before {
            _ if entry.deleted => Vec::new(),
            None if entry.parts.is_some() => vec![(Chore::documents(&entry.job_id), together::ENTERING)],
            _ if ended => self.chores_of(entry),
            _ => Vec::new(),
        };
        Commit {
            entry: entry.clone(),
            version: before.map_or(0, |found| found.version),
            leaves: old.iter().filter(|place| !new.contains(place)).cloned().collect(),
            joins: new.into_iter().filter(|place| !old.contains(place)).collect(),
            events,
            chores,
            // By itself only where nobody asks which are [`Ledger::over`], and removes them with all that belongs to them.
            entry_expires: self.kept_for(entry).map(|kept| kept.saturating_add(SLACK)),
            events_expire: match entry.status.is_terminal() {
                _ if entry.deleted => Some(Duration::ZERO),
                ended => ended.then_some(self.retention.events),
            },
        }
    }

    /// What is to be done once a job has ended, and after how long.
    fn chores_of(&self, entry: &Entry) -> Vec<(Chore, Duration)> {
        let chore = |kind: &str, detail: String| Chore { kind: kind.to_owned(), job_id: entry.job_id.clone(), detail };
        let event = format!("job.{}", entry.status.as_str());
        let hook = entry.submission.webhook.as_ref().filter(|hook| hook.events.is_empty() || hook.events.contains(&event));
        let mut chores =
            vec![(chore(Chore::ARCHIVE, String::new()), Duration::ZERO), (Chore::pages(&entry.job_id), self.retention.pages)];
        chores.extend(hook.map(|_| (chore(Chore::WEBHOOK, event.clone()), Duration::ZERO)));
        chores
    }

    /// For how long an entry is kept; one that has not ended has no end.
    pub(super) fn kept_for(&self, entry: &Entry) -> Option<Duration> {
        match entry.status {
            _ if entry.deleted => Some(Duration::ZERO),
            JobStatus::Completed | JobStatus::Partial => Some(self.retention.completed),
            status if status.is_terminal() => Some(self.retention.failed),
            _ => None,
        }
    }
}

/// Where an entry stands in the indexes, and by which time.
pub(super) fn places(entry: &Entry) -> Vec<(Index, i64)> {
    if entry.deleted {
        return Vec::new();
    }
    let created = entry.times.created.unwrap_or_default().timestamp_millis();
    let is_whole = entry.submission.parent.is_none();
    let mut places = vec![(if is_whole { Index::Whole } else { Index::Part }, created), (Index::Status(entry.status), created)];
    places.extend(entry.submission.user_id.iter().map(|user| (Index::User(user.clone()), created)));
    places.extend(entry.submission.tags.iter().map(|tag| (Index::Tag(tag.clone()), created)));
    places.extend(parts::places(entry));
    if is_whole {
        let finished = entry.times.finished.unwrap_or_default().timestamp_millis();
        places.extend(entry.status.is_terminal().then_some((Index::Ended, finished)));
    }
    places
}

/// Where a job may be of which no entry is left to say it; by which time no longer matters there.
pub(super) fn places_of_expired() -> Vec<(Index, i64)> {
    let states = JobStatus::ALL.map(Index::Status);
    [Index::Whole, Index::Part, Index::Ended].into_iter().chain(states).map(|index| (index, 0)).collect()
}
