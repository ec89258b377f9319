//! Looking at a worker: its tasks, its requests, its queues.
//!
//! # Celery
//! The inspect commands of `worker/control.py` and `Request.info`. Difference: a task whose ETA is far lies parked in the broker, and each
//! worker that serves its queue shows it.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::arguments::Arguments;
use super::mingle::listed_ids;
use super::{Panel, Standing, bounds, failed, object};
use crate::broker::Parked;
use crate::canvas::limits;
use crate::protocol::envelope::Envelope;
use crate::protocol::event::seconds;
use crate::protocol::exception::Exception;
use crate::protocol::message::Message;
use crate::protocol::repr;
use crate::protocol::time::Timestamp;
use crate::protocol::value::{Map, Value};
use crate::revocations::texts;
use crate::task::registry::Task;
use crate::worker::state::{Held, Phase};

/// What is shown of a task where nothing else is asked for.
const DEFAULT_ITEMS: [&str; 3] = ["exchange", "routing_key", "rate_limit"];
/// How many parked messages are looked at.
const PARKED: usize = 1000;
/// How long a message may take from its queue to where it waits for its ETA, and how often that is waited for while queues are not empty.
const ON_THE_WAY: (Duration, usize) = (Duration::from_millis(20), 10);
/// The priority of a timer's entry in Celery.
const TIMER_PRIORITY: i64 = 6;

impl Panel {
    pub(super) fn registered(&self, arguments: Arguments<'_>) -> Value {
        let asked = arguments.get("taskinfoitems").map(texts).filter(|items| !items.is_empty());
        let items = asked.unwrap_or_else(|| DEFAULT_ITEMS.map(str::to_owned).to_vec());
        let registry = self.shared.app.registry();
        let names = registry.names().into_iter().filter(|name| arguments.flag("builtins") || !name.starts_with("celery."));
        let shown = names.filter_map(|name| {
            let task = registry.get(name)?;
            let pairs = items.iter().filter_map(|item| Some(format!("{item}={}", self.attribute(task, item)?)));
            let pairs: Vec<String> = pairs.collect();
            Some(if pairs.is_empty() { name.to_owned() } else { format!("{name} [{}]", pairs.join(" ")) })
        });
        shown.collect()
    }

    /// An attribute of a task as Python's `str` shows it, if it is set.
    fn attribute(&self, task: &Task, name: &str) -> Option<String> {
        let (options, settings) = (&task.options, self.shared.app.settings());
        let flag = |value: bool| Some(if value { "True" } else { "False" }.to_owned());
        let time = |value: Option<std::time::Duration>| value.map(|time| repr::float(time.as_secs_f64()));
        match name {
            "name" => Some(task.name.clone()),
            "queue" => options.queue.clone(),
            "rate_limit" => self.shared.state.rates.of(&self.shared.app, task).map(|rate| rate.as_str().to_owned()),
            "max_retries" => Some(options.max_retries.map_or_else(|| "3".to_owned(), |limit| limit.to_string())),
            "acks_late" => flag(options.acks_late.unwrap_or(settings.task_acks_late)),
            "ignore_result" => flag(options.ignore_result.unwrap_or(settings.task_ignore_result)),
            "track_started" => flag(options.track_started.unwrap_or(settings.task_track_started)),
            "send_events" => flag(options.send_events.unwrap_or(true)),
            "serializer" => Some(settings.task_serializer.clone()),
            "time_limit" => time(self.shared.state.time_limits(&task.name).map_or(options.time_limit, |(_, hard)| hard)),
            "soft_time_limit" => time(self.shared.state.time_limits(&task.name).map_or(options.soft_time_limit, |(soft, _)| soft)),
            "default_retry_delay" => time(options.default_retry_delay),
            _ => None,
        }
    }

    pub(super) fn active(&self, arguments: Arguments<'_>) -> Value {
        self.in_phase(Phase::Active, arguments.flag("safe"))
    }

    pub(super) fn reserved(&self) -> Value {
        self.in_phase(Phase::Reserved, false)
    }

