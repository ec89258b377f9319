//! The producer is responsible for turning signatures into messages in queues: it freezes a canvas, routes each message and encodes it.
//!
//! # Celery
//! `app/amqp.py` and `app/base.py: send_task`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::backend::Backend;
use crate::broker::{Broker, Queue};
use crate::canvas::{self, Applied, Plan, Publish};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::events::Clock;
use crate::metrics::{Metrics, Step, TaskLabels};
use crate::protocol::compression::Compression;
use crate::protocol::event::{self, Event, Stamp};
use crate::protocol::message::EncodeOptions;
use crate::protocol::meta::ResultTuple;
use crate::protocol::serializer::Serializer;
use crate::protocol::signature::Signature;
use crate::protocol::value::Map;
use crate::routing::{self, Address};
use crate::settlement::Outgoing;
use crate::traces::Traces;

/// Where a call comes from. Both are `None` outside a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origin {
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that sends.
    pub parent_id: Option<String>,
    /// The trace it belongs to, as headers.
    pub trace: Map,
}

/// What was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The id whose result is the canvas's.
    pub id: String,
    /// Its result tuple, as a parent's `children` hold it.
    pub result: ResultTuple,
}

/// What is ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    plan: Plan,
    /// Its messages, each once for each of its queues.
    pub(crate) outgoing: Vec<Outgoing>,
    addresses: Vec<Address>,
}

impl Prepared {
    /// The id whose result is the canvas's.
    pub(crate) fn id(&self) -> &str {
        &self.plan.id
    }
}

/// Sends tasks. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Producer {
    broker: Arc<dyn Broker>,
    backend: Arc<dyn Backend>,
    settings: Arc<Settings>,
    /// For the events it sends.
    clock: Arc<Clock>,
    /// The queues that tasks' authors chose, by task.
    queues: Arc<HashMap<String, String>>,
    /// Who we are, for the header of this name.
    origin: Arc<str>,
    /// The queues we made known.
    declared: Arc<Mutex<HashSet<String>>>,
    /// For `reply_to`, which Python's `rpc://` backend reads.
    reply_to: Arc<str>,
    metrics: Option<Arc<Metrics>>,
    traces: Option<Arc<Traces>>,
}

