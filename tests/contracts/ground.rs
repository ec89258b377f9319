//! What a contract is tested on: a broker and a backend that are one server, their time, and what cannot be seen through the contracts.

use std::sync::Arc;
use std::time::Duration;

use celeriac::backend::{self, Backend};
use celeriac::broker::memory::{MemoryBroker, pair};
use celeriac::broker::{self, Broker, Consumer, ConsumerOptions, Delivery};
use celeriac::settlement::{Disposal, Location, Outgoing, Settled, Settlement, Write};
use redis::Commands;
use tokio_util::sync::CancellationToken;

use crate::redis_server::RedisServer;

/// The lease of every test.
pub(crate) const LEASE: Duration = Duration::from_secs(12);

/// A time that both brokers' clocks tell apart.
pub(crate) const TICK: Duration = Duration::from_secs(2);

pub(crate) struct Ground {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) stop: CancellationToken,
    /// What lies under the contracts.
    pub(crate) below: Below,
}

pub(crate) enum Below {
    Memory(MemoryBroker),
    Redis(RedisServer),
}

/// A dead letter, as far as every broker keeps it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) envelope: String,
    pub(crate) queue: String,
    pub(crate) reason: String,
    pub(crate) deliveries: u64,
}

impl Ground {
    pub(crate) fn memory() -> Self {
        let (broker, backend) = pair();
        let below = Below::Memory(broker.clone());
        Self { broker: Arc::new(broker), backend: Arc::new(backend), stop: CancellationToken::new(), below }
    }

    /// Broker in database 0, backend in database 1 of a fresh server, both with a key prefix, under the ACL that is documented for workers.
    pub(crate) fn redis() -> Option<Self> {
        let server = RedisServer::start_with(|port| {
            let mut arguments = vec!["--port".to_owned(), port.to_string(), "--user".to_owned()];
            arguments.extend(documented_user());
            arguments
        })?;
        let url = |db| server.url(db).replace("redis://", "redis://celeriac-worker:PASSWORD@");
        let broker = broker::Options { global_keyprefix: "b:".to_owned(), ..broker::Options::default() };
        let backend = backend::Options { global_keyprefix: "r".to_owned(), ..backend::Options::default() };
        Some(Self {
            broker: broker::open(&url(0), broker).unwrap(),
            backend: backend::open(&url(1), backend).unwrap(),
            stop: CancellationToken::new(),
            below: Below::Redis(server),
        })
    }

    /// As a Python program sees the server: one database for all, no prefix.
    pub(crate) fn plain_redis() -> Option<Self> {
        let server = RedisServer::start()?;
        Some(Self {
            broker: broker::open(&server.url(0), broker::Options::default()).unwrap(),
            backend: backend::open(&server.url(0), backend::Options::default()).unwrap(),
            stop: CancellationToken::new(),
            below: Below::Redis(server),
        })
    }

    pub(crate) fn server(&mut self) -> &mut RedisServer {
        match &mut self.below {
            Below::Redis(server) => server,
            Below::Memory(_) => panic!("this test is for Redis"),
        }
    }

    pub(crate) fn raw_url(&self, db: u32) -> String {
        match &self.below {
            Below::Redis(server) => server.url(db),
            Below::Memory(_) => panic!("this test is for Redis"),
        }
    }

    pub(crate) fn raw(&self, db: u32) -> redis::Connection {
        redis::Client::open(self.raw_url(db)).unwrap().get_connection().unwrap()
    }

    /// Lets time pass for leases, parked messages and everything that expires.
    pub(crate) async fn pass(&self, time: Duration) {
        match &self.below {
            Below::Memory(_) => tokio::time::advance(time).await,
            Below::Redis(_) => (0..2).for_each(|db| age(&mut self.raw(db), time)),
        }
    }

    /// Lets a little time pass for everything, the server's own clock too.
    pub(crate) async fn tick(&self) {
        tokio::time::sleep(TICK + Duration::from_millis(10)).await;
    }

    pub(crate) async fn publish(&self, queue: &str, names: &[&str]) {
        let messages: Vec<Outgoing> = names.iter().map(|name| message(queue, name, 0)).collect();
        self.broker.publish(&messages).await.unwrap();
    }

    pub(crate) async fn consumer(&self, queues: &[&str]) -> Box<dyn Consumer> {
        self.broker.consumer(self.options(queues)).await.unwrap()
    }

    pub(crate) fn options(&self, queues: &[&str]) -> ConsumerOptions {
        ConsumerOptions {
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            nodename: "celery@test".to_owned(),
            max_bytes: 1 << 20,
            lease: LEASE,
            stop: self.stop.clone(),
        }
    }

    /// Publishes one message to queue `q` and leases it.
    pub(crate) async fn leased(&self, name: &str) -> Delivery {
        self.publish("q", &[name]).await;
        let mut taken = self.consumer(&["q"]).await.fetch(1).await.unwrap();
        assert_eq!(names(&taken), [name]);
        taken.remove(0)
    }

    /// Publishes one message behind those that wait in queue `q` already, and leases all of them.
    pub(crate) async fn leased_after(&self, waiting: &[&str], name: &str) -> Vec<Delivery> {
        self.publish("q", &[name]).await;
        let taken = self.drain("q").await;
        let (last, first) = names(&taken).split_last().map(|(last, first)| (last.clone(), first.to_vec())).unwrap();
        assert_eq!((first, last), (waiting.iter().map(|name| (*name).to_owned()).collect(), name.to_owned()));
        taken
    }

