//! Remote control is responsible for answering `inspect` and `control`: on a path of its own, so that a worker whose every slot is busy
//! answers at once.
//!
//! # Celery
//! `worker/pidbox.py` and `worker/control.py`, with their commands, replies and words. Difference: a panic of a command is an error like any
//! other.

mod arguments;
mod aside;
mod bounds;
mod change;
mod conf;
mod disabled;
mod gossip;
mod inspect;
mod mingle;
mod recall;
mod revoke;
mod signals;
mod signed;
mod stats;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::arguments::Arguments;
pub(super) use self::aside::Aside;
pub(super) use self::disabled::check as check_disabled;
pub(super) use self::gossip::vote;
pub(super) use self::mingle::Mingle;
pub(super) use self::recall::Recall;
pub(super) use self::signed::check as check_key;
use self::signed::{Guard, Standing};
use super::request::Shared;
use crate::app::ControlCall;
use crate::broker::Listener;
use crate::error::Error;
use crate::events::EventDispatcher;
use crate::protocol::envelope::Envelope;
use crate::protocol::exception::Exception;
use crate::protocol::pidbox::Request;
use crate::protocol::value::{Map, Value};

/// How long to wait before listening again where it was refused.
const AGAIN: Duration = Duration::from_secs(5);

/// How often the queue is bound anew: it is forgotten after an hour.
const BIND: Duration = Duration::from_secs(600);

/// How many answers may take their time at once.
const SLOW: usize = 64;

/// What a command answers: a value, or nothing at all (`shutdown`).
type Answer = Result<Option<Value>, Exception>;

/// What commands look at and change.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) shared: Arc<Shared>,
    pub(super) events: EventDispatcher,
    pub(super) aside: Aside,
    /// Told when requests may have been missed.
    pub(super) missed: Arc<Notify>,
}

/// Listens to requests and answers them.
#[derive(Debug)]
pub(super) struct Mailbox {
    panel: Arc<Panel>,
    exchange: String,
    guard: Guard,
    /// Answers that take their time.
    slow: JoinSet<()>,
    /// Opened before the worker asked the others what it has missed; `None` after that.
    opened: Option<Box<dyn Listener>>,
    /// When its queue is bound again.
    bind: Interval,
}

impl Mailbox {
    /// Begins with what was heard since this listener was opened, if it was.
    pub(super) fn new(panel: Panel, opened: Option<Box<dyn Listener>>) -> Self {
        let exchange = format!("{}.pidbox", panel.shared.app.settings().control_exchange);
        let guard = Guard::new(panel.shared.app.settings(), Utc::now());
        Self { panel: Arc::new(panel), exchange, guard, slow: JoinSet::new(), opened, bind: interval(BIND) }
    }

    /// Answers until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while let Some(mut listener) = self.listen(&stop).await {
            self.bind.reset_immediately();
            self.attend(&mut *listener, &stop).await;
        }
        drop(self.panel.aside.broker.unbind(&self.exchange, "", &self.queue()).await);
    }

    fn queue(&self) -> String {
        format!("{}.{}", self.panel.shared.nodename, self.exchange)
    }

    /// Binds its queue, for `celery list bindings` and its like: nothing is delivered by it. And forgets those of who vanished.
    async fn bind(&mut self) {
        let (broker, settings) = (&self.panel.aside.broker, self.panel.shared.app.settings());
        let expires = settings.control_queue_expires.duration();
        let bound = broker.bind(&self.exchange, "", &self.queue(), expires).await;
        if let Err(error) = bound.and(broker.forget_bindings().await) {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot bind the remote control queue");
        }
    }

    /// A listener; `None` when stopping.
    async fn listen(&mut self, stop: &CancellationToken) -> Option<Box<dyn Listener>> {
        if let Some(opened) = self.opened.take() {
            return Some(opened);
        }
        while !stop.is_cancelled() {
            match self.panel.aside.broker.listen(&self.exchange, "").await {
                Ok(listener) => return Some(listener),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no remote control; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
        None
    }

    async fn attend(&mut self, listener: &mut dyn Listener, stop: &CancellationToken) {
        let resumed = listener.resumed();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = self.slow.join_next() => {}
                _ = self.bind.tick() => self.bind().await,
                () = resumed.notified() => self.panel.missed.notify_one(),
                heard = listener.next() => match heard {
                    Ok(Some(envelope)) => self.receive(&envelope).await,
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "remote control broke off");
                        self.panel.missed.notify_one();
                        return;
                    }
                },
            }
        }
    }

    async fn receive(&mut self, envelope: &[u8]) {
        let shared = Arc::clone(&self.panel.shared);
        let read = Envelope::parse(envelope).and_then(|envelope| Ok((Request::read(&envelope, &shared.decode)?, envelope)));
        let (request, envelope) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot read a remote control request");
                return;
            }
        };
        shared.state.clock.adjust(request.clock);
        if !request.concerns(&shared.nodename) {
            return;
        }
        tracing::debug!(ticket = request.ticket, "pidbox received method {}", request.method);
        let standing = self.guard.standing(&envelope, &self.exchange, Utc::now());
        if let Some(refusal) = standing.refusal(&request.method) {
            tracing::warn!(ticket = request.ticket, "Refused: {refusal}");
            // Who said it first gets the answer to that.
            if standing != Standing::Echo {
                self.panel.reply(&request, nok(refusal)).await;
            }
            return;
        }
        // What only looks, and waits for others while it does, holds nothing up; what changes the worker is done in the order it was said.
        if self.panel.only_looks(&request.method) && self.slow.len() < SLOW {
            let panel = Arc::clone(&self.panel);
            self.slow.spawn(async move { panel.answer(&request, &standing).await });
        } else {
            self.panel.answer(&request, &standing).await;
        }
    }
}

