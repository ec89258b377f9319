//! The scheduler while it leads: keeps the lead, sends what is due, sleeps until the next.
//!
//! # Celery
//! `beat.py: Scheduler.tick` and `apply_entry`, with its log lines. Differences: the heap is a look at every entry, which are few; nothing is
//! looked at 10 ms early; a task that cannot be made into a message counts as run, as there, and its error is logged once a run.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Beat;
use super::entry::{Entry, State, zone};
use crate::broker::{Lead, Tick, Ticked};
use crate::config::Seconds;
use crate::error::{Error, Result};
use crate::outage::Outage;
use crate::producer::{Origin, Prepared};
use crate::schedules::Moment;

/// How long to wait before a sending that failed is repeated.
const AGAIN: Duration = Duration::from_millis(500);

/// The broker's clock, as it was read once.
#[derive(Debug, Clone, Copy)]
struct Clock {
    time: DateTime<Utc>,
    at: Instant,
}

impl Clock {
    fn now(self) -> DateTime<Utc> {
        (self.time + self.at.elapsed()).trunc_subsecs(6)
    }
}

/// A scheduler that leads.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    beat: &'a Beat,
    token: String,
    clock: Clock,
    lease: Duration,
    /// When the lead is to be renewed.
    renew: Instant,
    entries: Vec<Entry>,
    /// Whether what lies with the broker has been read.
    read: bool,
    outage: Outage,
}

/// What a pass came to.
enum Pass {
    /// Everything that was due is sent; so long until the next.
    Sleep(Duration),
    /// The lead is another's.
    Lost,
}

impl<'a> Leader<'a> {
    /// From the moment the lead is ours.
    pub(super) fn new(beat: &'a Beat, lead: &Lead) -> Option<Self> {
        let settings = beat.app.settings();
        let clock = Clock { time: lead.now, at: Instant::now() };
        let fresh = State::fresh(clock.now());
        let entry = |(name, spec): (&str, &_)| Entry {
            name: name.to_owned(),
            spec: Clone::clone(spec),
            state: fresh.clone(),
            text: String::new(),
        };
        let lease = settings.celeriac.lease.duration();
        Some(Self {
            beat,
            token: lead.token.clone()?,
            clock,
            lease,
            renew: clock.at + lease / 3,
            entries: settings.beat_schedule.iter().map(entry).collect(),
            read: false,
            outage: Outage::new("sending periodic tasks"),
        })
    }

    /// Until the lead is lost, or `stop`.
    pub(super) async fn run(mut self, ticked: &watch::Sender<Instant>, stop: &CancellationToken) {
        tracing::info!(token = self.token, "beat: leading");
        while !stop.is_cancelled() {
            let passed = self.pass().await;
            let pause = match self.outage.seen(passed) {
                Some(Pass::Lost) => {
                    tracing::warn!("beat: the lead was lost to another scheduler, or ended while this one stood still");
                    return;
                }
                Some(Pass::Sleep(pause)) => {
                    ticked.send_replace(Instant::now());
                    pause
                }
                None => AGAIN,
            };
            tracing::debug!("beat: Waking up in {pause:?}.");
            super::sleep(pause, stop).await;
        }
        if let Err(error) = self.beat.app.broker().resign(&self.token).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot give the lead up: it ends by itself");
        }
    }

    async fn pass(&mut self) -> Result<Pass> {
        if Instant::now() >= self.renew && !self.keep().await? {
            return Ok(Pass::Lost);
        }
        if !self.read && !self.read().await? {
            return Ok(Pass::Lost);
        }
        let mut next = TimeDelta::from_std(self.beat.max_interval).unwrap_or(TimeDelta::MAX);
        let mut failed = None;
        for number in 0..self.entries.len() {
            let moment = self.moment();
            let due = self.entries[number].is_due(&moment);
            if !due.is_due {
                next = next.min(due.next);
                continue;
            }
            // One entry's queue may be broken for ever; the others go on.
            match self.tick(number, moment.now).await {
                Ok(Ticked::Sent) => next = next.min(self.entries[number].is_due(&self.moment()).next),
                Ok(Ticked::Stale) => self.read = false,
                Ok(Ticked::NotLeader) => return Ok(Pass::Lost),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if !self.read => Ok(Pass::Sleep(Duration::ZERO)),
            None => Ok(Pass::Sleep(next.to_std().unwrap_or_default().min(self.renew - Instant::now()))),
        }
    }

    /// Renews the lead; false: it is another's, or it ended in between.
    async fn keep(&mut self) -> Result<bool> {
        let asked = Instant::now();
        let lead = self.beat.app.broker().lead(&self.beat.candidate, self.lease).await?;
        self.clock = Clock { time: lead.now, at: Instant::now() };
        self.renew = asked + self.lease / 3;
        match lead.token {
            Some(token) if token == self.token => Ok(true),
            // It ended while nobody else wanted it: another lead, under which all is read anew.
            Some(token) => {
                (self.token, self.read) = (token, false);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Reads what is known of the entries; false: the lead is another's.
    async fn read(&mut self) -> Result<bool> {
        let names: Vec<String> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        let now = self.clock.now();
        let fresh = State::fresh(now).write();
        let Some(mut known) = self.beat.app.broker().entries(&self.token, &names, &fresh).await? else { return Ok(false) };
        for entry in &mut self.entries {
            if let Some(text) = known.remove(&entry.name) {
                entry.known(text, now);
            }
        }
        self.read = true;
        Ok(true)
    }

    async fn tick(&mut self, number: usize, now: DateTime<Utc>) -> Result<Ticked> {
        let entry = &self.entries[number];
        let after = entry.state.next(&entry.spec.schedule, now);
        let prepared = match self.prepare(entry, &after).await {
            Ok(prepared) => Some(prepared),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(entry = entry.name, error = cause, "Couldn't apply scheduled task {}", entry.name);
                None
            }
        };
        let tick = Tick {
            token: self.token.clone(),
            entry: entry.name.clone(),
            before: entry.text.clone(),
            after: after.write(),
            messages: prepared.as_ref().map(|prepared| prepared.outgoing.clone()).unwrap_or_default(),
        };
        let ticked = self.beat.app.broker().tick(&tick).await?;
        if ticked == Ticked::Sent {
            let entry = &mut self.entries[number];
            (entry.state, entry.text) = (after, tick.after);
            if let Some(prepared) = prepared {
                tracing::info!("Scheduler: Sending due task {} ({})", entry.name, entry.spec.task);
                tracing::debug!("{} sent. id->{}", entry.spec.task, prepared.id());
                self.beat.app.producer().announce(&prepared).await;
            }
        }
        Ok(ticked)
    }

    async fn prepare(&self, entry: &Entry, after: &State) -> Result<Prepared, Error> {
        self.beat.app.producer().prepare(entry.call(after), Origin::default()).await
    }

    fn moment(&self) -> Moment {
        let settings = self.beat.app.settings();
        let deadline = settings.beat_cron_starting_deadline.map(Seconds::duration);
        let deadline = deadline.and_then(|deadline| TimeDelta::from_std(deadline).ok());
        Moment { now: self.clock.now(), zone: zone(settings.timezone), deadline }
    }
}
