//! What lies in a memory broker, and every change of it; the lock is held by the caller.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use tokio::time::Instant;

use super::dead::Graveyard;
use super::fanout::Exchanges;
use super::kept::Sets;
use super::timetable::Table;
use super::turns::Turns;
use super::unique::Keys;
use crate::broker::rotation::Place;
use crate::broker::tag::age;
use crate::broker::{Admitted, Delivery, Depth, LOOKED_AT, Options, Parked, Queue, RateLimit, Released, Turn, Waiting, envelope};
use crate::settlement::Outgoing;

/// A leased message.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) queue: String,
    pub(super) envelope: Bytes,
    /// When it was fetched or last renewed.
    pub(super) renewed: Instant,
}

/// Everything a memory broker holds.
#[derive(Debug, Default)]
pub(super) struct State {
    /// One list a priority step; the front is the head.
    queues: BTreeMap<String, Vec<VecDeque<Bytes>>>,
    pub(super) leases: HashMap<String, Lease>,
    /// By due time and arrival.
    pub(super) parked: BTreeMap<(Instant, u64), (String, Bytes)>,
    parked_ever: u64,
    pub(super) graveyard: Graveyard,
    pub(super) declared: BTreeSet<String>,
    pub(super) exchanges: Exchanges,
    pub(super) timetable: Table,
    pub(super) turns: Turns,
    pub(super) keys: Keys,
    pub(super) sets: Sets,
    /// When the queues of replies vanish.
    expiring: HashMap<String, Instant>,
}

impl State {
    pub(super) fn list(&mut self, queue: &str, priority: i64, options: &Options) -> &mut VecDeque<Bytes> {
        let lists = self.queues.entry(queue.to_owned()).or_default();
        lists.resize_with(options.priority_steps.len().max(1), VecDeque::new);
        let step = options.step(priority).min(lists.len() - 1);
        &mut lists[step]
    }

    pub(super) fn push(&mut self, message: &Outgoing, options: &Options) {
        self.list(&message.queue, message.priority, options).push_back(Bytes::from(message.envelope.clone()));
    }

    fn push_head(&mut self, queue: &str, envelope: Bytes, options: &Options) {
        self.list(queue, envelope::priority(&envelope), options).push_front(envelope);
    }

    /// Takes messages from lists in their order, and says from which each came; `name` gives each its tag.
    pub(super) fn take(
        &mut self,
        places: &[Place],
        limit: usize,
        max_bytes: usize,
        mut name: impl FnMut() -> String,
    ) -> (Vec<Place>, Vec<Delivery>) {
        self.expire();
        let (mut served, mut taken, mut bytes, now) = (Vec::new(), Vec::new(), 0, Instant::now());
        for (step, queue) in places {
            let Some(list) = self.queues.get_mut(queue).and_then(|lists| lists.get_mut(*step)) else { continue };
            while taken.len() < limit && (bytes < max_bytes || taken.is_empty()) {
                let Some(envelope) = list.pop_front() else { break };
                bytes += envelope.len();
                let tag = name();
                self.leases.insert(tag.clone(), Lease { queue: queue.clone(), envelope: envelope.clone(), renewed: now });
                taken.push(Delivery { tag, queue: queue.clone(), envelope });
                served.push((*step, queue.clone()));
            }
        }
        (served, taken)
    }

    /// Puts a leased message to the head of its queue, marked.
    pub(super) fn restore(&mut self, tag: &str, raise_count: bool, options: &Options) -> bool {
        let Some(lease) = self.leases.remove(tag) else { return false };
        let marked = envelope::redelivered(&lease.envelope, raise_count);
        self.push_head(&lease.queue, marked.into(), options);
        true
    }

    /// Puts a leased message to the tail of its queue, marked.
    pub(super) fn requeue(&mut self, tag: &str, raise_count: bool, options: &Options) {
        if let Some(lease) = self.leases.remove(tag) {
            let marked = envelope::requeued(&lease.envelope, raise_count);
            self.list(&lease.queue, envelope::priority(&marked), options).push_back(marked.into());
        }
    }

    pub(super) fn restore_orphans(&mut self, lease: Duration, options: &Options) -> usize {
        self.keys.forget_orphans(lease);
        let late = |held: &Lease| held.renewed.elapsed() > lease;
        let mut orphans: Vec<String> = self.leases.iter().filter(|(_, held)| late(held)).map(|(tag, _)| tag.clone()).collect();
        orphans.sort_by(|a, b| age(b).cmp(&age(a)));
        orphans.iter().filter(|tag| self.restore(tag, true, options)).count()
    }

    pub(super) fn run_alone(&mut self, tag: &str) -> bool {
        let Some(lease) = self.leases.get_mut(tag) else { return false };
        lease.envelope = envelope::running_alone(&lease.envelope).into();
        true
    }

