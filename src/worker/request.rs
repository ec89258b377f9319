//! A request is responsible for one delivery, from received to acked: wait, take a slot, run, settle. Only it acks.
//!
//! # Celery
//! `worker/request.py`. Difference: the steps move one value on, so that none can be skipped or done twice.

mod given_up;
mod judging;
mod log;
mod run;
mod slot;
mod unique;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::log::log_outcome;
use super::announce::{Announcer, Told};
use super::autoscale::Bounds;
use super::consumer::Reserved;
use super::settle::{Ending, Settler};
use super::shutdown::Shutdown;
use super::state::{Phase, Tracked, WorkerState};
use super::strategy::Verdict;
use super::suspects::{Admission, Suspects};
use super::window::{Permit, Window};
use crate::app::App;
use crate::broker::{Delivery, Turn};
use crate::error::Result;
use crate::protocol::message::DecodeOptions;
use crate::protocol::meta::Meta;
use crate::protocol::state::State;
use crate::protocol::value::Value;
use crate::settlement::Disposal;
use crate::task::context::{Context, Environment, Stops};
use crate::task::outcome::Outcome;
use crate::task::registry::Task;
use crate::task::request::RequestInfo;

/// What all requests of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) app: App,
    pub(super) nodename: String,
    pub(super) decode: DecodeOptions,
    pub(super) environment: Arc<Environment>,
    pub(super) settler: Settler,
    /// How many tasks run at once, and how many messages are held.
    pub(super) window: Arc<Window>,
    pub(super) state: Arc<WorkerState>,
    pub(super) announcer: Announcer,
    pub(super) shutdown: Shutdown,
    /// The bounds of the pool, where it sizes itself.
    pub(super) autoscale: Option<Arc<Bounds>>,
    /// Told when a message was parked.
    pub(super) parked: Arc<Notify>,
    /// Of those that may be what kills the worker, one runs at a time.
    pub(super) suspects: Suspects,
}

/// How a request left the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing more is to be done about its delivery.
    Done,
    /// It is still leased and must be handed back.
    HandBack,
}

/// One delivery.
#[derive(Debug)]
pub(super) struct Request {
    shared: Arc<Shared>,
    delivery: Delivery,
    /// Cancelled when the lease was lost.
    lost: CancellationToken,
    /// Cancelled when the lease may run out, because it cannot be renewed.
    doubted: CancellationToken,
    _held: Permit,
}

impl Request {
    pub(super) fn new(shared: Arc<Shared>, reserved: Reserved) -> Self {
        let Reserved { delivery, lost, doubted, permit } = reserved;
        Self { shared, delivery, lost, doubted, _held: permit }
    }

    /// The broker's clock: ETAs and expiries are judged by the one clock that parked messages come back by.
    fn now(&self) -> DateTime<Utc> {
        self.shared.app.broker().now()
    }

