//! Jobs that have ended go into the archive, with their results and logs.

use celeriac_tasks::ledger::{Chore, EventId};
use celeriac_tasks::result::DocumentResult;
use celeriac_tasks::store::Key;

use super::Done;
use crate::jobs::{Desk, Refusal};

/// How many events of a log are looked at.
const EVENTS: usize = 5000;

pub(super) async fn archive(desk: Desk, chore: Chore) -> Result<Done, Refusal> {
    let (Some(archive), Some(entry)) = (&desk.archive, desk.ledger.get(&chore.job_id).await?) else { return Ok(Done::Yes) };
    // One that runs again will come by once more.
    if !entry.status.is_terminal() {
        return Ok(Done::Yes);
    }
    // With the keys of the store, not with today's addresses.
    let result: Option<DocumentResult> = desk.store.get_json(&Key::job(&chore.job_id, "result.json")?).await?;
    let log = desk.ledger.events(&chore.job_id, EventId::default(), EVENTS).await?;
    archive.put(&entry, result.as_ref(), &log).await?;
    Ok(Done::Yes)
}
