//! The event dispatcher is responsible for sending events without ever holding up who has something to tell.
//!
//! Whoever tells something puts it into a bounded queue; a loop with an owner sends it. When the server is away or slow, events are
//! lost and nothing else.
//!
//! # Celery
//! `events/dispatcher.py` and kombu's `clocks.py`. Differences: task events are always grouped, up to 24 in a message; nothing is kept for
//! the time after an outage; a worker that was started with task events can have them switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::Broker;
use crate::protocol::event::{Event, Stamp, TASK_MULTI, envelope};
use crate::protocol::value::Value;

/// How many task events travel in one message.
const BATCH: usize = 24;
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
    waiting: mpsc::Sender<(String, Value)>,
}

/// Sends what a dispatcher takes.
#[derive(Debug)]
pub struct EventSender {
    broker: Arc<dyn Broker>,
    exchange: String,
    hostname: String,
    waiting: mpsc::Receiver<(String, Value)>,
}

impl EventDispatcher {
    /// A dispatcher of this node, and what has to be run for it.
    pub fn new(broker: Arc<dyn Broker>, exchange: &str, hostname: &str, clock: Arc<Clock>, tasks: bool) -> (Self, EventSender) {
        let (sender, waiting) = mpsc::channel(WAITING);
        let inner = Inner { hostname: hostname.to_owned(), clock, tasks: AtomicBool::new(tasks), waiting: sender };
        let sender = EventSender { broker, exchange: exchange.to_owned(), hostname: hostname.to_owned(), waiting };
        (Self { inner: Arc::new(inner) }, sender)
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
        let stamp =
            Stamp { hostname: &self.inner.hostname, pid: std::process::id(), clock: self.inner.clock.forward(), time: Utc::now() };
        let routing_key = if task { TASK_MULTI.to_owned() } else { event.routing_key() };
        drop(self.inner.waiting.try_send((routing_key, event.to_value(&stamp))));
    }
}

impl EventSender {
    /// Sends until `stop`, and then what still waits.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut away = false;
        let mut gathered = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                count = self.waiting.recv_many(&mut gathered, BATCH) => {
                    if count == 0 {
                        return;
                    }
                }
                () = stop.cancelled() => break,
            }
            self.send(std::mem::take(&mut gathered), &mut away).await;
        }
        self.waiting.close();
        let rest = async {
            while self.waiting.recv_many(&mut gathered, BATCH).await > 0 {
                self.send(std::mem::take(&mut gathered), &mut away).await;
            }
        };
        drop(tokio::time::timeout(LAST, rest).await);
    }

    /// Sends events in their order: neighbours that are of tasks in one list.
    async fn send(&self, events: Vec<(String, Value)>, away: &mut bool) {
        let mut events = events.into_iter().peekable();
        while let Some((routing_key, event)) = events.next() {
            let mut body = event;
            if routing_key == TASK_MULTI {
                let mut list = vec![body];
                while let Some((_, event)) = events.next_if(|(key, _)| key == TASK_MULTI) {
                    list.push(event);
                }
                body = Value::List(list);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{Listener, Options};
    use crate::protocol::envelope::Envelope;
    use crate::protocol::json;

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
    async fn task_events_travel_together_in_their_order_and_up_to_24_of_them() {
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(Options::default()));
        let mut all = broker.listen("celeryev", "#").await.unwrap();
        let (events, sender) = EventDispatcher::new(Arc::clone(&broker), "celeryev", "w@h", Arc::default(), true);
        (0..30).for_each(|number| events.send(&Event::task_started(&number.to_string())));
        let stop = CancellationToken::new();
        stop.cancel();
        sender.run(stop).await;
        let (envelope, first) = next(&mut all).await;
        assert_eq!(envelope.delivery_info().unwrap().routing_key, "task.multi");
        let (_, second) = next(&mut all).await;
        assert_eq!((first.as_list().unwrap().len(), second.as_list().unwrap().len()), (24, 6));
        assert_eq!(second.as_list().unwrap()[5].get("uuid").and_then(Value::as_str), Some("29"));
        assert_eq!(second.as_list().unwrap()[5].get("clock").and_then(Value::as_i64), Some(30));
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
