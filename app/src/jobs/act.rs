//! Stopping jobs, and taking them up again.

use std::time::Duration;

use celeriac_tasks::ledger::{Chore, Entry, Limits, PageState};
use celeriac_tasks::result::PartialReason;
use celeriac_tasks::store::{Key, PageFile};

use chrono::Utc;
use futures::future::try_join_all;

use super::refusal::Refusal;
use super::together::of;
use super::{Desk, Result};

/// After how long what was about to be done for a job when it was deleted is mostly done.
const SOON_OVER: Duration = Duration::from_secs(5);

/// Which pages are done again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Those that are missing: failed, cancelled, never begun.
    #[default]
    Missing,
    /// These, whether they are there or not.
    Pages(Vec<u32>),
    /// All.
    All,
    /// Those that are missing, as urgently as before: the job was stopped and goes on.
    GoOn,
}

impl Desk {
    /// Stops a job and its parts: no page of it begins any more, running ones are ended after the grace, what is done stays. Asked again, it says the same.
    pub(crate) async fn cancel(&self, job_id: &str) -> Result<Entry> {
        let (entry, taken) = self.ledger.cancel(job_id).await?.ok_or_else(|| Refusal::unknown(job_id))?;
        if !taken {
            return Err(Refusal::Conflict(format!("job {job_id} has ended already: it is {}", entry.status.as_str())));
        }
        Ok(entry)
    }

    /// Does again what is missing of a job that has ended, or the pages named; of several documents, those that are not whole.
    pub(crate) async fn retry(&self, job_id: &str, what: &Retry) -> Result<Entry> {
        self.retry_within(job_id, what, Limits::default()).await
    }

    /// The same with limits that are said anew: one that has reached its own, and is given no others, is refused.
    pub(crate) async fn retry_within(&self, job_id: &str, what: &Retry, limits: Limits) -> Result<Entry> {
        let Some(entry) = self.ledger.get(job_id).await? else {
            self.job(job_id).await?;
            return Err(Refusal::Conflict(format!("job {job_id} is in the archive alone: hand its document in again")));
        };
        if !entry.status.is_terminal() {
            return Err(Refusal::Conflict(format!(
                "job {job_id} is {}: only one that has ended is tried again",
                entry.status.as_str()
            )));
        }
        match entry.parts {
            Some(_) => self.retry_parts(&entry, what, limits).await,
            None => self.retry_one(&entry, what, limits).await,
        }
    }

    pub(super) async fn retry_one(&self, entry: &Entry, what: &Retry, limits: Limits) -> Result<Entry> {
        let job_id = &entry.job_id;
        self.may_go_on(entry, limits)?;
        for page in again(entry, what)? {
            let key = Key::page(job_id, page, PageFile::Record)?;
            self.store.delete(&key).await?;
        }
        // Before: a job that runs again must not be taken for one that its task has left, by how the run before ended.
        self.forget_state(job_id).await?;
        let (entry, taken) = self.ledger.restart(job_id, limits).await?.ok_or_else(|| Refusal::unknown(job_id))?;
        match taken {
            true if *what == Retry::GoOn => self.send(&entry).await?,
            true => self.send_again(&entry).await?,
            false => {}
        }
        Ok(entry)
    }

    /// Refuses a job that would be stopped again, or find no document, before anything of it is done.
    pub(super) fn may_go_on(&self, entry: &Entry, limits: Limits) -> Result<()> {
        self.countable(limits.max_cost_usd, &entry.submission)?;
        let (job_id, now) = (&entry.job_id, Utc::now());
        let comes_again = ["path", "url", "store_key"].iter().any(|source| entry.submission.call.contains_key(*source));
        let why = match entry.beyond(limits, now) {
            Some(PartialReason::Deadline) => format!("the deadline of job {job_id} is over: give it another, deadline_s from now"),
            Some(_) => format!(
                "the budget of job {job_id} is spent: give it a larger one, max_cost_usd or max_tokens for all its runs together"
            ),
            None if !comes_again && !self.ledger.keeps_files(entry, now) => {
                format!("the document of job {job_id} is not kept any more: hand it in again")
            }
            None => return Ok(()),
        };
        Err(Refusal::Conflict(why))
    }

    /// Stops a job if it runs, and removes everything that is kept of it.
    pub(crate) async fn delete(&self, job_id: &str) -> Result<Entry> {
        let entry = self.job(job_id).await?;
        if !entry.status.is_terminal() {
            self.ledger.cancel(job_id).await?;
        }
        // The whole first: what it says of its parts does not change with each that goes.
        self.delete_one(job_id).await?;
        let mut rest = Some(of(job_id));
        while let Some(parts) = self.next_parts(&mut rest).await? {
            try_join_all(parts.iter().map(|part| self.delete_one(&part.job_id))).await?;
        }
        if let Some(archive) = &self.archive {
            archive.remove(job_id).await?;
        }
        Ok(entry)
    }

