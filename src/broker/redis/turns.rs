//! Rate limits: turns are given by the server, and a message without one waits in a list beside its own.
//!
//! # Celery
//! Has no such thing: its token buckets and the messages that wait for them are in each worker's memory.

use std::time::Duration;

use super::Shared;
use crate::broker::{Admitted, Delivery, RateLimit, Turn, envelope};
use crate::connection::{Call, command};
use crate::error::Result;

impl Shared {
    pub(super) async fn take_turn(&self, delivery: &Delivery, limit: &RateLimit<'_>) -> Result<Turn> {
        let list = self.keys.list(&delivery.queue, envelope::priority(&delivery.envelope));
        let keys = [self.keys.turns(limit), self.keys.limited.clone()];
        let call = self.turns(&keys, limit).arg("take").arg(&self.keys.unacked).arg(&self.keys.unacked_index);
        let call = call.arg(&delivery.tag).arg(list).arg(envelope::with_turn(&delivery.envelope));
        Ok(match self.link.call::<i64>("asking for a turn", &call).await? {
            1 => Turn::Taken,
            0 => Turn::Deferred,
            _ => Turn::Lost,
        })
    }

    pub(super) async fn admit(&self, limit: &RateLimit<'_>, queues: &[String], most: usize) -> Result<Admitted> {
        let lists: Vec<String> = self.keys.serving(queues).into_iter().map(|(list, _)| list).collect();
        let keys = [self.keys.turns(limit), self.keys.limited.clone()];
        let call = self.turns(&keys, limit).arg("admit").arg(most).arg(lists);
        let (count, wait): (usize, i64) = self.link.call("looking for turns", &call).await?;
        Ok(Admitted { count, next_in: u64::try_from(wait).ok().map(Duration::from_micros) })
    }

    pub(super) async fn limited(&self) -> Result<Vec<String>> {
        self.link.query("reading limited tasks", &command("SMEMBERS", &[&self.keys.limited])).await
    }

    fn turns<'a>(&'a self, keys: &[String], limit: &RateLimit<'_>) -> Call<'a> {
        let every = u64::try_from(limit.every.as_micros()).unwrap_or(u64::MAX);
        self.scripts.turn.call(keys).arg(every).arg(limit.name).arg(self.keys.waiting(limit.name))
    }
}
