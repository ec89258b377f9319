//! The event dispatcher is responsible for sending events without ever holding up who has something to tell.
//!
//! Whoever tells something puts it into a bounded queue; a loop with an owner sends it a moment later, with what else has come by then:
//! while tasks are short, a message for each event would cost more than the tasks. When the server is away or slow, events are lost and
//! nothing else.
//!
//! # Celery
//! `events/dispatcher.py` and kombu's `clocks.py`. Differences: task events are always grouped, up to 100 in a message; nothing is kept for
//! the time after an outage; a worker that was started with task events can have them switched off.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::Broker;
use crate::protocol::event::{Event, Stamp, TASK_MULTI, envelope};

/// How many task events travel in one message.
const BATCH: usize = 100;
/// How long the first of them waits for the others.
const GATHER: Duration = Duration::from_millis(10);
/// How many events wait to be sent; more are lost.
const WAITING: usize = 8192;
/// How long the last events may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// A Lamport clock: it goes up with each event or control message sent, and past each one received.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// What it shows.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on by one, for something that is sent.
    pub fn forward(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Goes past another's clock, which something received bore.
    pub fn adjust(&self, other: u64) -> u64 {
        let next = |own: u64| own.max(other).saturating_add(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| Some(next(own))).map_or(other, next)
    }
}

/// Takes events to be sent. Clones are one dispatcher.
#[derive(Debug, Clone)]
pub struct EventDispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hostname: String,
    clock: Arc<Clock>,
    /// Whether task events are sent; worker events always are.
    tasks: AtomicBool,
    pid: u32,
    waiting: mpsc::Sender<Written>,
}

/// Sends what a dispatcher takes.
#[derive(Debug)]
pub struct EventSender {
    broker: Arc<dyn Broker>,
    exchange: String,
    hostname: String,
    waiting: mpsc::Receiver<Written>,
}

/// An event as it is sent.
#[derive(Debug)]
struct Written {
    routing_key: Cow<'static, str>,
    text: String,
}

impl EventDispatcher {
    /// A dispatcher of this node, and what has to be run for it.
    pub fn new(broker: Arc<dyn Broker>, exchange: &str, hostname: &str, clock: Arc<Clock>, tasks: bool) -> (Self, EventSender) {
        let (sender, waiting) = mpsc::channel(WAITING);
        let (hostname, pid) = (hostname.to_owned(), std::process::id());
        let events = EventSender { broker, exchange: exchange.to_owned(), hostname: hostname.clone(), waiting };
        let inner = Inner { hostname, clock, tasks: AtomicBool::new(tasks), pid, waiting: sender };
        (Self { inner: Arc::new(inner) }, events)
    }

    /// Whether events of tasks are sent now.
    pub fn tasks_enabled(&self) -> bool {
        self.inner.tasks.load(Ordering::Relaxed)
    }

    /// Switches events of tasks; whether they were sent before.
    pub fn enable_tasks(&self, enabled: bool) -> bool {
        self.inner.tasks.swap(enabled, Ordering::Relaxed)
    }

    /// Sends an event; one of a task only if these are enabled. It is lost where too many wait already.
    pub fn send(&self, event: &Event) {
        let task = event.group() == "task";
        if task && !self.tasks_enabled() {
            return;
        }
        let Inner { hostname, clock, pid, waiting, .. } = &*self.inner;
        let stamp = Stamp { hostname, pid: *pid, clock: clock.forward(), time: Utc::now() };
        let routing_key = if task { TASK_MULTI.into() } else { event.routing_key().into() };
        drop(waiting.try_send(Written { routing_key, text: event.write(&stamp) }));
    }
}