impl Panel {
    /// Whether a command may be answered later than those that came after it.
    fn only_looks(&self, method: &str) -> bool {
        matches!(method, "scheduled" | "dump_schedule" | "query_task" | "stats" | "report" | "conf" | "dump_conf")
            || self.shared.app.commands().contains(method)
    }

    /// Carries a request out and sends its reply.
    async fn answer(&self, request: &Request, standing: &Standing) {
        let called = AssertUnwindSafe(self.call(&request.method, &request.arguments, standing)).catch_unwind();
        let answer = called.await.unwrap_or_else(|_| Err(Exception::runtime_error(format!("{} panicked", request.method))));
        if answer.is_ok() {
            self.keep(request).await;
        }
        let value = match answer {
            Ok(Some(value)) => bounds::reply(&request.method, value),
            Ok(None) => return,
            Err(exception) => {
                tracing::error!("Error in remote control command {}: {exception}", request.method);
                nok(exception.to_string())
            }
        };
        self.reply(request, value).await;
    }

    async fn reply(&self, request: &Request, value: Value) {
        let shared = &self.shared;
        let Some(to) = &request.reply_to else { return };
        let reply = to.envelope(
            &shared.nodename,
            value,
            request.ticket.as_deref(),
            shared.state.clock.forward(),
            Uuid::new_v4().to_string(),
        );
        let expires = shared.app.settings().control_queue_expires.duration();
        match self.aside.broker.reply(&to.exchange, &to.routing_key, &reply.write(), expires).await {
            Ok(0) => tracing::debug!("nobody waits any more for the reply to {}", request.method),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot reply to {}", request.method),
        }
    }

    /// Carries one command out.
    async fn call(&self, method: &str, map: &Map, standing: &Standing) -> Answer {
        disabled::refuse(&self.shared.app.settings().celeriac.control_disabled, method)?;
        let own = ControlCall { nodename: self.shared.nodename.clone(), arguments: map.clone() };
        if let Some(answer) = self.shared.app.commands().call(method, own) {
            return answer.await.map(Some);
        }
        let arguments = Arguments { method, map };
        let value = match method {
            "ping" => ok("pong"),
            "clock" => object([("clock", self.shared.state.clock.value().into())]),
            "registered" | "dump_tasks" => self.registered(arguments),
            "active" | "dump_active" => self.active(arguments),
            "reserved" | "dump_reserved" => self.reserved(),
            "scheduled" | "dump_schedule" => self.scheduled().await?,
            "query_task" => self.query_task(arguments).await?,
            "active_queues" => self.active_queues(),
            "revoked" | "dump_revoked" => self.revoked(),
            "hello" => self.hello(arguments, standing)?,
            "stats" => self.stats().await,
            "memsample" => stats::memsample().await,
            "memdump" => stats::memdump().await,
            "objgraph" => return Err(Exception::builtin("ImportError", "Requires the objgraph library")),
            "conf" | "dump_conf" => self.conf(arguments),
            "report" => self.report(),
            "revoke" => self.revoke(arguments).await?,
            "terminate" => self.terminate(arguments).await?,
            "revoke_by_stamped_headers" => self.revoke_by_stamped_headers(arguments)?,
            "rate_limit" => self.rate_limit(arguments)?,
            "time_limit" => self.time_limit(arguments),
            "enable_events" => self.enable_events(),
            "disable_events" => self.disable_events(),
            "heartbeat" => self.heartbeat(),
            "election" => arguments.required(["id", "topic"]).map(|_| Value::Null)?,
            "pool_grow" => self.pool_grow(arguments),
            "pool_shrink" => self.pool_shrink(arguments)?,
            "pool_restart" => self.pool_restart()?,
            "autoscale" => self.autoscale(arguments)?,
            "add_consumer" => self.add_consumer(arguments).await?,
            "cancel_consumer" => self.cancel_consumer(arguments)?,
            "shutdown" => {
                tracing::warn!("{}", arguments.text("msg").unwrap_or("Got shutdown from remote"));
                self.shared.shutdown.warm();
                return Ok(None);
            }
            unknown => return Err(Exception::builtin("KeyError", unknown)),
        };
        Ok(Some(value))
    }
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn ok(value: impl Into<Value>) -> Value {
    object([("ok", value.into())])
}

fn nok(text: impl Into<Value>) -> Value {
    object([("error", text.into())])
}

/// What went wrong with the broker or backend, for the sender.
fn failed(error: &Error) -> Exception {
    Exception::runtime_error(error.to_string())
}