    pub(super) fn park(&mut self, tag: &str, due: Instant) -> bool {
        let Some(lease) = self.leases.remove(tag) else { return false };
        self.parked_ever += 1;
        self.parked.insert((due, self.parked_ever), (lease.queue, lease.envelope));
        true
    }

    pub(super) fn take_turn(&mut self, tag: &str, limit: &RateLimit<'_>, options: &Options) -> Turn {
        let Some(lease) = self.leases.get(tag) else { return Turn::Lost };
        let place = (options.step(envelope::priority(&lease.envelope)), lease.queue.clone());
        if self.turns.take_one(&place, limit) {
            return Turn::Taken;
        }
        if let Some(lease) = self.leases.remove(tag) {
            self.turns.wait(place, limit, envelope::with_turn(&lease.envelope).into());
        }
        Turn::Deferred
    }

    pub(super) fn admit(&mut self, limit: &RateLimit<'_>, queues: &[String], most: usize, options: &Options) -> Admitted {
        let (admitted, going) = self.turns.admit(limit, queues, most);
        for (queue, envelope) in going.into_iter().rev() {
            self.push_head(&queue, envelope, options);
        }
        admitted
    }

    pub(super) fn release_due(&mut self, limit: usize, options: &Options) -> Released {
        let now = Instant::now();
        let due: Vec<(Instant, u64)> = self.parked.keys().take_while(|(due, _)| *due <= now).take(limit).copied().collect();
        // The last due is pushed first, so that the first is the next to be served.
        for key in due.iter().rev() {
            if let Some((queue, envelope)) = self.parked.remove(key) {
                self.push_head(&queue, envelope, options);
            }
        }
        let next_in = self.parked.keys().next().map(|(due, _)| due.saturating_duration_since(now));
        Released { count: due.len(), next_in }
    }

    /// The parked messages of these queues among those that are due next.
    pub(super) fn parked_of(&self, queues: &[String], limit: usize) -> Vec<Parked> {
        let (now, date) = (Instant::now(), Utc::now());
        let next = self.parked.iter().take(limit).filter(|(_, (queue, _))| queues.contains(queue));
        let message = |((due, _), (queue, envelope)): (&(Instant, u64), &(String, Bytes))| Parked {
            due: date + due.saturating_duration_since(now),
            queue: queue.clone(),
            envelope: envelope.clone(),
        };
        next.map(message).collect()
    }

    pub(super) fn reply(&mut self, address: (&str, &str), envelope: &str, expires: Duration, options: &Options) -> usize {
        self.expire();
        let queues = self.exchanges.bound(address.0, address.1);
        for queue in &queues {
            let priority = envelope::priority(envelope.as_bytes());
            self.push(&Outgoing { queue: queue.clone(), priority, envelope: envelope.to_owned() }, options);
            self.expiring.insert(queue.clone(), Instant::now() + expires);
        }
        queues.len()
    }

    /// Takes the next message of a queue, without a lease.
    pub(super) fn pop(&mut self, queue: &str) -> Option<Bytes> {
        self.expire();
        self.queues.get_mut(queue)?.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Drops the queues nobody read in time.
    fn expire(&mut self) {
        let now = Instant::now();
        let Self { expiring, queues, .. } = self;
        expiring.retain(|queue, until| {
            let kept = *until > now;
            if !kept {
                queues.remove(queue);
            }
            kept
        });
    }

    pub(super) fn declare(&mut self, queues: &[Queue]) {
        for queue in queues {
            self.declared.insert(queue.name.clone());
            self.exchanges.bind(queue.clone(), None);
        }
    }

    pub(super) fn queue_len(&mut self, queue: &str) -> usize {
        self.lengths(queue).into_iter().sum()
    }

    /// By priority step; nothing of a queue that has none yet.
    pub(super) fn lengths(&mut self, queue: &str) -> Vec<usize> {
        self.expire();
        self.queues.get(queue).map_or_else(Vec::new, |lists| lists.iter().map(VecDeque::len).collect())
    }

    pub(super) fn depth(&mut self, queue: &str) -> Depth {
        let parked = self.parked.values().filter(|(of, _)| of == queue).count();
        Depth { waiting: self.queue_len(queue), limited: self.turns.len(queue), parked }
    }

    pub(super) fn waiting(&mut self, queue: &str, options: &Options) -> Vec<Waiting> {
        self.expire();
        let lists = self.queues.get(queue).into_iter().flatten();
        let waiting = |(step, list): (&u8, &VecDeque<Bytes>)| {
            let next = list.front()?;
            Some(Waiting { step: *step, count: list.len(), next: Some(next.clone()).filter(|next| next.len() <= LOOKED_AT) })
        };
        options.priority_steps.iter().zip(lists).filter_map(waiting).collect()
    }

    pub(super) fn purge(&mut self, queue: &str) -> usize {
        let depth = self.depth(queue);
        self.turns.purge(queue);
        self.queues.remove(queue);
        self.parked.retain(|_, (of, _)| of != queue);
        depth.total()
    }
}
