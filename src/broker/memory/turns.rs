//! The turns of rate limits, and the messages that wait for one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::broker::{Admitted, RateLimit};

/// While some wait nobody loses a turn by looking late: one, or as many as there are in this time.
const SLACK: Duration = Duration::from_millis(50);

/// A priority step of a queue.
type Place = (usize, String);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// When the next one comes, by limit and owner.
    next: HashMap<(String, String), Instant>,
    /// By limit.
    waiting: HashMap<String, BTreeMap<Place, VecDeque<Bytes>>>,
}

impl Turns {
    /// Takes one for a message, unless others wait there already.
    pub(super) fn take_one(&mut self, place: &Place, limit: &RateLimit<'_>) -> bool {
        let nobody = self.waiting.get(limit.name).and_then(|places| places.get(place)).is_none_or(VecDeque::is_empty);
        nobody && self.take(limit, 1, Duration::ZERO).0 == 1
    }

    /// Takes up to `most`: how many, and how long until the next. Those of the last `slack` can be caught up on.
    fn take(&mut self, limit: &RateLimit<'_>, most: usize, slack: Duration) -> (usize, Duration) {
        if limit.every.is_zero() {
            return (most, Duration::ZERO);
        }
        let now = Instant::now();
        let earliest = now.checked_sub(slack).unwrap_or(now);
        let next = self.next.entry((limit.name.to_owned(), limit.owner.to_owned())).or_insert(earliest);
        *next = (*next).min(now + limit.every).max(earliest);
        let mut turns = 0;
        while turns < most && *next <= now {
            *next += limit.every;
            turns += 1;
        }
        (turns, next.saturating_duration_since(now))
    }

    pub(super) fn wait(&mut self, place: Place, limit: &RateLimit<'_>, envelope: Bytes) {
        self.waiting.entry(limit.name.to_owned()).or_default().entry(place).or_default().push_back(envelope);
    }

    /// Those that may go on, first first, each with its queue.
    pub(super) fn admit(&mut self, limit: &RateLimit<'_>, queues: &[String], most: usize) -> (Admitted, Vec<(String, Bytes)>) {
        let ours = |((_, queue), list): (&Place, &VecDeque<Bytes>)| if queues.contains(queue) { list.len() } else { 0 };
        let waiting: usize = self.waiting.get(limit.name).map_or(0, |places| places.iter().map(ours).sum());
        if waiting == 0 {
            return (Admitted::default(), Vec::new());
        }
        let (turns, next_in) = self.take(limit, most.min(waiting), limit.every.max(SLACK));
        let mut going = Vec::new();
        for ((_, queue), list) in self.waiting.entry(limit.name.to_owned()).or_default() {
            while queues.contains(queue)
                && going.len() < turns
                && let Some(envelope) = list.pop_front()
            {
                going.push((queue.clone(), envelope));
            }
        }
        (Admitted { count: going.len(), next_in: Some(next_in) }, going)
    }

    pub(super) fn limited(&self) -> Vec<String> {
        self.waiting.keys().cloned().collect()
    }

    /// Removes what waits for a queue; how many that were.
    /// How many messages of a queue wait.
    pub(super) fn len(&self, queue: &str) -> usize {
        let lists = self.waiting.values().flat_map(BTreeMap::iter).filter(|((_, of), _)| of == queue);
        lists.map(|(_, list)| list.len()).sum()
    }

    pub(super) fn purge(&mut self, queue: &str) {
        let lists = self.waiting.values_mut().flat_map(BTreeMap::iter_mut).filter(|((_, of), _)| of == queue);
        lists.for_each(|(_, list)| list.clear());
    }
}
