//! Deliveries that are not run and will not be: unknown tasks, and messages that are kept for a person to look at.
//!
//! # Celery
//! `on_unknown_task` and `on_invalid_task` of `worker/consumer`. Difference: what is given up is kept.

use std::time::Duration;

use super::{Left, Request};
use crate::broker::{Dead, DeadLetter, Delivery};
use crate::protocol::exception::Exception;
use crate::settlement::Disposal;
use crate::task::outcome::{Failure, Outcome};
use crate::task::request::RequestInfo;
use crate::worker::settle::Ending;

impl Request {
    pub(super) async fn unknown(&self, info: Box<RequestInfo>) -> Left {
        tracing::error!("Received unregistered task of type '{}'. The message has been ignored and discarded.", info.task());
        let failure = Failure::new(Exception::not_registered(info.task()));
        let key = self.held_key(&info);
        self.shared.settler.settle_unknown(&self.delivery.tag, &info, &failure, key, &self.lost).await;
        self.shared.announcer.unknown(&info, &failure);
        Left::Done
    }

    /// Gives a message up that was delivered too often: its state says so, its chord and errbacks are told, and it is kept for a person.
    pub(super) async fn give_up(&self, info: Box<RequestInfo>) -> Left {
        let deliveries = info.lost_deliveries();
        let reason = format!("delivered {deliveries} times and never settled: the process that runs it dies");
        tracing::error!("Task {}[{}] given up: {reason}", info.task(), info.id());
        let outcome = Outcome::Failure(Failure::new(Exception::worker_lost(&reason)));
        let announced = self.shared.announcer.ended(&info, &outcome, Duration::ZERO, None);
        let ending = Ending { disposal: self.kept(reason, deliveries), ..self.ending(&info, outcome) };
        self.settle(ending, &announced).await;
        Left::Done
    }

    /// Keeps a message that will not be run, for a person to look at.
    pub(super) async fn dead_letter(&self, reason: String, deliveries: u32) -> Left {
        let letter = self.letter(reason, deliveries);
        match self.shared.app.broker().dead_letter(&self.delivery.tag, &letter).await {
            Ok(_) => Left::Done,
            Err(_) => Left::HandBack,
        }
    }

    pub(super) fn letter(&self, reason: String, deliveries: u32) -> DeadLetter {
        DeadLetter { reason, nodename: self.shared.nodename.clone(), deliveries }
    }

    /// Keeps the message in the same step that settles it.
    pub(super) fn kept(&self, reason: String, deliveries: u32) -> Disposal {
        let Delivery { tag, queue, envelope } = self.delivery.clone();
        Disposal::DeadLetter(Box::new(Dead { id: tag, queue, envelope, letter: self.letter(reason, deliveries), time: self.now() }))
    }
}
