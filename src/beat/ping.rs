//! The scheduler's remote control: it answers `ping` and nothing else, and no more when its schedule was not looked at for long.
//!
//! # Celery
//! `beat.py: BeatPidbox`. Differences: a scheduler that waits for the lead answers, too, for it is well.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Seconds;
use crate::outage::Outage;
use crate::producer::fresh_id;
use crate::protocol::pidbox::Request;
use crate::protocol::{Map, Value};

/// Before listening again where it was refused.
const AGAIN: Duration = Duration::from_secs(5);
/// No silence shorter than this counts, however short the sleeps are.
const MIN_AGE: Duration = Duration::from_secs(60);

/// Listens to requests.
#[derive(Debug)]
pub(super) struct Mailbox {
    app: App,
    nodename: String,
    exchange: String,
    /// When the schedule was last looked at.
    ticked: watch::Receiver<Instant>,
    /// After how long without a look it is silent; none: never.
    max_age: Option<Duration>,
}

impl Mailbox {
    pub(super) fn new(app: App, nodename: String, ticked: watch::Receiver<Instant>, max_interval: Duration) -> Self {
        let settings = app.settings();
        let max_age = match settings.beat_remote_control_max_tick_age {
            Some(age) => Seconds::limit(age),
            None => Some((max_interval * 2).max(MIN_AGE)),
        };
        let exchange = format!("{}.pidbox", settings.control_exchange);
        Self { app, nodename, exchange, ticked, max_age }
    }

    /// Answers until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut outage = Outage::new("beat's remote control");
        while !stop.is_cancelled() {
            let mut listener = outage.seen(self.app.broker().listen(&self.exchange, "").await);
            while let Some(open) = &mut listener {
                let heard = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    heard = open.next() => heard,
                };
                match outage.seen(heard).flatten() {
                    Some(envelope) => self.receive(&envelope).await,
                    None => listener = None,
                }
            }
            super::sleep(AGAIN, &stop).await;
        }
    }

    async fn receive(&self, envelope: &[u8]) {
        let Ok(request) = Request::decode(envelope, &self.app.decode_options()) else { return };
        self.app.clock().adjust(request.clock);
        if request.method != "ping" || !request.concerns(&self.nodename) {
            return;
        }
        let age = self.ticked.borrow().elapsed();
        if self.max_age.is_some_and(|most| age > most) {
            tracing::warn!(?age, "beat pidbox: not answering ping, the schedule was not looked at for too long");
            return;
        }
        let Some(to) = &request.reply_to else { return };
        let pong = Value::Map(Map::from_iter([("ok".to_owned(), "pong".into())]));
        let reply = to.envelope(&self.nodename, pong, request.ticket.as_deref(), self.app.clock().forward(), fresh_id());
        let expires = self.app.settings().control_queue_expires.duration();
        if let Err(error) = self.app.broker().reply(&to.exchange, &to.routing_key, &reply.write(), expires).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "beat pidbox: cannot reply to ping");
        }
    }
}
