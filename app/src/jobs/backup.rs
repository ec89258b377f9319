//! Jobs with their results as lines of text, and back into an archive: for a copy that needs nothing of ours, and for another deployment.

use std::collections::HashMap;

use celeriac_tasks::ledger::{Entry, EventId, Query};
use celeriac_tasks::result::DocumentResult;
use celeriac_tasks::store::Key;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Desk, Result};
use crate::archive::{self, Archive, Archived};

/// The form of a line; a greater one is of a later version.
const FORM: u32 = 1;
/// How many jobs are read at once.
const CHUNK: usize = 100;
/// How many events of a log are looked at.
const EVENTS: usize = 5000;

/// When jobs ended that have been handed on.
type Ends = HashMap<String, Option<DateTime<Utc>>>;

/// A job as a line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// [`FORM`].
    celeriac_job: u32,
    entry: Entry,
    result: Option<DocumentResult>,
    log: Value,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imported {
    /// It is in the archive now.
    Taken,
    /// It was there, the same.
    Known,
    /// A later end of it is there.
    Older,
    /// The job had not ended: an archive keeps those that have.
    Unfinished,
}

impl Desk {
    /// What is archived of a job beside its entry, as it is now: with the keys of the store, not with today's addresses.
    pub(crate) async fn to_archive(&self, job_id: &str) -> Result<Archived> {
        let result = self.store.get_large_json(&Key::job(job_id, "result.json")?).await?;
        let told = self.ledger.events(job_id, EventId::default(), EVENTS).await?;
        Ok(Archived { result, log: archive::log(&told) })
    }

    /// Hands on every job that fits: those of the ledger, then those that only the archive has, or has with a later end. In this order
    /// none is left out that comes from the one into the other meanwhile.
    pub(crate) async fn export(&self, query: &Query, mut line: impl FnMut(&Kept) -> Result<()>) -> Result<u64> {
        let mut told = HashMap::new();
        let mut rest = Some(Query { limit: CHUNK, ..query.clone() });
        while let Some(query) = rest {
            let found = self.find(&query).await?;
            for entry in found.jobs {
                let kept = self.to_archive(&entry.job_id).await?;
                told.insert(entry.job_id.clone(), entry.times.finished);
                line(&Kept::of(entry, kept))?;
            }
            rest = found.next.map(|cursor| Query { cursor: Some(cursor), ..query });
        }
        Ok(told.len() as u64 + self.export_archived(query, &told, line).await?)
    }

    async fn export_archived(&self, query: &Query, told: &Ends, mut line: impl FnMut(&Kept) -> Result<()>) -> Result<u64> {
        let Some(archive) = &self.archive else { return Ok(0) };
        let (mut lines, mut rest) = (0, Some(Query { limit: CHUNK, ..query.clone() }));
        while let Some(query) = rest {
            let found = archive.find(&query).await?;
            for entry in found.jobs {
                if told.get(&entry.job_id).is_some_and(|end| *end >= entry.times.finished) {
                    continue;
                }
                // Deleted meanwhile.
                let Some(kept) = archive.get(&entry.job_id).await? else { continue };
                line(&Kept::of(entry, kept))?;
                lines += 1;
            }
            rest = found.next.map(|cursor| Query { cursor: Some(cursor), ..query });
        }
        Ok(lines)
    }
}

impl Kept {
    fn of(entry: Entry, Archived { result, log }: Archived) -> Self {
        Self { celeriac_job: FORM, entry, result, log }
    }

    /// Reads a line.
    pub(crate) fn read(line: &str) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            celeriac_job: u32,
        }
        let head: Head = serde_json::from_str(line).map_err(|error| format!("it is no job of `jobs export`: {error}"))?;
        if head.celeriac_job > FORM {
            return Err(format!("it was written by a later version (form {}, this one reads {FORM})", head.celeriac_job));
        }
        serde_json::from_str(line).map_err(|error| format!("it is no job of `jobs export`: {error}"))
    }

    /// Puts it into an archive, unless it is there or a later end of it is: however often, the archive is the same.
    pub(crate) async fn import(&self, archive: &Archive) -> Result<Imported> {
        if !self.entry.status.is_terminal() {
            return Ok(Imported::Unfinished);
        }
        match archive.entry(&self.entry.job_id).await? {
            Some(known) if known == self.entry => return Ok(Imported::Known),
            Some(known) if known.times.finished > self.entry.times.finished => return Ok(Imported::Older),
            _ => {}
        }
        archive.put(&self.entry, self.result.as_ref(), &self.log).await?;
        Ok(Imported::Taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::Submission;
    use celeriac_tasks::result::JobStatus;

    fn kept(status: JobStatus, finished: i64) -> Kept {
        let at = |seconds| DateTime::<Utc>::from_timestamp(seconds, 0);
        let mut entry = Entry::new("j", Submission { tags: vec!["t".into()], ..Submission::default() }, at(1).unwrap());
        entry.status = status;
        entry.times.finished = at(finished);
        Kept::of(entry, Archived { result: None, log: Value::Array(Vec::new()) })
    }

    #[tokio::test]
    async fn a_line_is_taken_once_and_never_over_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let import = async |kept: Kept| {
            let line = serde_json::to_string(&kept).unwrap();
            Kept::read(&line).unwrap().import(&archive).await.unwrap()
        };
        assert_eq!(import(kept(JobStatus::Processing, 0)).await, Imported::Unfinished);
        assert_eq!(import(kept(JobStatus::Failed, 10)).await, Imported::Taken);
        assert_eq!(import(kept(JobStatus::Failed, 10)).await, Imported::Known);
        assert_eq!(import(kept(JobStatus::Completed, 20)).await, Imported::Taken);
        assert_eq!(import(kept(JobStatus::Failed, 10)).await, Imported::Older);
        assert_eq!(archive.entry("j").await.unwrap().unwrap().status, JobStatus::Completed);
    }

    #[test]
    fn what_is_no_line_of_ours_says_so() {
        for (line, words) in [("{}", "no job"), ("[1]", "no job"), (r#"{"celeriac_job": 9}"#, "later version")] {
            let why = Kept::read(line).unwrap_err();
            assert!(why.contains(words), "{line}: {why}");
        }
    }
}
