//! Direct exchanges: who is bound under a routing key, and what reaches him.
//!
//! # Celery
//! kombu's `_lookup`, `_queue_bind` and `Channel._put`, for queues that expire, and its sweep. Differences: the sender says how long a reply
//! lives; bindings of ours are forgotten one by one, while in a busy fleet kombu's sets are refreshed by others for ever.

use std::time::Duration;

use redis::pipe;

use super::Shared;
use crate::broker::{Queue, envelope};
use crate::connection::command;
use crate::error::Result;

/// How long the binding of a queue that expires is kept at least: kombu's hour.
const LEAST_DEADLINE_MS: u128 = 3_600_000;
/// How many bindings one call forgets.
const SWEEP: usize = 1000;

impl Shared {
    /// What is bound to an exchange, by queue.
    pub(super) async fn bindings(&self, exchange: &str) -> Result<Vec<Queue>> {
        let [bindings, _] = self.keys.binding_sets(exchange);
        let members: Vec<String> = self.link.query("reading bindings", &command("SMEMBERS", &[&bindings])).await?;
        let mut queues: Vec<Queue> = members.iter().filter_map(|member| self.keys.queue_of(member, exchange)).collect();
        queues.sort_by(|a, b| (&a.name, &a.routing_key).cmp(&(&b.name, &b.routing_key)));
        Ok(queues)
    }

    /// The queues bound to an exchange under a routing key.
    pub(super) async fn bound(&self, exchange: &str, routing_key: &str) -> Result<Vec<String>> {
        let [bindings, _] = self.keys.binding_sets(exchange);
        let members: Vec<String> = self.link.query("reading bindings", &command("SMEMBERS", &[&bindings])).await?;
        let mut queues: Vec<String> = members.iter().filter_map(|member| self.keys.bound(member, routing_key)).collect();
        queues.sort();
        queues.dedup();
        Ok(queues)
    }

    pub(super) async fn reply(&self, exchange: &str, routing_key: &str, envelope: &str, expires: Duration) -> Result<usize> {
        let queues = self.bound(exchange, routing_key).await?;
        if queues.is_empty() {
            return Ok(0);
        }
        let priority = envelope::priority(envelope.as_bytes());
        let mut pipeline = pipe();
        pipeline.atomic();
        for queue in &queues {
            let list = self.keys.list(queue, priority);
            pipeline.cmd("LPUSH").arg(&list).arg(envelope).ignore();
            pipeline.cmd("PEXPIRE").arg(&list).arg(milliseconds(expires)).ignore();
        }
        self.link.pipeline::<()>("replying", &pipeline).await?;
        Ok(queues.len())
    }

    pub(super) async fn bind(&self, exchange: &str, routing_key: &str, queue: &str, expires: Duration) -> Result<()> {
        let (seconds, _): (u128, u128) = self.link.query("reading the server's clock", &command("TIME", &[])).await?;
        let deadline = seconds * 1000 + (2 * expires.as_millis()).max(LEAST_DEADLINE_MS);
        let [bindings, _] = self.keys.binding_sets(exchange);
        let member = self.keys.binding(routing_key, queue);
        let mut pipeline = pipe();
        pipeline.atomic();
        pipeline.cmd("SADD").arg(bindings).arg(&member).ignore();
        let ours = self.keys.binding_at(exchange, &member);
        pipeline.cmd("ZADD").arg(&self.keys.bindings_index).arg((deadline / 1000).to_string()).arg(ours).ignore();
        pipeline.cmd("ZADD").arg(self.keys.binding_deadlines()).arg("GT").arg(deadline.to_string()).arg(exchange).ignore();
        self.link.pipeline("binding a queue", &pipeline).await
    }

    pub(super) async fn forget_bindings(&self) -> Result<usize> {
        let keys = [self.keys.bindings_index.clone(), self.keys.binding_deadlines()];
        let [sets, lasting] = self.keys.binding_sets("");
        let call = self.scripts.sweep.call(&keys).arg(sets).arg(lasting).arg(&self.keys.options().sep).arg(SWEEP);
        self.link.call("forgetting bindings", &call).await
    }

    pub(super) async fn unbind(&self, exchange: &str, routing_key: &str, queue: &str) -> Result<()> {
        let member = self.keys.binding(routing_key, queue);
        let mut pipeline = pipe();
        pipeline.atomic();
        for set in self.keys.binding_sets(exchange) {
            pipeline.cmd("SREM").arg(set).arg(&member).ignore();
        }
        pipeline.cmd("ZREM").arg(&self.keys.bindings_index).arg(self.keys.binding_at(exchange, &member)).ignore();
        pipeline.cmd("DEL").arg(self.keys.lists(queue)).ignore();
        self.link.pipeline("unbinding a queue", &pipeline).await
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