    fn in_phase(&self, phase: Phase, safe: bool) -> Value {
        let held = self.shared.state.requests.all().into_iter().filter(|held| held.phase == phase);
        let shown: Vec<Value> = held.filter_map(|held| self.held_info(&held, safe)).collect();
        bounds::list(shown.into_iter(), |more| self.more(more))
    }

    /// The ids of what was revoked; where there are too many the youngest.
    pub(super) fn revoked(&self) -> Value {
        let ids: Vec<Value> = self.shared.state.revoked().ids().into_iter().map(Value::from).collect();
        match ids.iter().map(limits::size).sum::<u64>() > bounds::LIST {
            true => bounds::list(ids.into_iter().rev(), |more| more.into()),
            false => Value::List(ids),
        }
    }

    /// An entry in a list of tasks that says how many are missing: of the form of the others, for who reads them does not expect another.
    fn more(&self, more: &str) -> Value {
        self.info(&Message::new(more, more), None, false, None, false)
    }

    pub(super) async fn scheduled(&self) -> Result<Value, Exception> {
        let entry = |eta: Option<DateTime<Utc>>, request: Value| {
            let eta = eta.map(|eta| Timestamp::utc(eta).to_string());
            object([("eta", eta.into()), ("priority", Value::Int(TIMER_PRIORITY)), ("request", request)])
        };
        self.caught_up().await;
        let mut shown = Map::default();
        for held in self.shared.state.requests.all().into_iter().filter(|held| held.phase == Phase::Scheduled) {
            let eta = self.message(&held.envelope).and_then(|message| message.headers.eta);
            shown.extend(self.held_info(&held, false).map(|info| (held.id, entry(eta.map(|eta| eta.moment()), info))));
        }
        // One that is being parked right now may be held and parked already.
        for parked in self.parked().await? {
            shown.extend(self.parked_info(&parked).map(|(id, info)| (id, entry(Some(parked.due), info))));
        }
        Ok(bounds::list(shown.into_values(), |more| entry(None, self.more(more))))
    }

    /// Waits for what was sent before the question: Celery's worker reads messages and commands in one loop, and whoever sends a task for
    /// later and then asks what is scheduled sees it. Here a fetch may be on its way, and wakes are spread among workers.
    async fn caught_up(&self) {
        let queues = self.shared.state.queues.borrow().clone();
        let (pause, times) = ON_THE_WAY;
        for _ in 0..times {
            tokio::time::sleep(pause).await;
            // What a worker without a free slot leaves in its queues is not on its way.
            if self.shared.window.slots.free() == 0 {
                return;
            }
            let lengths = queues.iter().map(|queue| self.aside.broker.queue_len(queue));
            if futures::future::join_all(lengths).await.into_iter().all(|length| length.is_ok_and(|length| length == 0)) {
                return;
            }
        }
    }

    pub(super) async fn query_task(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [ids] = arguments.required(["ids"])?;
        let ids = texts(ids);
        let mut found = Map::default();
        for held in self.shared.state.requests.all().into_iter().filter(|held| ids.contains(&held.id)) {
            let phase = match held.phase {
                Phase::Active => "active",
                Phase::Reserved => "reserved",
                Phase::Scheduled => "scheduled",
            };
            if let Some(info) = self.held_info(&held, false) {
                found.insert(held.id, Value::List(vec![phase.into(), info]));
            }
        }
        if ids.iter().any(|id| !found.contains_key(id)) {
            for parked in self.parked().await? {
                if let Some((id, info)) = self.parked_info(&parked).filter(|(id, _)| ids.contains(id)) {
                    found.entry(id).or_insert_with(|| Value::List(vec!["scheduled".into(), info]));
                }
            }
        }
        Ok(Value::Map(found))
    }

    async fn parked(&self) -> Result<Vec<Parked>, Exception> {
        let queues = self.shared.state.queues.borrow().clone();
        self.aside.broker.parked(&queues, PARKED).await.map_err(|error| failed(&error))
    }

    fn held_info(&self, held: &Held, safe: bool) -> Option<Value> {
        let message = self.message(&held.envelope)?;
        let pid = held.time_start.map(|_| std::process::id());
        Some(self.info(&message, held.time_start, held.acknowledged, pid, safe))
    }

