//! Jobs that nobody works on: entered and never sent, or not with all their documents, because whoever took them died between the two;
//! or left by a task that ended in a way it could not enter, such as a worker that was killed past its last try.

use std::time::Duration;

use celeriac::protocol::state::State;
use celeriac_tasks::error::{Code, DocumentError, Stage};
use celeriac_tasks::ledger::{Chore, Ending, Entry, Query};
use celeriac_tasks::result::JobStatus;
use chrono::{TimeDelta, Utc};

use super::Done;
use crate::jobs::{Desk, Refusal};

/// How often they are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long an entry may wait to be sent by whoever entered it.
const UNSENT: TimeDelta = TimeDelta::seconds(30);
/// How many jobs are looked at.
const JOBS: usize = 1000;

pub(super) async fn watch(desk: Desk) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(refusal) = look(&desk).await {
            tracing::warn!(reason = refusal.message(), "cannot look for stray jobs; trying again later");
        }
    }
}

/// What was found and put right.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strays {
    /// Entered and never sent: sent.
    pub(crate) sent: u32,
    /// Left by their task: ended.
    pub(crate) ended: u32,
}

/// Looks through all that has not ended, once.
pub(crate) async fn look(desk: &Desk) -> Result<Strays, Refusal> {
    let mut found = Strays::default();
    let status = vec![JobStatus::Queued, JobStatus::Processing, JobStatus::Cancelling];
    for status in status {
        let query = Query { status: vec![status], limit: JOBS, ..Query::default() };
        for entry in desk.ledger.find(&query).await?.jobs {
            one(desk, &entry, &mut found).await?;
        }
    }
    Ok(found)
}

/// The documents of a job that are not all entered.
pub(super) async fn documents(desk: Desk, chore: Chore) -> Result<Done, Refusal> {
    desk.enter_rest(&chore.job_id).await?;
    Ok(Done::Yes)
}

async fn one(desk: &Desk, entry: &Entry, found: &mut Strays) -> Result<(), Refusal> {
    if entry.parts.is_some() {
        return Ok(desk.ledger.settle_parts(&entry.job_id).await?);
    }
    let waited = entry.times.queued.is_some_and(|queued| Utc::now() - queued > UNSENT);
    if entry.status == JobStatus::Queued && !entry.sent && waited && !entry.submission.call.is_empty() {
        tracing::warn!(job_id = entry.job_id, "entered and never sent: sending it");
        found.sent += 1;
        return desk.send(entry).await;
    }
    // Its own task knows how it went, where it could not say so itself.
    let Some(meta) = desk.app.state_of(&entry.job_id).await? else { return Ok(()) };
    if entry.sent && matches!(meta.status, State::Failure | State::Revoked) {
        let why = meta.exception().map_or_else(|| "it was revoked".to_owned(), |exception| exception.to_string());
        let error = DocumentError::new(Code::Internal, Stage::Aggregate, format!("the job's task failed: {why}"));
        let status = if meta.status == State::Revoked { JobStatus::Cancelled } else { JobStatus::Failed };
        let ending = Ending { status, partial_reasons: Vec::new(), error: Some(error.record(1, Utc::now())) };
        desk.ledger.finish(&entry.job_id, ending).await?;
        found.ended += 1;
    }
    Ok(())
}