    /// Everything that waits in a queue, in the order it is served; it is leased then.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<Delivery> {
        let mut consumer = self.consumer(&[queue]).await;
        let mut all = Vec::new();
        while self.broker.queue_len(queue).await.unwrap() > 0 {
            all.extend(consumer.fetch(100).await.unwrap());
        }
        all
    }

    pub(crate) async fn location(&self) -> Location {
        self.backend.location().await.unwrap()
    }

    pub(crate) async fn settle(&self, settlement: &Settlement) -> Settled {
        let location = self.location().await;
        let mut answers = self.broker.settle(std::slice::from_ref(settlement), Some(&location)).await;
        answers.remove(0).unwrap()
    }

    pub(crate) async fn value(&self, key: &str) -> Option<String> {
        let found = self.backend.get(&[key.to_owned()]).await.unwrap().remove(0);
        found.map(|value| String::from_utf8(value).unwrap())
    }

    /// The dead letters, oldest first.
    pub(crate) async fn dead_letters(&self) -> Vec<Dead> {
        let ids = self.broker.dead_letter_ids(Duration::ZERO, None).await.unwrap();
        let letter = |dead: celeriac::broker::Dead| Dead {
            envelope: String::from_utf8(dead.envelope.to_vec()).unwrap(),
            queue: dead.queue,
            reason: dead.letter.reason,
            deliveries: dead.letter.deliveries.into(),
        };
        self.broker.dead_letters(&ids).await.unwrap().into_iter().map(letter).collect()
    }

    /// How many messages are leased, by everybody.
    pub(crate) fn leased_len(&self) -> usize {
        match &self.below {
            Below::Memory(broker) => broker.leased_len(),
            Below::Redis(_) => {
                let (mut raw, prefix) = (self.raw(0), if self.raw(0).exists("b:unacked").unwrap() { "b:" } else { "" });
                let (hash, index): (usize, usize) =
                    (raw.hlen(format!("{prefix}unacked")).unwrap(), raw.zcard(format!("{prefix}unacked_index")).unwrap());
                assert_eq!(hash, index, "unacked and its index hold the same");
                hash
            }
        }
    }
}

/// The rules of `docs/security.md` for a worker, with the prefixes of these tests.
fn documented_user() -> impl Iterator<Item = String> {
    let text = include_str!("../../docs/security.md");
    let line = text.lines().find_map(|line| line.strip_prefix("ACL SETUSER celeriac-worker ")).unwrap();
    let rules = line.split(' ').flat_map(|rule| match rule {
        "~app:*" => vec!["~b:*".to_owned(), "~r_*".to_owned()],
        // One test listens to what no worker listens to.
        "&app:*" => vec!["&b:*".to_owned(), "&r_*".to_owned(), "&b:/0.celeryev/task.sent".to_owned()],
        rule => vec![rule.replace("&app:", "&b:")],
    });
    std::iter::once("celeriac-worker".to_owned()).chain(rules)
}

/// Makes everything in a database older.
fn age(raw: &mut redis::Connection, time: Duration) {
    for key in raw.keys::<_, Vec<String>>("*").unwrap() {
        if key.ends_with("_index") {
            for tag in raw.zrange::<_, Vec<String>>(&key, 0, -1).unwrap() {
                raw.zincr::<_, _, _, f64>(&key, tag, -time.as_secs_f64()).unwrap();
            }
        }
        let left: i64 = raw.pttl(&key).unwrap();
        if left > 0 {
            raw.pexpire::<_, ()>(&key, (left - i64::try_from(time.as_millis()).unwrap()).max(0)).unwrap();
        }
    }
}

/// A message whose id is its name.
pub(crate) fn message(queue: &str, name: &str, priority: i64) -> Outgoing {
    let envelope = format!(
        r#"{{"body": "W10=", "headers": {{"id": "{name}"}}, "properties": {{"priority": {priority}, "delivery_info": {{"exchange": "", "routing_key": "{queue}"}}, "delivery_tag": "t-{name}"}}}}"#
    );
    Outgoing { queue: queue.to_owned(), priority, envelope }
}

pub(crate) fn json(delivery: &Delivery) -> serde_json::Value {
    serde_json::from_slice(&delivery.envelope).unwrap()
}

pub(crate) fn names(taken: &[Delivery]) -> Vec<String> {
    taken.iter().map(|delivery| json(delivery)["headers"]["id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn tags(taken: &[Delivery]) -> Vec<String> {
    taken.iter().map(|delivery| delivery.tag.clone()).collect()
}

/// Asserts the redelivered marks, and the count if there is to be one.
pub(crate) fn assert_marked(delivery: &Delivery, count: Option<u64>) {
    let envelope = json(delivery);
    assert_eq!(envelope["headers"]["redelivered"], true, "{envelope}");
    assert_eq!(envelope["properties"]["delivery_info"]["redelivered"], true, "{envelope}");
    assert_eq!(envelope["headers"]["x-delivery-count"].as_u64(), count, "{envelope}");
}

/// A state as it is stored.
pub(crate) fn state(key: &str, status: &str) -> Write {
    let value = format!(r#"{{"status": "{status}", "result": null}}"#).into_bytes();
    Write::State { key: key.to_owned(), value, ttl: Some(100) }
}

/// A settlement of a delivery that stores, publishes and acks.
pub(crate) fn settlement(delivery: &Delivery) -> Settlement {
    Settlement {
        tag: Some(delivery.tag.clone()),
        writes: vec![state("celery-task-meta-1", "SUCCESS")],
        chord_part: None,
        publish: vec![message("next", "callback", 0)],
        disposal: Disposal::Ack,
        key: None,
    }
}
