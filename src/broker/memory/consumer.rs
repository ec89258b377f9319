//! The memory broker's consumer: takes what is there, or waits until something arrives.

use async_trait::async_trait;

use super::MemoryBroker;
use crate::broker::rotation::Rotation;
use crate::broker::tag::Tags;
use crate::broker::{Consumer, ConsumerOptions, DeadLetter, Delivery, envelope};
use crate::error::Result;

#[derive(Debug)]
pub(super) struct MemoryConsumer {
    broker: MemoryBroker,
    options: ConsumerOptions,
    rotation: Rotation,
    tags: Tags,
}

impl MemoryConsumer {
    pub(super) fn new(broker: MemoryBroker, options: ConsumerOptions) -> Self {
        let rotation = Rotation::new(options.queues.clone(), &broker.options);
        let tags = Tags::new(&options.nodename);
        Self { broker, options, rotation, tags }
    }

    /// `None` if the queues are empty; no delivery at all if what lay there was no envelope.
    fn take(&mut self, limit: usize) -> Option<Vec<Delivery>> {
        let tags = &mut self.tags;
        let name = || {
            let number = tags.take(1);
            tags.tag(number)
        };
        let mut state = self.broker.lock();
        let (served, mut taken) = state.take(&self.rotation.order(), limit, self.options.max_bytes, name);
        let emptied = taken.len() < limit;
        self.rotation.delivered(served.iter(), emptied);
        if taken.is_empty() {
            return None;
        }
        taken.retain(|delivery| {
            let whole = envelope::is_envelope(&delivery.envelope);
            if !whole {
                state.bury(&delivery.tag, &DeadLetter::no_envelope(&self.options.nodename));
            }
            whole
        });
        Some(taken)
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn fetch(&mut self, limit: usize) -> Result<Vec<Delivery>> {
        let arrived = self.broker.arrived.clone();
        let stop = self.options.stop.clone();
        loop {
            // Made before the look, so that what arrives in between wakes it.
            let arrival = arrived.notified();
            if stop.is_cancelled() || limit == 0 {
                return Ok(Vec::new());
            }
            match self.take(limit) {
                Some(taken) if taken.is_empty() => continue,
                Some(taken) => return Ok(taken),
                None => {}
            }
            // Neither branch holds a message: nothing is lost by dropping the other.
            tokio::select! {
                () = arrival => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn set_queues(&mut self, queues: Vec<String>) {
        self.rotation.replace(queues);
    }
}
