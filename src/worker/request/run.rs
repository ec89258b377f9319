//! The run of a delivery that has its slot: under its limits, until it is settled or cut off, and what becomes of its message then.
//!
//! # Celery
//! `Request.execute` and the `on_…` methods of `worker/request.py`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::log::log_outcome;
use super::slot::Slot;
use super::{Left, Request};
use crate::config::Seconds;
use crate::protocol::value::Value;
use crate::settlement::Disposal;
use crate::task::arguments::Arguments;
use crate::task::context::Context;
use crate::task::outcome::Outcome;
use crate::task::registry::Task;
use crate::task::request::RequestInfo;
use crate::traces::Place;
use crate::worker::settle::Ending;
use crate::worker::state::Tracked;
use crate::worker::trace::{Concluding, Limits, OnWorkerLost, trace};
use crate::worker::window::Permit;

impl Request {
    /// Starts a suspect; if its process dies now, it was the cause.
    pub(super) async fn start_alone(&self, info: Box<RequestInfo>, tracked: &Tracked, slot: Slot) -> Left {
        match self.shared.app.broker().run_alone(&self.delivery).await {
            Ok(true) => self.start(info, tracked, slot).await,
            Ok(false) => Left::Done,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot mark a suspect; handing it back");
                Left::HandBack
            }
        }
    }

    pub(super) async fn start(&self, mut info: Box<RequestInfo>, tracked: &Tracked, slot: Slot) -> Left {
        let Some(task) = self.task(&info) else { return Left::HandBack };
        let limits = self.limits(&info, task);
        info.timelimit = limits.header();
        let late = task.options.acks_late.unwrap_or(self.shared.app.settings().task_acks_late);
        if !late && !self.shared.settler.ack(&self.delivery.tag, self.held_key(&info)).await {
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
        let (soft, hard) = self.shared.state.time_limits(&task.name).unwrap_or_else(|| {
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
}
