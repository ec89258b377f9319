//! Jobs that have ended go into the archive, with their results and logs.

use celeriac_tasks::ledger::Chore;

use super::Done;
use crate::jobs::{Desk, Refusal};

pub(super) async fn archive(desk: Desk, chore: Chore) -> Result<Done, Refusal> {
    let (Some(archive), Some(entry)) = (&desk.archive, desk.ledger.get(&chore.job_id).await?) else { return Ok(Done::Yes) };
    // One that runs again will come by once more.
    if entry.status.is_terminal() {
        let kept = desk.to_archive(&chore.job_id).await?;
        archive.put(&entry, kept.result.as_ref(), &kept.log).await?;
    }
    Ok(Done::Yes)
}
