//! What the ledger does for jobs of several documents: it counts their parts, and brings the whole in line with them.

use std::time::Duration;

use chrono::Utc;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::entry::Entry;
use super::parts::{self, Parts};
use super::query::Cursor;
use super::shelf::{Chore, Index, Versioned};
use super::{Ledger, Result};

/// After how long the documents of a job are entered by somebody else, unless whoever does it says that he is still at it.
pub(super) const ENTERING: Duration = Duration::from_secs(60);
/// How many parts are looked up at once.
const CHUNK: usize = 500;
/// How many are changed at once.
const AT_ONCE: usize = 16;

impl Ledger {
    /// All documents of a job are entered as its parts.
    pub async fn entered(&self, job_id: &str) -> Result<()> {
        let entered = self.change(job_id, |entry, _, _| entry.parts.iter_mut().for_each(|parts| parts.entered = true)).await?;
        if entered.is_some() {
            self.follow_parts(job_id, true).await?;
        }
        self.done(&Chore::documents(job_id)).await
    }

    /// The documents of a job are still being entered: nobody else need do it.
    pub async fn entering(&self, job_id: &str) -> Result<()> {
        self.remind(&Chore::documents(job_id), ENTERING).await
    }

    /// The rest of a job's documents is to be entered by whoever does chores, at once.
    pub async fn enter_rest(&self, job_id: &str) -> Result<()> {
        self.remind(&Chore::documents(job_id), Duration::ZERO).await
    }

    /// Brings a job in line with its parts, where whoever changed one of these died before he could.
    pub async fn settle_parts(&self, job_id: &str) -> Result<()> {
        self.follow_parts(job_id, true).await
    }

    /// What the entry says of its parts, as it is now; of one that has ended it stays as it was then.
    pub(super) async fn count_parts(&self, entry: &mut Entry) -> Result<()> {
        if entry.parts.is_some() && !entry.status.is_terminal() {
            entry.parts = self.parts_of(entry).await?;
        }
        Ok(())
    }

    /// One of a job's parts has changed its state; `ended`: or may have been the last.
    pub(super) async fn follow_parts(&self, job_id: &str, ended: bool) -> Result<()> {
        loop {
            let Some(found) = self.shelf.load(job_id).await? else { return Ok(()) };
            // That some part runs is known.
            if !ended && found.entry.status == crate::result::JobStatus::Processing {
                return Ok(());
            }
            // Counted after the entry was read: a count that is too old cannot be written over a younger one.
            let Some(parts) = self.parts_of(&found.entry).await? else { return Ok(()) };
            if self.follow_as(&found, parts).await? {
                return Ok(());
            }
        }
    }

    async fn follow_as(&self, found: &Versioned, parts: Parts) -> Result<bool> {
        let (mut entry, mut events) = (found.entry.clone(), Vec::new());
        entry.follow(parts, Utc::now(), &mut events);
        self.write(found, &entry, events).await
    }

    async fn parts_of(&self, entry: &Entry) -> Result<Option<Parts>> {
        let Some(Parts { entered, .. }) = entry.parts else { return Ok(None) };
        let lists = parts::lists_of(&entry.job_id);
        let counts = futures::future::try_join_all(lists.iter().map(|list| self.shelf.count(list))).await?;
        Ok(Some(Parts::counted(entered, &counts)))
    }

    /// Stops the parts of a job that was stopped.
    pub(super) async fn cancel_parts(&self, job_id: &str) -> Result<()> {
        let (list, mut from) = (Index::Parts(job_id.to_owned(), None), Cursor::start());
        loop {
            let places = self.shelf.ids(&list, from.clone(), CHUNK, false).await?;
            let Some(last) = places.last() else { break };
            from = last.clone();
            let cancel = async |id: String| self.change(&id, |entry, now, events| entry.cancel(now, events)).await;
            let cancelled = stream::iter(places).map(|place| cancel(place.job_id)).buffer_unordered(AT_ONCE);
            cancelled.try_for_each(|_| std::future::ready(Ok(()))).await?;
        }
        self.follow_parts(job_id, true).await
    }
}