impl Producer {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        backend: Arc<dyn Backend>,
        settings: Arc<Settings>,
        clock: Arc<Clock>,
        queues: HashMap<String, String>,
    ) -> Self {
        let host = rustix::system::uname();
        let origin = format!("gen{}@{}", std::process::id(), host.nodename().to_string_lossy()).into();
        Self {
            broker,
            backend,
            settings,
            clock,
            queues: Arc::new(queues),
            origin,
            declared: Arc::default(),
            reply_to: fresh_id().into(),
            metrics: None,
            traces: None,
        }
    }

    /// What countdowns are counted from: the broker's clock, in a process that takes messages too.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.broker.now()
    }

    /// Counts what it sends, and makes spans of it.
    pub(crate) fn watched(self, metrics: Option<Arc<Metrics>>, traces: Option<Arc<Traces>>) -> Self {
        Self { metrics, traces, ..self }
    }

    /// Sends a task or canvas.
    pub async fn send(&self, signature: Signature, origin: Origin) -> Result<Sent> {
        let prepared = self.prepare(signature, origin).await?;
        // The chord is opened before its parts can end.
        self.backend.apply(&prepared.plan.writes).await?;
        self.publish(&prepared.outgoing).await?;
        self.announce(&prepared).await;
        Ok(Sent { id: prepared.plan.id, result: prepared.plan.result })
    }

    /// Everything of a sending but the sending: its queues are known, its messages are encoded.
    pub(crate) async fn prepare(&self, signature: Signature, origin: Origin) -> Result<Prepared> {
        let applied = Applied { root_id: origin.root_id, parent_id: origin.parent_id, trace: origin.trace, ..self.applied() };
        let plan = canvas::apply(signature, &applied, &mut fresh_id)?;
        let mut outgoing = Vec::with_capacity(plan.messages.len());
        let mut addresses = Vec::with_capacity(plan.messages.len());
        for publish in &plan.messages {
            let address = self.address(publish)?;
            self.declare(&address.queue).await?;
            let queues = match address.exchange.is_empty() {
                true => vec![address.routing_key.clone()],
                false => self.broker.bound(&address.exchange, &address.routing_key).await?,
            };
            outgoing.extend(self.outgoing(publish, &address, queues)?);
            addresses.push(address);
        }
        Ok(Prepared { plan, outgoing, addresses })
    }

    /// Tells that tasks were sent, if that is wanted.
    pub(crate) async fn announce(&self, prepared: &Prepared) {
        let sent = prepared.plan.messages.iter().zip(&prepared.addresses);
        let sent: Vec<Event> = sent.filter_map(|(publish, address)| self.sent(publish, address)).collect();
        self.tell_sent(&sent).await;
    }

    /// What tells that a message was sent, if `task_send_sent_event` says so.
    fn sent(&self, publish: &Publish, address: &Address) -> Option<Event> {
        let event = || Event::task_sent(&publish.message, &address.exchange, &address.routing_key, &address.queue.name);
        self.settings.task_send_sent_event.then(event)
    }

    /// Tells that tasks were sent. That nobody hears it is no reason to fail: the messages are in their queues.
    pub(crate) async fn tell_sent(&self, events: &[Event]) {
        for event in events {
            if let Err(error) = self.tell(&self.origin, event).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot tell that a task was sent");
                return;
            }
        }
    }

    /// Sends an event of this node by itself, at once.
    pub(crate) async fn tell(&self, hostname: &str, event: &Event) -> Result<()> {
        let exchange = &self.settings.event_exchange;
        let stamp = Stamp { hostname, pid: std::process::id(), clock: self.clock.forward(), time: Utc::now() };
        let routing_key = event.routing_key();
        let envelope = event::envelope(exchange, &routing_key, hostname, &event.write(&stamp), fresh_id());
        self.broker.broadcast(exchange, &routing_key, &envelope.write()).await.map(drop)
    }

    /// Makes a queue known before the first message to it, so that peers find it.
    async fn declare(&self, queue: &Queue) -> Result<()> {
        if self.declared.lock().unwrap_or_else(PoisonError::into_inner).contains(&queue.name) {
            return Ok(());
        }
        self.broker.declare(std::slice::from_ref(queue)).await?;
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).insert(queue.name.clone());
        Ok(())
    }

    /// Publishes, and tries again as `task_publish_retry_policy` says where the connection breaks.
    async fn publish(&self, messages: &[Outgoing]) -> Result<()> {
        let policy = &self.settings.task_publish_retry_policy;
        let (mut pause, mut tries) = (policy.interval_start.duration(), 0);
        loop {
            match self.broker.publish(messages).await {
                Err(error) if error.is_transient() && self.settings.task_publish_retry => {
                    if policy.max_retries.is_some_and(|most| tries >= most) {
                        return Err(error);
                    }
                }
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            tries += 1;
            pause = (pause + policy.interval_step.duration()).min(policy.interval_max.duration());
        }
    }

    /// The circumstances of every canvas this producer freezes.
    pub(crate) fn applied(&self) -> Applied {
        Applied {
            reply_to: Some(self.reply_to.to_string()),
            origin: Some(self.origin.to_string()),
            ttl: self.settings.chord_lifetime().map(|lifetime| lifetime.as_secs()),
            max_chord_parts: self.settings.celeriac.max_chord_parts,
            result_serializer: Serializer::from_name(&self.settings.result_serializer).unwrap_or_default(),
            errbacks_on_header: self.settings.task_allow_error_cb_on_chord_header,
            ..Applied::at(self.now())
        }
    }

    /// Routes and encodes messages, for who cannot ask the broker: to an exchange of a name they reach the queues of our own settings.
    /// With them come the events that tell of them, to be sent when they are ([`Self::tell_sent`]).
    pub(crate) fn encode(&self, messages: &[Publish]) -> Result<(Vec<Outgoing>, Vec<Event>)> {
        let (mut outgoing, mut sent) = (Vec::with_capacity(messages.len()), Vec::new());
        for publish in messages {
            let address = self.address(publish)?;
            let queues = match address.exchange.is_empty() {
                true => vec![address.routing_key.clone()],
                false => routing::bound(&self.settings, &address)?,
            };
            outgoing.extend(self.outgoing(publish, &address, queues)?);
            sent.extend(self.sent(publish, &address));
        }
        Ok((outgoing, sent))
    }

    fn address(&self, publish: &Publish) -> Result<Address> {
        let author = self.queues.get(&publish.message.headers.task);
        routing::address(&self.settings, publish, author.map(String::as_str))
    }

    /// One message, once for each of its queues.
    fn outgoing(&self, publish: &Publish, address: &Address, queues: Vec<String>) -> Result<impl Iterator<Item = Outgoing>> {
        let settings = &self.settings;
        let task = &publish.message.headers.task;
        let route = routing::route(settings, task);
        let usual = route.and_then(|route| route.priority).or(settings.task_default_priority).map(i64::from);
        let mut message = publish.message.clone();
        if let Some(traces) = &self.traces {
            traces.publish(&mut message, address);
        }
        message.properties.priority = publish.priority.or(usual).unwrap_or_default();
        let options = EncodeOptions {
            serializer: publish.serializer.or_else(|| Serializer::from_name(&settings.task_serializer)).unwrap_or_default(),
            compression: publish.compression.or_else(|| settings.task_compression.as_deref().and_then(Compression::from_name)),
            exchange: address.exchange.clone(),
            max_body_bytes: Some(settings.celeriac.max_body_bytes),
            ..EncodeOptions::to_queue(&address.routing_key, fresh_id())
        };
        let (priority, envelope) = (message.properties.priority, message.encode(&options)?.write());
        let most = settings.celeriac.max_message_bytes;
        if envelope.len() > most {
            let message = format!(
                "the message of {task} has {} bytes; at most {most} are sent (celeriac.max_message_bytes): pass a reference to large data",
                envelope.len()
            );
            return Err(Error::too_large(message));
        }
        if let Some(metrics) = &self.metrics {
            metrics.count(Step::Sent, TaskLabels { name: task, hostname: &self.origin, queue: &address.queue.name }, None);
        }
        Ok(queues.into_iter().map(move |queue| Outgoing { queue, priority, envelope: envelope.clone() }))
    }
}

/// A new task id.
pub(crate) fn fresh_id() -> String {
    Uuid::new_v4().to_string()
}
