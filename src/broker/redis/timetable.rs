//! The timetable in Redis: a lead that expires by itself, and one hash of states.
//!
//! # Celery
//! Has none there; see [`crate::broker::Timetable`]. `celery-redbeat` keeps its entries in Redis under keys of its own.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;

use super::RedisBroker;
use crate::broker::{Lead, Tick, Ticked, Timetable};
use crate::connection::Script;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Scripts {
    lead: Script,
    resign: Script,
    entries: Script,
    tick: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            lead: Script::new(include_str!("lead.lua")),
            resign: Script::new(include_str!("resign.lua")),
            entries: Script::new(include_str!("entries.lua")),
            tick: Script::new(include_str!("tick.lua")),
        }
    }
}

#[async_trait]
impl Timetable for RedisBroker {
    async fn lead(&self, candidate: &str, lease: Duration) -> Result<Lead> {
        let (keys, scripts) = (&self.shared.keys, &self.shared.scripts.timetable);
        let milliseconds = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(1);
        let call = scripts.lead.call(&[&keys.beat_lead, &keys.beat_leads]).arg(candidate).arg(milliseconds);
        let (token, seconds, micros, left): (String, i64, u32, i64) = self.shared.link.call("taking the lead", &call).await?;
        let now =
            DateTime::from_timestamp(seconds, micros * 1000).ok_or_else(|| Error::protocol("the server's clock is no date"))?;
        let expires_in = Duration::from_millis(left.try_into().unwrap_or_default());
        Ok(Lead { token: Some(token).filter(|token| !token.is_empty()), now, expires_in })
    }

    async fn resign(&self, token: &str) -> Result<()> {
        let call = self.shared.scripts.timetable.resign.call(&[&self.shared.keys.beat_lead]).arg(token);
        self.shared.link.call("giving the lead up", &call).await
    }

    async fn entries(&self, token: &str, names: &[String], fresh: &str) -> Result<Option<HashMap<String, String>>> {
        let (keys, scripts) = (&self.shared.keys, &self.shared.scripts.timetable);
        let call = scripts.entries.call(&[&keys.beat_lead, &keys.beat_entries]).arg(token).arg(fresh).arg(names);
        self.shared.link.call("reading the timetable", &call).await
    }

    async fn tick(&self, tick: &Tick) -> Result<Ticked> {
        let keys = &self.shared.keys;
        let mut call = self.shared.scripts.timetable.tick.call(&[&keys.beat_lead, &keys.beat_entries]);
        for argument in [&tick.token, &tick.entry, &tick.before, &tick.after] {
            call = call.arg(argument);
        }
        for message in &tick.messages {
            call = call.arg(keys.list(&message.queue, message.priority)).arg(&message.envelope);
        }
        match self.shared.link.call("sending a periodic task", &call).await? {
            1 => Ok(Ticked::Sent),
            0 => Ok(Ticked::NotLeader),
            2 => Ok(Ticked::Stale),
            other => Err(Error::protocol(format!("tick.lua answered {other}"))),
        }
    }
}