    async fn delete_one(&self, job_id: &str) -> Result<()> {
        if self.ledger.remove(job_id).await? {
            self.store.delete_job(job_id).await?;
        }
        self.forget_state(job_id).await?;
        // What runs still may write, and whoever was about to archive it may still do so.
        Ok(self.ledger.remind(&Chore::deleted(job_id), SOON_OVER).await?)
    }

    /// What the backend keeps of how a job's own task ended.
    pub(crate) async fn forget_state(&self, job_id: &str) -> Result<()> {
        Ok(self.app.async_result(job_id).forget().await?)
    }

    /// Removes what the ledger and the store keep of a job and its parts; what was archived stays.
    pub(crate) async fn forget(&self, job_id: &str) -> Result<()> {
        self.forget_one(job_id).await?;
        let mut rest = Some(of(job_id));
        while let Some(parts) = self.next_parts(&mut rest).await? {
            try_join_all(parts.iter().map(|part| self.forget_one(&part.job_id))).await?;
        }
        Ok(())
    }

    /// Removes what the ledger keeps of a job that has ended and its parts, unless some of it is still to be archived; their files
    /// stay as long as they would have.
    pub(crate) async fn let_go(&self, job_id: &str) -> Result<()> {
        let Some(entry) = self.ledger.get(job_id).await? else { return self.forget(job_id).await };
        if !entry.status.is_terminal() || !self.is_archived(&entry).await? {
            return Ok(());
        }
        let mut rest = Some(of(job_id));
        while let Some(parts) = self.next_parts(&mut rest).await? {
            let archived = try_join_all(parts.iter().map(|part| self.is_archived(part))).await?;
            if archived.contains(&false) {
                return Ok(());
            }
        }
        let now = Utc::now();
        self.ledger.let_go(&entry, now).await?;
        let mut rest = Some(of(job_id));
        while let Some(parts) = self.next_parts(&mut rest).await? {
            try_join_all(parts.iter().map(|part| self.ledger.let_go(part, now))).await?;
        }
        Ok(())
    }

    /// Whether the archive has this end of a job, where there is one.
    async fn is_archived(&self, entry: &Entry) -> Result<bool> {
        let Some(archive) = &self.archive else { return Ok(true) };
        let end = |entry: &Entry| entry.times.finished.map(|at| at.timestamp_millis());
        Ok(archive.entry(&entry.job_id).await?.is_some_and(|archived| end(&archived) == end(entry)))
    }

    async fn forget_one(&self, job_id: &str) -> Result<()> {
        self.store.delete_job(job_id).await?;
        self.ledger.remove(job_id).await?;
        Ok(())
    }
}

/// The pages whose records must go so that they are done again; those that are missing have none that counts.
fn again(entry: &Entry, what: &Retry) -> Result<Vec<u32>> {
    let asked = |state: PageState| state != PageState::Skipped;
    match what {
        Retry::Missing | Retry::GoOn => Ok(Vec::new()),
        Retry::All => Ok(entry.pages.iter().filter(|(_, state)| asked(*state)).map(|(page, _)| page).collect()),
        Retry::Pages(pages) => match pages.iter().find(|page| !entry.pages.get(**page).is_some_and(asked)) {
            Some(page) => {
                Err(Refusal::Invalid(format!("page {page} is none of the {} pages of job {}", entry.total(), entry.job_id)))
            }
            None => Ok(pages.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use celeriac_tasks::ledger::{Ending, Retention, Submission};
    use celeriac_tasks::result::JobStatus;
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_job_that_has_reached_its_limits_runs_again_only_with_others() {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::in_memory(folder.path(), Retention::default());
        let call = json!({"path": "/a.pdf"}).as_object().unwrap().clone();
        let submission = Submission { call, deadline: Some(Utc::now()), max_tokens: Some(0), ..Submission::default() };
        desk.ledger.create("j", submission).await.unwrap();
        desk.ledger.finish("j", Ending { status: JobStatus::Partial, partial_reasons: vec![], error: None }).await.unwrap();
        let page = Key::page("j", 1, PageFile::Record).unwrap();
        desk.store.put(&page, "{}").await.unwrap();

        let deadline = Some(Utc::now() + TimeDelta::hours(1));
        for (limits, word) in [(Limits::default(), "deadline"), (Limits { deadline, ..Limits::default() }, "budget")] {
            let refused = desk.retry_within("j", &Retry::All, limits).await.unwrap_err();
            assert!(matches!(&refused, Refusal::Conflict(text) if text.contains(word)), "{refused:?}");
        }
        assert_eq!(desk.job("j").await.unwrap().status, JobStatus::Partial);
        assert!(desk.store.exists(&page).await.unwrap());

        let entry =
            desk.retry_within("j", &Retry::GoOn, Limits { deadline, max_tokens: Some(1), ..Limits::default() }).await.unwrap();
        assert_eq!((entry.status, entry.submission.deadline, entry.submission.max_tokens), (JobStatus::Queued, deadline, Some(1)));
    }
}
