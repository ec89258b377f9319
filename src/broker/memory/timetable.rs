//! The timetable of one process: for tests, and for a program that schedules for itself.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::MemoryBroker;
use crate::broker::{Lead, Tick, Ticked, Timetable};
use crate::error::Result;

/// What schedulers keep.
#[derive(Debug, Default)]
pub(super) struct Table {
    lead: Option<Held>,
    leads: u64,
    entries: HashMap<String, String>,
}

#[derive(Debug)]
struct Held {
    token: String,
    candidate: String,
    until: Instant,
}

impl Table {
    fn is_led_by(&self, token: &str) -> bool {
        self.lead.as_ref().is_some_and(|held| held.token == token && held.until > Instant::now())
    }
}

/// A clock that stands still where tokio's does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
    time: DateTime<Utc>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), time: Utc::now() }
    }

    fn now(self) -> DateTime<Utc> {
        self.time + self.began.elapsed()
    }
}

#[async_trait]
impl Timetable for MemoryBroker {
    async fn lead(&self, candidate: &str, lease: Duration) -> Result<Lead> {
        let (now, instant) = (self.clock.now(), Instant::now());
        let table = &mut self.lock().timetable;
        let held = table.lead.take().filter(|held| held.until > instant);
        let token = match held {
            Some(held) if held.candidate != candidate => {
                let expires_in = held.until - instant;
                table.lead = Some(held);
                return Ok(Lead { token: None, now, expires_in });
            }
            Some(held) => held.token,
            None => {
                table.leads += 1;
                format!("{} {candidate}", table.leads)
            }
        };
        table.lead = Some(Held { token: token.clone(), candidate: candidate.to_owned(), until: instant + lease });
        Ok(Lead { token: Some(token), now, expires_in: lease })
    }

    async fn resign(&self, token: &str) -> Result<()> {
        let table = &mut self.lock().timetable;
        if table.is_led_by(token) {
            table.lead = None;
        }
        Ok(())
    }

    async fn entries(&self, token: &str, names: &[String], fresh: &str) -> Result<Option<HashMap<String, String>>> {
        let table = &mut self.lock().timetable;
        if !table.is_led_by(token) {
            return Ok(None);
        }
        table.entries.retain(|name, _| names.contains(name));
        for name in names {
            table.entries.entry(name.clone()).or_insert_with(|| fresh.to_owned());
        }
        Ok(Some(table.entries.clone()))
    }

    async fn tick(&self, tick: &Tick) -> Result<Ticked> {
        Ok(self.change(|state, options| {
            if !state.timetable.is_led_by(&tick.token) {
                return Ticked::NotLeader;
            }
            match state.timetable.entries.get_mut(&tick.entry) {
                Some(known) if *known == tick.before => known.clone_from(&tick.after),
                _ => return Ticked::Stale,
            }
            tick.messages.iter().for_each(|message| state.push(message, options));
            Ticked::Sent
        }))
    }
}
