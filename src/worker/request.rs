//! A request is responsible for one delivery, from received to acked: wait, take a slot, run, settle. Only it acks.
//!
//! # Celery
//! `worker/request.py`. Difference: the steps move one value on, so that none can be skipped or done twice.

mod given_up;
mod judging;
mod log;
mod unique;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
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
use super::trace::{Concluding, Limits, OnWorkerLost, trace};
use super::window::{PATIENCE, Permit, Window};
use crate::app::App;
use crate::broker::{Delivery, Turn};
use crate::config::Seconds;
use crate::error::Result;
use crate::protocol::message::DecodeOptions;
use crate::protocol::meta::Meta;
use crate::protocol::state::State;
use crate::protocol::value::Value;
use crate::settlement::Disposal;
use crate::task::arguments::Arguments;
use crate::task::context::{Context, Environment, Stops};
use crate::task::outcome::Outcome;
use crate::task::registry::Task;
use crate::task::request::RequestInfo;
use crate::traces::Place;

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

/// How long what must not go back waits for a slot: as long as it takes.
const PATIENT: Duration = Duration::from_secs(365 * 86_400);

/// A slot, and how long it was waited for.
#[derive(Debug)]
struct Slot {
    permit: Permit,
    waited: Duration,
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

    /// Waits for the ETA and for a free slot; `None` when the worker stops first, or when no slot comes free for so long that another
    /// worker may have one.
    async fn slot(&self, info: &RequestInfo, tracked: &Tracked) -> Option<Slot> {
        let wait = info.eta().and_then(|eta| (eta - self.now()).to_std().ok()).unwrap_or_default();
        let ready = async {
            // Even a sleep of nothing lasts until the timer's next tick, a millisecond away.
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
                tracked.reserved();
            }
            let window = &self.shared.window;
            let since = Instant::now();
            match timeout(self.patience(info), window.slots.acquire()).await {
                Ok(permit) => permit.map(|permit| Slot { permit, waited: since.elapsed() }),
                Err(_) => {
                    window.waited();
                    None
                }
            }
        };
        tokio::select! {
            biased;
            () = self.shared.shutdown.stopping().cancelled() => None,
            slot = ready => slot,
        }
    }

    /// How long it waits for a slot: what has been given a turn keeps it.
    fn patience(&self, info: &RequestInfo) -> Duration {
        let limited = self.task(info).is_some_and(|task| self.shared.state.rates.limits(&self.shared, task));
        if limited { PATIENT } else { PATIENCE }
    }

    async fn start(&self, mut info: Box<RequestInfo>, tracked: &Tracked, slot: Slot) -> Left {
        let Some(task) = self.task(&info) else { return Left::HandBack };
        let limits = self.limits(&info, task);
        info.timelimit = limits.header();
        let late = task.options.acks_late.unwrap_or(self.shared.app.settings().task_acks_late);
        if !late && !self.shared.settler.ack(&self.delivery.tag, self.held_key(&info), &self.lost).await {
            return Left::Done;
        }
        tracked.accepted(info.task(), !late);
        self.shared.announcer.started(&info);
        self.shared.settler.started(&info, task).await;
        let place = Place { queue: &info.queue, hostname: &info.hostname, timelimit: info.timelimit };
        let span = self.shared.app.traces().map(|traces| traces.run(&mut info.message, place));
        let begun = Instant::now();
        let stops = tracked.stops();
        let context = Context::new(*info, Arc::clone(&self.shared.environment), stops.clone());
        let info = context.request();
        let call = Arguments { args: info.message.args.clone(), kwargs: info.message.kwargs.clone() };
        let run = task.handler.call(context.clone(), call);
        let ending = Concluding { task, request: info, on_worker_lost: self.on_worker_lost(task, late) };
        let mut outcome = trace(run, ending, limits, stops, self.cut_off(late, tracked)).await;
        if outcome == Outcome::Abandoned && tracked.signum().is_some() {
            outcome = Outcome::Revoked("terminated");
        }
        if let Some(span) = span {
            span.end(outcome.ended());
        }
        if outcome == Outcome::Abandoned {
            return Box::pin(self.abandoned(info, late)).await;
        }
        self.shared.window.ran(slot.waited, begun.elapsed());
        let _place = self.place_to_settle(slot.permit, late).await;
        let (outcome, spilled) = self.bounded(info, task, outcome).await;
        let runtime = begun.elapsed();
        self.shared.state.requests.ended(&outcome, runtime);
        log_outcome(info, &outcome, runtime);
        let announced = self.shared.announcer.ended(info, &outcome, runtime, tracked.signum());
        let tag = late.then_some(self.delivery.tag.as_str());
        let (children, added) = (context.children(), context.take_added());
        let disposal = self.disposal(task, info, &outcome);
        let ending = Ending { tag, children, added, disposal, spilled, ..self.ending(info, outcome) };
        self.settle(ending, &announced).await;
        Left::Done
    }

    /// Where a run that has ended is settled: in its slot, so that no more tasks run again after a crash than there are slots. What was acked
    /// before it ran never runs again; its slot is free for the next while its result is stored.
    async fn place_to_settle(&self, slot: Permit, late: bool) -> Option<Permit> {
        if late {
            return Some(slot);
        }
        self.shared.window.settling.acquire().await
    }

    /// Settles an ending, and tells of it if it counts.
    async fn settle(&self, ending: Ending<'_>, told: &Told) {
        let info = ending.info;
        if self.shared.settler.settle(ending, &self.lost).await {
            self.shared.announcer.tell(info, told);
        }
    }

    /// The outcome as it can be stored, and what is stored in the place of a value that is too large. Of what nobody wants nothing is stored.
    async fn bounded(&self, info: &RequestInfo, task: &Task, outcome: Outcome) -> (Outcome, Option<Value>) {
        match info.is_chord_part() || !self.shared.settler.ignores(info, task) {
            true => self.shared.settler.large().bound(outcome).await,
            false => (outcome, None),
        }
    }

    fn on_worker_lost(&self, task: &Task, late: bool) -> OnWorkerLost {
        let (options, settings) = (&task.options, self.shared.app.settings());
        OnWorkerLost {
            reject: late && options.reject_on_worker_lost.or(settings.task_reject_on_worker_lost).unwrap_or(false),
            retry: options.retry_on_worker_lost.unwrap_or(settings.task_retry_on_worker_lost),
        }
    }

    /// What becomes of the message after a run.
    fn disposal(&self, task: &Task, info: &RequestInfo, outcome: &Outcome) -> Disposal {
        let (options, settings) = (&task.options, self.shared.app.settings());
        let acks_on_timeout = || options.acks_on_timeout.unwrap_or_else(|| settings.acks_on_timeout());
        let keeps_exhausted = || options.dead_letter_exhausted.unwrap_or(settings.celeriac.dead_letter_exhausted);
        match outcome {
            Outcome::Reject { requeue: true, .. } => Disposal::Requeue { raise_count: false },
            Outcome::Lost(_) => Disposal::Requeue { raise_count: true },
            Outcome::Failure(failure) if failure.exception.is_a("billiard.exceptions.TimeLimitExceeded") && !acks_on_timeout() => {
                Disposal::Requeue { raise_count: true }
            }
            Outcome::Failure(failure) if failure.exhausted && keeps_exhausted() => {
                let reason = format!("its retries are used up ({}): {}", info.retries(), failure.exception);
                tracing::error!("Task {}[{}] kept as a dead letter: {reason}", info.task(), info.id());
                self.kept(reason, info.lost_deliveries().saturating_add(1))
            }
            _ => Disposal::Ack,
        }
    }

    /// Ends when a run must be cut off: terminated, by a cold stop, or, while its message is not acked, by the loss of its lease.
    async fn cut_off(&self, late: bool, tracked: &Tracked) {
        let lost = async {
            tokio::select! {
                () = self.lost.cancelled(), if late => {}
                () = self.doubted.cancelled(), if late => {}
                else => std::future::pending().await,
            }
        };
        tokio::select! {
            () = lost => {}
            () = tracked.terminated() => {}
            () = self.shared.shutdown.cut_off().cancelled() => {}
        }
    }

    fn limits(&self, info: &RequestInfo, task: &Task) -> Limits {
        let settings = self.shared.app.settings();
        let asked = info.message.headers.timelimit;
        let seconds = |seconds: Option<f64>| seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let default = |limit: Option<Seconds>| limit.and_then(Seconds::limit);
        let (soft, hard) = self.shared.state.time_limits(info.task()).unwrap_or_else(|| {
            let (soft, hard) = (task.options.soft_time_limit, task.options.time_limit);
            (soft.or(default(settings.task_soft_time_limit)), hard.or(default(settings.task_time_limit)))
        });
        Limits { hard: seconds(asked.hard).or(hard), soft: seconds(asked.soft).or(soft) }
    }

    /// What becomes of a run that was cut off and not settled.
    async fn abandoned(&self, info: &RequestInfo, late: bool) -> Left {
        let (reason, left) = match () {
            () if late && self.lost.is_cancelled() => ("its lease was lost", Left::Done),
            () if late && self.doubted.is_cancelled() => ("its lease cannot be renewed", Left::HandBack),
            () if late => ("cold shutdown, it goes back to its queue", Left::HandBack),
            () => ("cold shutdown, and its message was acked before it ran", Left::Done),
        };
        tracing::warn!("Task {}[{}] was cut off: {reason}", info.task(), info.id());
        if self.shared.shutdown.cut_off().is_cancelled() {
            self.shared.state.cut_off.fetch_add(1, Relaxed);
        }
        self.shared.announcer.cancelled(info);
        if !late {
            self.shared.settler.cut_off(info, self.held_key(info)).await;
        }
        left
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
