//! What a task costs inside the runtime, step by step: its message is decoded, its arguments are bound, its end is encoded and settled.
//!
//! The messages are Celery's own, as tests/fixtures has them.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use celeriac::backend::Backend;
use celeriac::broker::memory::{self, MemoryBroker};
use celeriac::broker::{Broker, Consumer, ConsumerOptions};
use celeriac::protocol::{DecodeOptions, Envelope, Map, Message, Meta, Serializer, State, Value, meta_key};
use celeriac::settlement::{Location, Outgoing, Settled, Settlement, Write};
use celeriac::task::arguments::bind;
use divan::{AllocProfiler, Bencher, black_box};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Allocations are told beside the time.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// `proj.add.delay(2, 3)`, as Celery 5.7 sends it.
const CAPTURED: &str = include_str!("../../tests/fixtures/vectors/msg_basic.json");
const QUEUE: &str = "bench";

fn main() {
    divan::main();
}

/// The envelope as it lies in Redis.
fn raw() -> String {
    let vector: serde_json::Value = serde_json::from_str(CAPTURED).unwrap();
    vector["captured"][0]["raw"].as_str().unwrap().to_owned()
}

fn message() -> Message {
    Message::decode(Envelope::parse(raw().as_bytes()).unwrap(), &DecodeOptions::default()).unwrap()
}

/// Envelope, base64, body, headers: all that happens before a task is looked up.
#[divan::bench]
fn decode_a_message(bencher: Bencher<'_, '_>) {
    let (raw, options) = (raw(), DecodeOptions::default());
    bencher.bench(|| Message::decode(Envelope::parse(black_box(raw.as_bytes())).unwrap(), &options).unwrap());
}

#[divan::bench]
fn bind_two_positional_arguments(bencher: Bencher<'_, '_>) {
    let args = message().args;
    bencher.with_inputs(|| args.clone()).bench_values(|args| bind::<(i64, i64)>(args, Map::default()).unwrap());
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only filled")]
struct ProcessPage {
    job_id: String,
    page: u32,
    #[serde(default)]
    dpi: Option<u16>,
}

#[divan::bench]
fn bind_a_struct_by_keyword(bencher: Bencher<'_, '_>) {
    let named = [("page", Value::from(7)), ("job_id", Value::from("c7298515"))];
    let kwargs: Map = named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    bencher.with_inputs(|| kwargs.clone()).bench_values(|kwargs| bind::<ProcessPage>(Vec::new(), kwargs).unwrap());
}

/// The state that a task's end stores.
fn state(task_id: &str) -> Write {
    let value = Meta::new(task_id, State::Success, Value::from(5)).encode(Serializer::Json, None).unwrap();
    Write::State { key: meta_key(task_id), value, ttl: Some(3600) }
}

#[divan::bench]
fn encode_a_settlement(bencher: Bencher<'_, '_>) {
    let message = message();
    let settlement = || Settlement { writes: vec![state(&message.headers.id)], ..Settlement::ack("tag") };
    bencher.bench(settlement);
}

/// A memory broker with a consumer.
struct Ground {
    runtime: Runtime,
    broker: MemoryBroker,
    backend: Location,
    envelope: String,
}

impl Ground {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (broker, backend) = memory::pair();
        let backend = runtime.block_on(backend.location()).unwrap();
        Self { runtime, broker, backend, envelope: raw() }
    }

    fn consumer(&self) -> Box<dyn Consumer> {
        let options = ConsumerOptions {
            queues: vec![QUEUE.to_owned()],
            nodename: "bench@localhost".to_owned(),
            max_bytes: 1 << 20,
            lease: Duration::from_secs(12),
            stop: CancellationToken::new(),
        };
        self.runtime.block_on(self.broker.consumer(options)).unwrap()
    }

    /// Publishes a message and leases it.
    fn leased(&self, consumer: &mut dyn Consumer) -> Settlement {
        self.runtime.block_on(async {
            let message = Outgoing { queue: QUEUE.to_owned(), priority: 0, envelope: self.envelope.clone() };
            self.broker.publish(&[message]).await.unwrap();
            let tag = consumer.fetch(1).await.unwrap().remove(0).tag;
            Settlement { writes: vec![state(&tag)], ..Settlement::ack(&tag) }
        })
    }
}

/// Result stored, message acked, in one step.
#[divan::bench]
fn settle_on_the_memory_broker(bencher: Bencher<'_, '_>) {
    let ground = Ground::new();
    let mut consumer = ground.consumer();
    bencher.with_inputs(|| ground.leased(consumer.as_mut())).bench_local_values(|settlement| {
        let settled = ground.runtime.block_on(ground.broker.settle(&[settlement], Some(&ground.backend))).remove(0);
        assert_eq!(settled.unwrap(), Settled::Done);
    });
}

/// The way there: a message is published and leased.
#[divan::bench]
fn publish_and_fetch_on_the_memory_broker(bencher: Bencher<'_, '_>) {
    let ground = Ground::new();
    let mut consumer = ground.consumer();
    bencher.bench_local(|| ground.leased(consumer.as_mut()));
}