    fn parked_info(&self, parked: &Parked) -> Option<(String, Value)> {
        let message = self.message(&parked.envelope)?;
        Some((message.headers.id.clone(), self.info(&message, None, false, None, false)))
    }

    /// The task in an envelope.
    pub(super) fn message(&self, envelope: &Bytes) -> Option<Message> {
        Message::decode(Envelope::parse(envelope).ok()?, &self.shared.decode).ok()
    }

    /// A request as Celery shows it; `safe`, and where they are large: its arguments as text. Where their sender has them seen as something else, which is no
    /// list and no map (`argsrepr="***"`), they are shown as that.
    fn info(&self, message: &Message, begun: Option<DateTime<Utc>>, acknowledged: bool, pid: Option<u32>, safe: bool) -> Value {
        let (headers, properties) = (&message.headers, &message.properties);
        let hidden = |shown: &Option<String>| shown.clone().filter(|shown| !shown.starts_with(['(', '[', '{'])).map(Value::from);
        let large = |size: u64| safe || size > bounds::ARGUMENTS;
        let args = hidden(&headers.argsrepr).unwrap_or_else(|| match large(message.args.iter().map(limits::size).sum()) {
            true => repr::args(&message.args).into(),
            false => Value::List(message.args.clone()),
        });
        let kwargs = hidden(&headers.kwargsrepr).unwrap_or_else(|| match large(message.kwargs.values().map(limits::size).sum()) {
            true => repr::kwargs(&message.kwargs).into(),
            false => Value::Map(message.kwargs.clone()),
        });
        object([
            ("id", Value::from(&headers.id)),
            ("name", headers.shown_name().into()),
            ("args", args),
            ("kwargs", kwargs),
            ("type", Value::from(&headers.task)),
            ("hostname", Value::from(&self.shared.nodename)),
            ("time_start", begun.map(seconds).into()),
            ("acknowledged", acknowledged.into()),
            (
                "delivery_info",
                object([
                    ("exchange", Value::from(&properties.delivery_info.exchange)),
                    ("routing_key", Value::from(&properties.delivery_info.routing_key)),
                    ("priority", properties.priority.into()),
                    ("redelivered", properties.redelivered.into()),
                ]),
            ),
            ("worker_pid", pid.into()),
        ])
    }

    pub(super) fn active_queues(&self) -> Value {
        self.shared.state.queues.borrow().iter().map(|name| queue(name)).collect()
    }

    pub(super) fn hello(&self, arguments: Arguments<'_>, standing: &Standing) -> Result<Value, Exception> {
        let [from] = arguments.required(["from_node"])?;
        if from.as_str() == Some(self.shared.nodename.as_str()) {
            return Ok(Value::Null);
        }
        tracing::info!("sync with {}", from.as_str().unwrap_or_default());
        let mut revoked = self.shared.state.revoked();
        if standing.is_trusted() {
            // Stamps of another machine's clock mean nothing here: an id counts from now.
            revoked.add_unknown(arguments.get("revoked").map(listed_ids).unwrap_or_default());
        }
        Ok(object([("revoked", revoked.ids().into()), ("clock", self.shared.state.clock.forward().into())]))
    }
}

/// A queue as kombu shows it: bound to the direct exchange of its name.
fn queue(name: &str) -> Value {
    let null = || Value::Null;
    object([
        ("name", name.into()),
        (
            "exchange",
            object([
                ("name", name.into()),
                ("type", "direct".into()),
                ("arguments", null()),
                ("durable", true.into()),
                ("passive", false.into()),
                ("auto_delete", false.into()),
                ("delivery_mode", null()),
                ("no_declare", false.into()),
            ]),
        ),
        ("routing_key", name.into()),
        ("queue_arguments", null()),
        ("binding_arguments", null()),
        ("consumer_arguments", null()),
        ("durable", true.into()),
        ("exclusive", false.into()),
        ("auto_delete", false.into()),
        ("no_ack", false.into()),
        ("alias", null()),
        ("bindings", Value::List(Vec::new())),
        ("no_declare", null()),
        ("expires", null()),
        ("message_ttl", null()),
        ("max_length", null()),
        ("max_length_bytes", null()),
        ("max_priority", null()),
    ])
}
