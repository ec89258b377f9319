//! The strategy is responsible for deciding what to do with a message: a pure function from the delivery to a [`Verdict`].
//!
//! # Celery
//! `worker/strategy.py` and the checks at the top of `worker/request.py`. Differences: a far ETA is parked in the broker, and a message
//! that was delivered too often is given up before it runs.

use chrono::{DateTime, Duration, Utc};

use crate::broker::Delivery;
use crate::protocol::envelope::Envelope;
use crate::protocol::message::{DecodeOptions, Message};
use crate::task::registry::Registry;
use crate::task::request::RequestInfo;

/// A message whose ETA is nearer than this waits in the worker, in the place of one that could run.
const PARK_AHEAD: Duration = Duration::milliseconds(100);

/// So many bytes more than it was sent with a message may have: the marks of deliveries and turns.
const MARKS: usize = 1024;

/// What to do with a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Run it, not before its ETA.
    Run(Box<RequestInfo>),
    /// Put it away until then.
    Park(Box<RequestInfo>, DateTime<Utc>),
    /// It came too late.
    Expired(Box<RequestInfo>),
    /// No such task here.
    Unknown(Box<RequestInfo>),
    /// It is no task, or cannot be read: remove it, and leave no result.
    Discard(String),
    /// It was delivered too often: its process dies of it.
    Poison(Box<RequestInfo>),
}

/// What verdicts depend on beside the message.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) registry: &'a Registry,
    pub(super) decode: &'a DecodeOptions,
    pub(super) nodename: &'a str,
    pub(super) max_deliveries: u32,
    pub(super) max_message_bytes: usize,
}

impl Rules<'_> {
    /// Judges one delivery.
    pub(super) fn judge(&self, delivery: &Delivery, now: DateTime<Utc>) -> Verdict {
        let request = match self.read(delivery) {
            Ok(request) => request,
            Err(reason) => return Verdict::Discard(reason),
        };
        if self.registry.get(request.task()).is_none() {
            return Verdict::Unknown(request);
        }
        if self.gives_up(&request) {
            return Verdict::Poison(request);
        }
        if request.expired(now) {
            return Verdict::Expired(request);
        }
        match request.eta() {
            Some(eta) if eta - now > PARK_AHEAD => Verdict::Park(request, eta),
            _ => Verdict::Run(request),
        }
    }

    /// Whether a message has had its deliveries. The last must have died of it, and not of what its worker ran beside it while this one was
    /// not yet put aside; what never gets so far as to run has twice as many. With one delivery there is nothing to tell it by.
    fn gives_up(&self, request: &RequestInfo) -> bool {
        let (deaths, most) = (request.lost_deliveries(), self.max_deliveries);
        most > 0 && deaths >= most && (most == 1 || request.died_alone() || deaths >= most.saturating_mul(2))
    }

    fn read(&self, delivery: &Delivery) -> Result<Box<RequestInfo>, String> {
        let (size, most) = (delivery.envelope.len(), self.max_message_bytes);
        if size > most.saturating_add(MARKS) {
            return Err(format!("a message of {size} bytes; at most {most} are read (celeriac.max_message_bytes)"));
        }
        let envelope = Envelope::parse(&delivery.envelope).map_err(|error| error.to_string())?;
        let message = Message::decode(envelope, self.decode).map_err(|error| error.to_string())?;
        let timelimit = message.headers.timelimit;
        Ok(Box::new(RequestInfo { message, queue: delivery.queue.clone(), hostname: self.nodename.to_owned(), timelimit }))
    }
}
