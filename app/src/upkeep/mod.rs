//! What the service does by itself beside answering: it archives jobs that have ended, tells who asked to be told, removes what is
//! not kept any more, and sends again what was entered and never sent. Several services share the work: a chore is given to one of
//! them at a time, and to another if he dies over it.

pub(crate) mod alerts;
mod archiving;
mod documents;
mod retention;
pub(crate) mod stray;
#[cfg(test)]
mod tests;
mod webhooks;

use std::future::Future;
use std::time::Duration;

use celeriac_tasks::ledger::Chore;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinSet;

use crate::jobs::{Desk, Refusal};
pub(crate) use webhooks::Teller;

/// How often a list of chores is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After how long a chore that was begun is given to another.
const LEASE: Duration = Duration::from_secs(120);
/// How many webhooks are told at once. Everything else is done one after the other.
const TOLD_AT_ONCE: usize = 20;

/// Starts everything; it ends when the set is dropped.
pub(crate) fn start(desk: &Desk, teller: Teller, jobs_max: u64) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    if desk.archive.is_some() {
        loops.spawn(chores(desk.clone(), Chore::ARCHIVE, 1, archiving::archive));
    }
    loops.spawn(chores(desk.clone(), Chore::DELETED, 1, retention::deleted));
    loops.spawn(chores(desk.clone(), Chore::PAGES, 1, retention::pages));
    loops.spawn(retention::entries(desk.clone()));
    loops.spawn(chores(desk.clone(), Chore::DOCUMENTS, 1, stray::documents));
    loops.spawn(chores(desk.clone(), Chore::WEBHOOK, TOLD_AT_ONCE, move |desk, chore| {
        let teller = teller.clone();
        async move { teller.tell(&desk, &chore).await }
    }));
    loops.spawn(documents::watch(desk.clone()));
    loops.spawn(retention::count(desk.clone(), jobs_max));
    loops.spawn(stray::watch(desk.clone()));
    loops
}

/// Whether a chore is over, or to be done again after a while.
pub(crate) enum Done {
    Yes,
    Again(Chore, Duration),
}

/// Does one kind of chore as it becomes due, some at once. None is taken before it can be begun: a lease is that of one chore, and none
/// waits for another that takes long.
async fn chores<F, Fut>(desk: Desk, kind: &'static str, at_once: usize, work: F)
where
    F: Fn(Desk, Chore) -> Fut,
    Fut: Future<Output = Result<Done, Refusal>>,
{
    let mut begun = FuturesUnordered::new();
    loop {
        let free = at_once - begun.len();
        let due = desk.ledger.chores(kind, free, LEASE).await.unwrap_or_default();
        let more = due.len() == free;
        begun.extend(due.into_iter().map(|chore| one(&desk, kind, chore, &work)));
        tokio::select! {
            Some(()) = begun.next() => {}
            () = tokio::time::sleep(LOOK_EVERY), if !more => {}
        }
    }
}

async fn one<F, Fut>(desk: &Desk, kind: &str, chore: Chore, work: &F)
where
    F: Fn(Desk, Chore) -> Fut,
    Fut: Future<Output = Result<Done, Refusal>>,
{
    if let Err(refusal) = done(desk, &chore, work(desk.clone(), chore.clone())).await {
        // It is given again once its lease is over.
        tracing::warn!(job_id = chore.job_id, kind, reason = refusal.message(), "cannot do a chore; trying again later");
    }
}

async fn done(desk: &Desk, chore: &Chore, work: impl Future<Output = Result<Done, Refusal>>) -> Result<(), Refusal> {
    match work.await? {
        Done::Yes => Ok(desk.ledger.done(chore).await?),
        Done::Again(next, delay) => {
            desk.ledger.remind(&next, delay).await?;
            if next != *chore {
                desk.ledger.done(chore).await?;
            }
            Ok(())
        }
    }
}
