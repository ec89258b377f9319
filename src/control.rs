//! Remote control, the sender's side: commands to the workers of a fleet, whatever language they are written in.
//!
//! # Celery
//! `app/control.py: Control` and kombu's `pidbox.py`. Differences: nobody's reply is waited for here; requests are JSON, which every worker
//! accepts, whatever `task_serializer` says.

use std::sync::Arc;

use crate::broker::Broker;
use crate::error::Result;
use crate::producer::fresh_id;
use crate::protocol::{Envelope, Map, Value};

/// Sends commands to workers. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Control {
    broker: Arc<dyn Broker>,
    /// `<control_exchange>.pidbox`.
    exchange: Arc<str>,
}

impl Control {
    pub(crate) fn new(broker: Arc<dyn Broker>, control_exchange: &str) -> Self {
        Self { broker, exchange: format!("{control_exchange}.pidbox").into() }
    }

    /// Revokes tasks: no worker begins them any more, and each stores `REVOKED` for those it does not know. One that runs goes on.
    pub async fn revoke(&self, task_ids: &[String]) -> Result<()> {
        self.send_revoke(("task_id", task_ids.to_vec().into()), None, "revoke").await
    }

    /// Revokes tasks, and kills those that run with a signal, such as `SIGTERM`.
    pub async fn terminate(&self, task_ids: &[String], signal: &str) -> Result<()> {
        self.send_revoke(("task_id", task_ids.to_vec().into()), Some(signal), "revoke").await
    }

    /// Revokes every task that has one of these stamps with the same value, or one in common where they are lists. With a signal those
    /// that run are killed.
    pub async fn revoke_by_stamped_headers(&self, headers: Map, signal: Option<&str>) -> Result<()> {
        self.send_revoke(("headers", headers.into()), signal, "revoke_by_stamped_headers").await
    }

    async fn send_revoke(&self, (name, what): (&str, Value), signal: Option<&str>, method: &str) -> Result<()> {
        let arguments = [
            (name.to_owned(), what),
            ("terminate".to_owned(), signal.is_some().into()),
            ("signal".to_owned(), signal.unwrap_or("SIGTERM").into()),
        ];
        self.broadcast(method, arguments.into_iter().collect(), &[]).await
    }

    /// Sends a command to these nodes, or to all if none is named. Who does not listen now never hears it.
    pub async fn broadcast(&self, method: &str, arguments: Map, destination: &[String]) -> Result<()> {
        let destination = if destination.is_empty() { Value::Null } else { destination.to_vec().into() };
        let body = [
            ("method", method.into()),
            ("arguments", Value::Map(arguments)),
            ("destination", destination),
            ("pattern", Value::Null),
            ("matcher", Value::Null),
        ];
        let body = body.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // No logical clock is kept here: 0 leaves a worker's own as it is. Nobody waits for a reply, so nothing expires.
        let headers = Map::from_iter([("clock".to_owned(), 0.into()), ("expires".to_owned(), 0.into())]);
        let envelope = Envelope::transient(&self.exchange, "", headers, &Value::Map(body), fresh_id());
        self.broker.broadcast(&self.exchange, "", &envelope.write()).await
    }
}