impl EventSender {
    /// Sends until `stop`, and then what still waits.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut away = false;
        while let Some(events) = self.gather(&stop).await {
            self.send(events, &mut away).await;
        }
        self.waiting.close();
        let rest = async {
            let mut events = Vec::new();
            while self.waiting.recv_many(&mut events, WAITING).await > 0 {
                self.send(std::mem::take(&mut events), &mut away).await;
            }
        };
        drop(tokio::time::timeout(LAST, rest).await);
    }

    /// The next event, with those that come soon after it; `None` at the end.
    async fn gather(&mut self, stop: &CancellationToken) -> Option<Vec<Written>> {
        let first = tokio::select! {
            first = self.waiting.recv() => first?,
            () = stop.cancelled() => return None,
        };
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = stop.cancelled() => {}
        }
        let mut events = vec![first];
        events.extend(std::iter::from_fn(|| self.waiting.try_recv().ok()));
        Some(events)
    }

    /// Sends events in their order: neighbours that are of tasks in one list.
    async fn send(&self, events: Vec<Written>, away: &mut bool) {
        let mut events = events.into_iter().peekable();
        while let Some(Written { routing_key, text }) = events.next() {
            let mut body = text;
            if routing_key == TASK_MULTI {
                let more = std::iter::from_fn(|| events.next_if(|event| event.routing_key == TASK_MULTI));
                body = list(body, more.take(BATCH - 1));
            }
            let tag = Uuid::new_v4().to_string();
            let text = envelope(&self.exchange, &routing_key, &self.hostname, &body, tag).write();
            match self.broker.broadcast(&self.exchange, &routing_key, &text).await {
                Ok(_) => *away = false,
                Err(error) if !*away => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "events are lost until the broker is back");
                    *away = true;
                }
                Err(_) => {}
            }
        }
    }
}

/// Texts of JSON as one list.
fn list(first: String, more: impl Iterator<Item = Written>) -> String {
    let mut list = format!("[{first}");
    for event in more {
        list.push_str(", ");
        list.push_str(&event.text);
    }
    list.push(']');
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{Listener, Options};
    use crate::protocol::envelope::Envelope;
    use crate::protocol::json;
    use crate::protocol::value::Value;

    async fn next(listener: &mut Box<dyn Listener>) -> (Envelope, Value) {
        let envelope = Envelope::parse(&listener.next().await.unwrap().unwrap()).unwrap();
        let body = json::parse(&envelope.body_bytes().unwrap()).unwrap();
        (envelope, body)
    }

    #[test]
    fn a_clock_goes_on_by_one_and_past_what_it_hears() {
        let clock = Clock::default();
        assert_eq!((clock.forward(), clock.adjust(7), clock.adjust(3), clock.value()), (1, 8, 9, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn task_events_travel_together_in_their_order_and_up_to_100_of_them() {
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(Options::default()));
        let mut all = broker.listen("celeryev", "#").await.unwrap();
        let (events, sender) = EventDispatcher::new(Arc::clone(&broker), "celeryev", "w@h", Arc::default(), true);
        (0..106).for_each(|number| events.send(&Event::task_started(&number.to_string())));
        let stop = CancellationToken::new();
        stop.cancel();
        sender.run(stop).await;
        let (envelope, first) = next(&mut all).await;
        assert_eq!(envelope.delivery_info().unwrap().routing_key, "task.multi");
        let (_, second) = next(&mut all).await;
        assert_eq!((first.as_list().unwrap().len(), second.as_list().unwrap().len()), (100, 6));
        assert_eq!(second.as_list().unwrap()[5].get("uuid").and_then(Value::as_str), Some("105"));
        assert_eq!(second.as_list().unwrap()[5].get("clock").and_then(Value::as_i64), Some(106));
    }

    #[tokio::test(start_paused = true)]
    async fn a_switched_off_task_event_is_not_sent_and_a_worker_event_is() {
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(Options::default()));
        let mut all = broker.listen("celeryev", "#").await.unwrap();
        let (events, sender) = EventDispatcher::new(Arc::clone(&broker), "celeryev", "w@h", Arc::default(), false);
        events.send(&Event::task_started("1"));
        events.send(&Event::heartbeat_on_demand());
        assert!(!events.enable_tasks(true));
        events.send(&Event::task_started("2"));
        drop(events);
        sender.run(CancellationToken::new()).await;
        let (envelope, beat) = next(&mut all).await;
        assert_eq!(envelope.delivery_info().unwrap().routing_key, "worker.heartbeat");
        assert_eq!(beat.get("sw_ident").and_then(Value::as_str), Some("celeriac"));
        let (_, started) = next(&mut all).await;
        assert_eq!(started.as_list().unwrap()[0].get("uuid").and_then(Value::as_str), Some("2"));
    }
}