    /// The whole life of the delivery.
    pub(super) async fn live(self) -> Left {
        let shared = &self.shared;
        let verdict = match self.judged().await {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::error!(%error, "a message could not be judged; it comes back when its lease has run out");
                return Left::Done;
            }
        };
        match verdict {
            Verdict::Run(info) if !shared.state.revoked().holds(info.id()) => match self.known(&info).await {
                Some(value) => Box::pin(self.cut_short(&info, value)).await,
                None => self.admitted(info).await,
            },
            // The future of every delivery is as large as its largest branch; those that are rare lie beside it.
            verdict => Box::pin(self.without_a_run(verdict)).await,
        }
    }

    async fn without_a_run(&self, verdict: Verdict) -> Left {
        match verdict {
            Verdict::Park(info, due) if !self.shared.state.revoked().holds(info.id()) => self.park(info, due).await,
            Verdict::Run(info) | Verdict::Park(info, _) => self.end(&info, Outcome::Revoked("revoked")).await,
            Verdict::Expired(info) => self.end(&info, Outcome::Revoked("expired")).await,
            Verdict::Unknown(info) => self.unknown(info).await,
            Verdict::Poison(info) => self.give_up(info).await,
            Verdict::Discard(reason) => {
                tracing::error!(queue = %self.delivery.queue, %reason, "Received and deleted unknown message. Wrong destination?!?");
                self.dead_letter(reason, 0).await
            }
        }
    }

    /// The result of a call, where its author knows it without a run.
    async fn known(&self, info: &RequestInfo) -> Option<Value> {
        let short_cut = self.task(info)?.options.short_cut.as_ref()?;
        let environment = Arc::clone(&self.shared.environment);
        short_cut.answer(Context::new(info.clone(), environment, Stops::default())).await
    }

    /// Ends a call whose result is known.
    async fn cut_short(&self, info: &RequestInfo, value: Value) -> Left {
        tracing::debug!("Task {}[{}] is not run: its result is known", info.task(), info.id());
        self.shared.announcer.received(info);
        self.shared.window.ran(Duration::ZERO, Duration::ZERO);
        self.end(info, Outcome::Success(value)).await
    }

    async fn admitted(&self, info: Box<RequestInfo>) -> Left {
        match self.shared.suspects.admit(&info) {
            Admission::Runs(_place) => self.run_in_turn(info).await,
            Admission::Waits(time) => Box::pin(self.put_aside(self.now() + time)).await,
        }
    }

    async fn run_in_turn(&self, mut info: Box<RequestInfo>) -> Left {
        if let Some(left) = self.refused(&mut info).await {
            return left;
        }
        match self.turn(&info).await {
            Ok(Turn::Taken) => self.run(info).await,
            Ok(Turn::Deferred | Turn::Lost) => Left::Done,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot ask for a turn; handing the message back");
                Left::HandBack
            }
        }
    }

    /// Takes the task's turn, as its rate limit says.
    async fn turn(&self, info: &RequestInfo) -> Result<Turn> {
        let Some(task) = self.task(info).filter(|_| !info.message.properties.has_turn) else { return Ok(Turn::Taken) };
        let turn = self.shared.state.rates.take_turn(&self.shared, task, &self.delivery).await?;
        if turn == Turn::Deferred {
            // It holds nobody up any more, which is as good as a short run.
            self.shared.window.ran(Duration::ZERO, Duration::ZERO);
        }
        Ok(turn)
    }

    async fn park(&self, mut info: Box<RequestInfo>, due: DateTime<Utc>) -> Left {
        if let Some(left) = self.refused(&mut info).await {
            return left;
        }
        self.shared.announcer.received(&info);
        let _tracked = self.shared.state.requests.receive(info.id(), &self.delivery.envelope, Phase::Scheduled);
        self.put_aside(due).await
    }

    /// Moves the message out of the worker until it is due.
    async fn put_aside(&self, due: DateTime<Utc>) -> Left {
        match self.shared.app.broker().park(&self.delivery.tag, due).await {
            Ok(_) => {
                tracing::debug!(%due, "parked");
                self.shared.parked.notify_one();
                self.shared.window.ran(Duration::ZERO, Duration::ZERO);
                Left::Done
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot park a message; handing it back");
                Left::HandBack
            }
        }
    }

    async fn run(&self, info: Box<RequestInfo>) -> Left {
        tracing::info!("Task {}[{}] received", info.task(), info.id());
        self.shared.announcer.received(&info);
        let phase = if info.eta().is_some_and(|eta| eta > self.now()) { Phase::Scheduled } else { Phase::Reserved };
        let requests = &self.shared.state.requests;
        let tracked = requests.receive(info.id(), &self.delivery.envelope, phase);
        let Some(slot) = self.slot(&info, &tracked).await else { return Left::HandBack };
        if self.lost.is_cancelled() {
            return Left::Done;
        }
        if let Some(reason) = self.discards(&info, &tracked) {
            return Box::pin(self.end(&info, Outcome::Revoked(reason))).await;
        }
        match self.succeeded_before(&info).await {
            Some(meta) => Box::pin(self.follow_again(info, meta)).await,
            None if self.shared.suspects.is_suspect(&info) => Box::pin(self.start_alone(info, &tracked, slot)).await,
            None => self.start(info, &tracked, slot).await,
        }
    }

    /// Why a task is not run although its slot is free.
    fn discards(&self, info: &RequestInfo, tracked: &Tracked) -> Option<&'static str> {
        let mut revoked = self.shared.state.revoked();
        match () {
            () if info.expired(self.now()) => Some("expired"),
            () if tracked.signum().is_some() => Some("terminated"),
            () if revoked.holds(info.id()) || revoked.holds_stamps(info.stamps()) => Some("revoked"),
            () => None,
        }
    }

    /// What is stored of a redelivered task that succeeded before, with `worker_deduplicate_successful_tasks`.
    async fn succeeded_before(&self, info: &RequestInfo) -> Option<Meta> {
        let app = &self.shared.app;
        let late = self.task(info)?.options.acks_late.unwrap_or(app.settings().task_acks_late);
        if !(late && app.settings().worker_deduplicate_successful_tasks && info.redelivered()) {
            return None;
        }
        // What cannot be read now is run: twice is better than never.
        let stored = app.state_of(info.id()).await.ok().flatten();
        let mut meta = stored.filter(|meta| meta.status == State::Success)?;
        meta.result = self.shared.settler.large().value(meta.result).await.ok()?;
        Some(meta)
    }

    /// A task that succeeded before is not run; what follows it goes out if it has not yet, and its chord part counts once anyway.
    async fn follow_again(&self, mut info: Box<RequestInfo>, meta: Meta) -> Left {
        tracing::info!("Task {}[{}] ignored: Task already completed successfully.", info.task(), info.id());
        if meta.children.is_some_and(|children| !children.is_empty()) {
            (info.message.embed.callbacks, info.message.embed.chain) = (None, None);
        }
        self.end(&info, Outcome::Success(meta.result)).await
    }

    /// Settles an ending, and tells of it if it counts.
    async fn settle(&self, ending: Ending<'_>, told: &Told) {
        let info = ending.info;
        // What was acked before it ran has no lease to lose.
        let (never, acked) = (CancellationToken::new(), ending.tag.is_none());
        if self.shared.settler.settle(ending, if acked { &never } else { &self.lost }).await {
            self.shared.announcer.tell(info, told);
        }
    }

    /// Ends a delivery that is not run.
    async fn end(&self, info: &RequestInfo, outcome: Outcome) -> Left {
        let (outcome, spilled) = self.shared.settler.large().bound(outcome).await;
        if matches!(outcome, Outcome::Revoked(_)) {
            log_outcome(info, &outcome, Duration::ZERO);
        }
        let announced = self.shared.announcer.ended(info, &outcome, Duration::ZERO, None);
        self.settle(Ending { spilled, ..self.ending(info, outcome) }, &announced).await;
        Left::Done
    }

    /// The end of a delivery that was not acked yet and has left nothing behind.
    fn ending<'a>(&'a self, info: &'a RequestInfo, outcome: Outcome) -> Ending<'a> {
        let (children, added) = (Vec::new(), Vec::new());
        let (tag, disposal) = (Some(self.delivery.tag.as_str()), Disposal::Ack);
        let (task, key) = (self.task(info), self.held_key(info));
        Ending { tag, info, outcome, spilled: None, disposal, children, added, task, key }
    }

    fn task(&self, info: &RequestInfo) -> Option<&Task> {
        self.shared.app.registry().get(info.task())
    }
}
