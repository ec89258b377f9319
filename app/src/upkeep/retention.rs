//! What is not kept any more goes: images and texts of pages first, entries and results later.

use std::time::Duration;

use celeriac_tasks::ledger::Chore;
use celeriac_tasks::store::Key;
use chrono::Utc;

use super::Done;
use crate::jobs::{Desk, Refusal};

/// How often jobs are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether what is left of a deleted job's work has stopped.
const STOPPED_EVERY: Duration = Duration::from_secs(30);
/// How many are removed at once.
const AT_ONCE: usize = 200;

/// The pages of a job, or all its files where no entry tells of them any more.
pub(super) async fn pages(desk: Desk, chore: Chore) -> Result<Done, Refusal> {
    match desk.ledger.get(&chore.job_id).await? {
        // One that runs again leaves this chore anew when it ends.
        Some(entry) if !entry.status.is_terminal() => return Ok(Done::Yes),
        Some(_) => {
            for key in desk.store.list(&Key::job(&chore.job_id, "pages")?).await? {
                desk.store.delete(&key).await?;
            }
        }
        None => desk.store.delete_job(&chore.job_id).await?,
    }
    tracing::info!(job_id = chore.job_id, "pages removed: their time is over");
    Ok(Done::Yes)
}

/// What was kept of a job while and after it was deleted, unless there is another of its id by now.
pub(super) async fn deleted(desk: Desk, chore: Chore) -> Result<Done, Refusal> {
    match desk.ledger.left_of(&chore.job_id).await? {
        Some(entry) if !entry.deleted => return Ok(Done::Yes),
        Some(entry) if !entry.status.is_terminal() => return Ok(Done::Again(chore, STOPPED_EVERY)),
        _ => desk.store.delete_job(&chore.job_id).await?,
    }
    desk.forget_state(&chore.job_id).await?;
    if let Some(archive) = &desk.archive {
        archive.remove(&chore.job_id).await?;
    }
    Ok(Done::Yes)
}

/// Removes jobs whose time is over, with all that belongs to them.
pub(super) async fn entries(desk: Desk) {
    loop {
        if let Err(refusal) = over(&desk).await {
            tracing::warn!(reason = refusal.message(), "cannot remove old jobs; trying again later");
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

async fn over(desk: &Desk) -> Result<(), Refusal> {
    for job_id in desk.ledger.over(Utc::now()).await? {
        desk.forget(&job_id).await?;
        tracing::info!(job_id, "job removed: its time is over");
    }
    Ok(())
}

/// Removes those that ended longest ago while there are more than are to be kept.
pub(super) async fn count(desk: Desk, jobs_max: u64) {
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        if let Err(refusal) = surplus(&desk, jobs_max).await {
            tracing::warn!(reason = refusal.message(), "cannot count jobs; trying again later");
        }
    }
}

pub(super) async fn surplus(desk: &Desk, jobs_max: u64) -> Result<(), Refusal> {
    let surplus = desk.ledger.ended().await?.saturating_sub(jobs_max);
    let surplus = usize::try_from(surplus).unwrap_or(AT_ONCE).min(AT_ONCE);
    for job_id in desk.ledger.oldest(surplus).await? {
        // Another service may remove the same.
        if desk.ledger.ended().await? <= jobs_max {
            break;
        }
        desk.let_go(&job_id).await?;
    }
    Ok(())
}
