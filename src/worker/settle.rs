//! Settle is responsible for everything that follows an outcome: one [`Settlement`], carried out in one step where broker and backend
//! share a server, and in the safe order (writes, chord part, messages, ack) where they do not.
//!
//! A write that fails because the server is away is tried again, apart from the task, until it succeeds or the lease is lost.
//!
//! # Celery
//! The second half of `app/trace.py`, `backends/base.py: mark_as_*` and `on_chord_part_return`. Difference: one step.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::errback::Errbacks;
use super::follow::{Follow, Follower, Report};
use super::large::LargeResults;
use crate::backend::Backend;
use crate::broker::Broker;
use crate::error::{Error, Result};
use crate::protocol::event::Event;
use crate::protocol::meta::{ResultTuple, group_key};
use crate::protocol::signature::Signature;
use crate::protocol::value::Value;
use crate::settlement::{ChordPart, ChordState, Disposal, HeldKey, KeyFate, Location, Outgoing, Settled, Settlement, Write};
use crate::task::outcome::{Failure, Outcome};
use crate::task::registry::Task;
use crate::task::request::RequestInfo;

/// How long to wait before asking again for a chord that another is closing.
const CHORD_BUSY: Duration = Duration::from_millis(500);

/// How long after a header's failure the body's is stored at the earliest. Celery's client looks at the header, then at the body, and
/// raises what it finds (`result.py: AsyncResult.get`): a body that fails between the two looks hides the member's own exception behind a
/// `ChordError`. Celery's worker takes longer than that anyway.
const HEADER_FIRST: Duration = Duration::from_millis(20);

/// A run that ended, and all that is known of it.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    /// The delivery; `None` when its message was acked before the run.
    pub(super) tag: Option<&'a str>,
    pub(super) info: &'a RequestInfo,
    pub(super) outcome: Outcome,
    /// What is stored in the place of its value, which is too large.
    pub(super) spilled: Option<Value>,
    /// What becomes of its message.
    pub(super) disposal: Disposal,
    /// The results of what the run sent.
    pub(super) children: Vec<ResultTuple>,
    /// What it adds to the chord it is a part of.
    pub(super) added: Vec<Signature>,
    /// `None` for a task that is not registered here.
    pub(super) task: Option<&'a Task>,
    /// The unique key it holds, which is freed unless it runs again.
    pub(super) key: Option<HeldKey>,
}

impl Ending<'_> {
    /// The settlement that ends it, with what is written and published.
    fn settlement(&self, writes: Vec<Write>, publish: Vec<Outgoing>, chord_part: Option<ChordPart>) -> Settlement {
        let (tag, disposal, key) = (self.tag.map(ToOwned::to_owned), self.disposal.clone(), self.key.clone());
        Settlement { tag, writes, chord_part, publish, disposal, key }
    }

    /// Whether its task is to run again: a retry that could be made, or its message goes back.
    fn comes_again(&self, followed: bool) -> bool {
        match (&self.outcome, &self.disposal, self.tag) {
            (_, Disposal::Requeue { .. }, Some(_)) => true,
            (Outcome::Retry(_), _, _) => followed,
            _ => false,
        }
    }
}

/// Carries settlements out.
#[derive(Debug)]
pub(super) struct Settler {
    broker: Arc<dyn Broker>,
    backend: Arc<dyn Backend>,
    /// Where the backend is, if it is on the broker's server.
    colocated: Option<Location>,
    follower: Follower,
    errbacks: Errbacks,
    large: LargeResults,
}

impl Settler {
    pub(super) async fn new(
        broker: Arc<dyn Broker>,
        backend: Arc<dyn Backend>,
        follower: Follower,
        errbacks: Errbacks,
        large: LargeResults,
    ) -> Result<Self> {
        let (here, there) = (broker.location().await?, backend.location().await?);
        let colocated = (here.server == there.server).then_some(there);
        if colocated.is_none() {
            tracing::info!(
                "broker and backend are on different servers: results are stored first and messages acked last, in separate steps"
            );
        }
        Ok(Self { broker, backend, colocated, follower, errbacks, large })
    }

    /// Acks before the run, which goes on holding its key; false when the delivery is not ours any more. An ack that was carried out and got
    /// no answer looks the same, also to who renews the lease: after such a try the task is run, for nobody else may have it.
    pub(super) async fn ack(&self, tag: &str, key: Option<HeldKey>) -> bool {
        let key = key.map(|key| HeldKey { fate: KeyFate::Run, ..key });
        let settlement = Settlement { key, ..Settlement::ack(tag) };
        let (settled, unheard) = self.carry_on(&settlement, &CancellationToken::new()).await;
        settled == Settled::Done || unheard
    }

