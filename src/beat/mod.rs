//! The scheduler: sends periodic tasks when they are due. Any number of them may run for safety: one leads, the others wait for its lead to end.
//!
//! A tick is decided on a state that was read, and sent and recorded in one step by who still leads and found that state: a scheduler that is
//! killed at any instant leaves it either sent or to be sent, and one that was overtaken sends nothing more.
//!
//! # Celery
//! `beat.py` and `apps/beat.py`. Differences: several may run; time is the broker's clock; what is known of the entries lies with the
//! broker, whatever `--schedule` and `--scheduler` say; a sending that fails for the connection's sake is repeated until it is done.

mod entry;
mod leader;
mod ping;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::leader::Leader;
use self::ping::Mailbox;
use crate::app::App;
use crate::outage::Outage;

/// How long a pass sleeps at most where nobody says: Celery's 5 minutes.
const MAX_INTERVAL: Duration = Duration::from_secs(300);
/// How often who waits looks whether the lead is free, at least: who leaves in good order gives it up before it ends.
const LOOK: Duration = Duration::from_secs(1);

/// What a scheduler is started with.
#[derive(Debug, Clone)]
pub struct BeatOptions {
    /// `celerybeat@host`.
    pub nodename: String,
    /// How long it sleeps at most, instead of `beat_max_loop_interval`.
    pub max_interval: Option<Duration>,
    /// Whether it answers `celery inspect ping`, instead of `beat_enable_remote_control`.
    pub remote_control: Option<bool>,
}

/// A scheduler of an app's `beat_schedule`.
#[derive(Debug)]
pub struct Beat {
    app: App,
    options: BeatOptions,
    /// Our name among those who want to lead: its own in every process.
    candidate: String,
    max_interval: Duration,
}

impl Beat {
    /// A scheduler of this app.
    pub fn new(app: App, options: BeatOptions) -> Self {
        let candidate = format!("{} {}", options.nodename, Uuid::new_v4().simple());
        let setting = app.settings().beat_max_loop_interval.limit();
        let max_interval = options.max_interval.filter(|interval| !interval.is_zero()).or(setting).unwrap_or(MAX_INTERVAL);
        Self { app, options, candidate, max_interval }
    }

    /// Sends what is due until `stop`, then gives the lead up.
    pub async fn run(self, stop: CancellationToken) {
        tracing::info!("beat: Starting...");
        let entries = self.app.settings().beat_schedule.iter().count();
        if entries == 0 {
            tracing::warn!("beat: `beat_schedule` is empty, there is nothing to send");
        }
        tracing::debug!(entries, "beat: Ticking with max interval->{:?}", self.max_interval);
        let (ticked, seen) = watch::channel(Instant::now());
        let mut answering = JoinSet::new();
        if self.options.remote_control.unwrap_or(self.app.settings().beat_enable_remote_control) {
            let mailbox = Mailbox::new(self.app.clone(), self.options.nodename.clone(), seen, self.max_interval);
            answering.spawn(mailbox.run(stop.clone()));
        }
        let mut outage = Outage::new("taking the lead");
        let mut waits = false;
        while !stop.is_cancelled() {
            let lease = self.app.settings().celeriac.lease.duration();
            let lead = outage.seen(self.app.broker().lead(&self.candidate, lease).await);
            ticked.send_replace(Instant::now());
            let pause = match lead {
                Some(lead) if lead.token.is_some() => {
                    waits = false;
                    let Some(leader) = Leader::new(&self, &lead) else { continue };
                    leader.run(&ticked, &stop).await;
                    continue;
                }
                Some(lead) => {
                    if !waits {
                        tracing::info!("beat: another scheduler leads; waiting in case it ends");
                    }
                    waits = true;
                    lead.expires_in.min(LOOK)
                }
                None => LOOK,
            };
            sleep(pause.min(self.max_interval), &stop).await;
        }
        tracing::info!("beat: Shutting down...");
        while answering.join_next().await.is_some() {}
    }
}

/// Sleeps, unless told to stop.
async fn sleep(length: Duration, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = tokio::time::sleep(length) => {}
    }
}
