//! Remote control, the sender's side: commands to the workers of a fleet, whatever language they are written in, and their replies. With
//! `celeriac.control_key` each command is signed.
//!
//! # Celery
//! `app/control.py: Control` and kombu's `pidbox.py`. Differences: requests are JSON, which every worker accepts, whatever
//! `task_serializer` says; nobody is waited for who did not hear the request, so that replies are there at once and not after the
//! whole time-out; the time-out is for all replies together, not for each.

mod call;
mod inspect;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

pub use self::call::{CallOptions, Matcher};
pub use self::inspect::Inspect;
use crate::broker::Broker;
use crate::config::Settings;
use crate::error::Result;
use crate::events::Clock;
use crate::producer::fresh_id;
use crate::protocol::control_key::{ControlKey, SIGNATURE, Signed};
use crate::protocol::pidbox::Request;
use crate::protocol::{DecodeOptions, Map, Value};
use crate::revocations::Revocations;

/// Sends commands to workers. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Control {
    broker: Arc<dyn Broker>,
    /// `<control_exchange>.pidbox`.
    exchange: Arc<str>,
    clock: Arc<Clock>,
    /// What replies may be written in.
    decode: DecodeOptions,
    /// How long replies that nobody reads are kept.
    expires: Duration,
    /// Keeps what is revoked for workers that are down.
    revocations: Revocations,
    /// Signs what is sent.
    key: Option<ControlKey>,
}

impl Control {
    pub(crate) fn new(broker: Arc<dyn Broker>, settings: &Settings, clock: Arc<Clock>, decode: DecodeOptions) -> Self {
        let exchange = format!("{}.pidbox", settings.control_exchange).into();
        let revocations = Revocations::new(Arc::clone(&broker), settings);
        let key = settings.celeriac.control_key.as_deref().map(ControlKey::new);
        Self { broker, exchange, clock, decode, expires: settings.control_queue_expires.duration(), revocations, key }
    }

    /// Looks at workers.
    pub fn inspect(&self) -> Inspect {
        Inspect::new(self.clone(), CallOptions::default())
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

    /// Sends a command to these nodes, or to all if none is named, and waits for nobody. Who does not listen now never hears it;
    /// only what is revoked on all nodes is kept on the broker, for celeriac workers that start or come back later.
    pub async fn broadcast(&self, method: &str, arguments: Map, destination: &[String]) -> Result<()> {
        let request = Request { method: method.to_owned(), arguments, destination: destination.to_vec(), ..Request::default() };
        self.send(request, None).await.map(drop)
    }

    /// How many heard it.
    async fn send(&self, mut request: Request, expires: Option<f64>) -> Result<usize> {
        if request.is_for_all() {
            self.revocations.keep(&request.method, &request.arguments).await?;
        }
        request.clock = self.clock.forward();
        let mut envelope = request.envelope(&self.exchange, expires, fresh_id());
        if let Some(key) = &self.key {
            let signed = Signed { at: Utc::now().timestamp(), nonce: fresh_id() };
            let signature = key.sign(&self.exchange, &signed, &envelope.body_bytes()?);
            envelope.headers.insert(SIGNATURE.to_owned(), signature.into());
        }
        self.broker.broadcast(&self.exchange, "", &envelope.write()).await
    }
}