    /// Stores `STARTED`, if the task wants it. A failure is not worth more than a line: the state that follows will be stored.
    pub(super) async fn started(&self, info: &RequestInfo, task: &Task) {
        if let Some(write) = self.follower.states().started(info, task)
            && let Err(error) = self.backend.apply(&[write]).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot store STARTED");
        }
    }

    /// Whether nobody wants the result of a call.
    pub(super) fn ignores(&self, info: &RequestInfo, task: &Task) -> bool {
        self.follower.states().ignored(info, Some(task))
    }

    /// Large results.
    pub(super) fn large(&self) -> &LargeResults {
        &self.large
    }

    /// Ends a run; false when another worker has taken the task over, so that nothing of this run counts.
    pub(super) async fn settle(&self, mut ending: Ending<'_>, lost: &CancellationToken) -> bool {
        let followed = self.follower.follow(&ending);
        if ending.comes_again(followed.is_ok()) {
            ending.key = ending.key.map(|key| HeldKey { fate: KeyFate::Keep, ..key });
        }
        let mut follow = followed.unwrap_or_else(|error| self.follower.cannot_follow(&ending, &error));
        // What is rare lies beside the future of every delivery, not in it.
        if !follow.calls.is_empty() {
            Box::pin(self.errbacks.call(std::mem::take(&mut follow.calls))).await;
        }
        if self.follower.states().compresses() {
            Box::pin(self.keep_successes(&mut follow.writes)).await;
        }
        self.settle_follow(&ending, follow, lost).await
    }

    /// Leaves out states of tasks that have succeeded already. Redis cannot look into a compressed one when it stores the next, so this is
    /// done before, as Celery does it always.
    async fn keep_successes(&self, writes: &mut Vec<Write>) {
        let keys: Vec<String> = writes.iter().filter_map(Write::state_key).map(str::to_owned).collect();
        let Ok(stored) = self.backend.get(&keys).await else { return };
        let succeeded: HashSet<String> = keys
            .into_iter()
            .zip(stored)
            .filter(|(_, meta)| self.follower.states().is_success(meta.as_deref()))
            .map(|(key, _)| key)
            .collect();
        writes.retain(|write| write.state_key().is_none_or(|key| !succeeded.contains(key)));
    }

    /// Stores `NotRegistered` for a task nobody here knows; its chord and errbacks are not told, as in Celery.
    pub(super) async fn settle_unknown(
        &self,
        tag: &str,
        info: &RequestInfo,
        failure: &Failure,
        key: Option<HeldKey>,
        lost: &CancellationToken,
    ) {
        let writes = self.follower.failure_only(info, failure);
        self.carry_out(&Settlement { writes, key, ..Settlement::ack(tag) }, lost).await;
    }

    /// Stores that a run whose message was acked early was cut off: nobody will run it again.
    pub(super) async fn cut_off(&self, info: &RequestInfo, key: Option<HeldKey>) {
        let writes = self.follower.cut_off(info);
        if let Err(error) = self.backend.apply(&writes).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot store the state of a task that was cut off");
        }
        // Once: nobody renews its lease any more, and its key is free when that has run out.
        let freed = Settlement { tag: None, key, ..Settlement::ack("") };
        if !freed.is_empty()
            && let Err(error) = self.try_once(&freed).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot free the unique key of a task that was cut off");
        }
    }

    /// Settles what follows. False when another worker has taken the task over.
    async fn settle_follow(&self, ending: &Ending<'_>, follow: Follow, lost: &CancellationToken) -> bool {
        if !follow.parts.is_empty() {
            return Box::pin(self.settle_parts(ending, follow, lost)).await;
        }
        let sent = follow.sent;
        let settlement = ending.settlement(follow.writes, follow.publish, None);
        self.settled(self.carry_out(&settlement, lost).await, ending.info, &sent).await
    }

    /// Settles a part of a chord: one that completes it is settled in two steps, and the delivery stays leased between them.
    async fn settle_parts(&self, ending: &Ending<'_>, follow: Follow, lost: &CancellationToken) -> bool {
        let info = ending.info;
        loop {
            let mut rest = follow.clone();
            let settled = loop {
                // All parts but the last are counted by themselves; mostly there is one, and it goes with everything else.
                let last = self.count_all_but_last(&mut rest, info).await;
                let part = last.as_ref().map(|report| report.count.clone());
                let settlement = ending.settlement(rest.writes.clone(), rest.publish.clone(), part);
                match (self.carry_out(&settlement, lost).await, last) {
                    (Settled::ChordComplete, Some(report)) => rest.append(self.close_chord(info, &report).await),
                    (settled, _) => break settled,
                }
            };
            if settled != Settled::ChordBusy {
                return self.settled(settled, info, &rest.sent).await;
            }
            tokio::time::sleep(CHORD_BUSY).await;
        }
    }

    /// Tells what came of a settlement, and whether it counts.
    async fn settled(&self, settled: Settled, info: &RequestInfo, sent: &[Event]) -> bool {
        if settled == Settled::Lost {
            tracing::warn!("Task {}[{}] was taken over by another worker; this run changes nothing", info.task(), info.id());
            return false;
        }
        self.follower.tell_sent(sent).await;
        true
    }

    async fn count_all_but_last(&self, follow: &mut Follow, info: &RequestInfo) -> Option<Report> {
        let mut parts = VecDeque::from(std::mem::take(&mut follow.parts));
        while parts.len() > 1
            && let Some(report) = parts.pop_front()
        {
            match self.backend.chord_part(&report.count).await {
                Ok(ChordState::Counted) => {}
                Ok(ChordState::Complete) => {
                    let mut closing = Box::pin(self.close_chord(info, &report)).await;
                    parts.extend(std::mem::take(&mut closing.parts));
                    follow.append(closing);
                }
                Ok(ChordState::Busy) | Err(_) => {
                    tokio::time::sleep(CHORD_BUSY).await;
                    parts.push_back(report);
                }
            }
        }
        parts.pop_front()
    }

    /// What follows a chord that is complete and ours; waits outages out.
    async fn close_chord(&self, info: &RequestInfo, report: &Report) -> Follow {
        loop {
            match self.try_close(info, report).await {
                Ok(follow) => return follow,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot close a chord; trying again"),
            }
            tokio::time::sleep(CHORD_BUSY).await;
        }
    }

    async fn try_close(&self, info: &RequestInfo, report: &Report) -> Result<Follow> {
        let group_id = &report.count.group_id;
        let entries = self.backend.chord_entries(group_id, self.follower.ordered()).await?;
        let structure = self.backend.get(&[group_key(group_id)]).await?.pop().flatten();
        let values = match self.follower.entries(&entries) {
            Ok(entries) => self.follower.join(self.large.parts(entries).await, structure.as_deref()),
            Err(failure) => Err(failure),
        };
        if values.is_err() {
            tokio::time::sleep(HEADER_FIRST).await;
        }
        let mut follow = self.follower.close_chord(info, report, values);
        let calls = std::mem::take(&mut follow.calls);
        // What is called in place is not fenced by the settlement: whoever has lost the claim leaves it to the one who has it.
        if !calls.is_empty() && self.backend.extend_claim(group_id, &report.count.token, self.follower.claim_s()).await? {
            self.errbacks.call(calls).await;
        }
        Ok(follow)
    }

    /// Carries one settlement out, waiting outages out. A refusal is tried again, too: the message must not be lost for it.
    async fn carry_out(&self, settlement: &Settlement, lost: &CancellationToken) -> Settled {
        self.carry_on(settlement, lost).await.0
    }

    /// The same; and whether a try got no answer, which may have been carried out.
    async fn carry_on(&self, settlement: &Settlement, lost: &CancellationToken) -> (Settled, bool) {
        if settlement.is_empty() {
            return (Settled::Done, false);
        }
        let (mut failing_since, mut unheard) = (None, false);
        loop {
            match self.try_once(settlement).await {
                Ok(settled) => {
                    if let Some(since) = failing_since.map(|since: tokio::time::Instant| since.elapsed()) {
                        tracing::info!(downtime = since.as_secs_f64(), "settling works again");
                    }
                    return (settled, unheard);
                }
                Err(error) => {
                    unheard |= error.is_transient();
                    if failing_since.is_none() {
                        tracing::warn!(error = &error as &dyn std::error::Error, "settling failed; trying again");
                        failing_since = Some(tokio::time::Instant::now());
                    }
                }
            }
            let pause = Duration::from_millis(fastrand::u64(50..1000));
            tokio::select! {
                biased;
                () = lost.cancelled() => return (Settled::Lost, unheard),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn try_once(&self, settlement: &Settlement) -> Result<Settled> {
        match &self.colocated {
            Some(location) => self.broker_settle(settlement, Some(location)).await,
            None => self.step_by_step(settlement).await,
        }
    }

    async fn broker_settle(&self, settlement: &Settlement, location: Option<&Location>) -> Result<Settled> {
        let mut settled = self.broker.settle(std::slice::from_ref(settlement), location).await;
        settled.pop().unwrap_or(Err(Error::Shutdown))
    }

    /// Two servers: what is stored first may be stored again by a repetition, so the ack comes last.
    async fn step_by_step(&self, settlement: &Settlement) -> Result<Settled> {
        if let Some(tag) = &settlement.tag
            && !self.broker.renew(std::slice::from_ref(tag)).await?.is_empty()
        {
            return Ok(Settled::Lost);
        }
        let (closes, writes): (Vec<Write>, Vec<Write>) =
            settlement.writes.iter().cloned().partition(|write| write.closes().is_some());
        self.backend.apply(&writes).await?;
        if let Some(part) = &settlement.chord_part {
            match self.backend.chord_part(part).await? {
                ChordState::Counted => {}
                ChordState::Complete => return Ok(Settled::ChordComplete),
                ChordState::Busy => return Ok(Settled::ChordBusy),
            }
        }
        for close in &closes {
            if let Some((group_id, token)) = close.closes()
                && !self.backend.extend_claim(group_id, token, self.follower.claim_s()).await?
            {
                return Ok(Settled::ChordBusy);
            }
        }
        let settled = self.broker_settle(settlement, None).await?;
        // A chord that is closed before its body is out could lose the body; one that is closed twice loses nothing.
        self.backend.apply(&closes).await?;
        Ok(settled)
    }
}
