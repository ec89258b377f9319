//! In what order the lists of a consumer are served: step before queue, then as the strategy or the weights of the queues say; and a step
//! that was not looked at for long comes first once, so that no priority starves.
//!
//! # Celery
//! kombu's `queue_order_strategy` and the order of its BRPOP. Differences: there a low priority waits as long as there are messages of a
//! higher one; weights are ours.

use std::collections::HashMap;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use super::options::Options;
use crate::config::QueueOrder;

/// A step is passed over at least so many times, however slow the worker is: priorities are to count for one of long tasks, too.
const OTHERS: usize = 10;

/// A list: the step of its priority, and its queue.
pub(crate) type Place = (usize, String);

/// The lists of a consumer in the order they are served next.
#[derive(Debug)]
pub(crate) struct Rotation {
    queues: Vec<String>,
    strategy: QueueOrder,
    weights: IndexMap<String, u32>,
    /// How much each queue has delivered, by its weight.
    delivered: HashMap<String, f64>,
    /// When the lists of each step were last looked at, and how many messages of other steps have come since.
    looked: Vec<(Instant, usize)>,
    ageing: Duration,
}

impl Rotation {
    /// The order before anything was delivered.
    pub(crate) fn new(queues: Vec<String>, options: &Options) -> Self {
        let steps = options.priority_steps.len().max(1);
        let mut rotation = Self {
            queues: Vec::new(),
            strategy: options.queue_order_strategy,
            weights: options.queue_weights.clone(),
            delivered: HashMap::new(),
            looked: vec![(Instant::now(), 0); steps],
            ageing: options.priority_ageing,
        };
        rotation.replace(queues);
        rotation
    }

    /// Whether there is nothing to serve.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// The same over other queues.
    pub(crate) fn replace(&mut self, queues: Vec<String>) {
        self.queues = queues;
        if self.strategy == QueueOrder::Sorted {
            self.queues.sort();
        }
        self.delivered.retain(|queue, _| self.queues.contains(queue));
    }

    /// The lists, first served first.
    pub(crate) fn order(&self) -> Vec<Place> {
        let aged = self.aged();
        let others = (0..self.looked.len()).filter(|step| Some(*step) != aged);
        let steps = aged.into_iter().chain(others);
        steps.flat_map(|step| self.queues.iter().map(move |queue| (step, queue.clone()))).collect()
    }

    /// The step that was not looked at for longest, if that is too long.
    fn aged(&self) -> Option<usize> {
        let (step, (since, others)) = self.looked.iter().enumerate().min_by_key(|(_, (looked, _))| *looked)?;
        (!self.ageing.is_zero() && since.elapsed() > self.ageing && *others >= OTHERS).then_some(step)
    }

    /// Notes what a look at the lists in their order brought; `emptied`: nothing was left in any of them.
    pub(crate) fn delivered<'a>(&mut self, served: impl Iterator<Item = &'a Place>, emptied: bool) {
        let now = Instant::now();
        // It came first, and had nothing or has been served.
        let aged = self.aged();
        let served: Vec<&Place> = served.collect();
        for (step, looked) in self.looked.iter_mut().enumerate() {
            if emptied || Some(step) == aged || served.iter().any(|(of, _)| *of == step) {
                *looked = (now, 0);
            } else {
                looked.1 += served.len();
            }
        }
        if !self.weights.is_empty() {
            self.weigh(&served);
        } else if self.strategy == QueueOrder::RoundRobin {
            // Stable: among those that delivered, and among the others, the order stays.
            self.queues.sort_by_key(|queue| served.iter().any(|(_, of)| of == queue));
        }
    }

    /// Orders the queues by how much each has delivered for its weight. One that had nothing to deliver saves nothing up.
    fn weigh(&mut self, served: &[&Place]) {
        let so_far = |delivered: &HashMap<String, f64>, queue: &str| delivered.get(queue).copied().unwrap_or(0.0);
        let least = served.iter().map(|(_, queue)| so_far(&self.delivered, queue)).fold(f64::INFINITY, f64::min);
        if least.is_finite() {
            for queue in &self.queues {
                let mine = self.delivered.entry(queue.clone()).or_insert(0.0);
                *mine = mine.max(least);
            }
        }
        for (_, queue) in served {
            let weight = f64::from(self.weights.get(queue).copied().unwrap_or(1).max(1));
            *self.delivered.entry(queue.clone()).or_insert(0.0) += 1.0 / weight;
        }
        let delivered = &self.delivered;
        self.queues.sort_by(|a, b| so_far(delivered, a).total_cmp(&so_far(delivered, b)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(change: impl FnOnce(&mut Options)) -> Options {
        let mut options = Options::default();
        change(&mut options);
        options
    }

    fn queues(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn only_round_robin_moves_a_queue_that_delivered() {
        for (strategy, expected) in [
            (QueueOrder::RoundRobin, ["a", "c", "b"]),
            (QueueOrder::Priority, ["b", "a", "c"]),
            (QueueOrder::Sorted, ["a", "b", "c"]),
        ] {
            let mut rotation = Rotation::new(queues(&["b", "a", "c"]), &options(|options| options.queue_order_strategy = strategy));
            rotation.delivered([(0, "b".to_owned())].iter(), false);
            assert_eq!(rotation.queues, expected, "{strategy:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_was_not_looked_at_for_long_comes_first_once() {
        let mut rotation = Rotation::new(queues(&["q"]), &Options::default());
        let steps = |rotation: &Rotation| rotation.order().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        let first = [(0, "q".to_owned())];
        // A fast worker and a slow one.
        for (pause, expected) in [(1, 3), (30, 3)] {
            let mut turns = Vec::new();
            for _ in 0..40 {
                turns.push(steps(&rotation)[0]);
                rotation.delivered(first.iter(), false);
                tokio::time::advance(Duration::from_secs(pause)).await;
            }
            let of = |step: usize| turns.iter().filter(|turn| **turn == step).count();
            assert!((1..4).all(|step| of(step).abs_diff(expected) <= 1), "{turns:?}");
        }
        rotation.delivered([].iter(), true);
        assert_eq!(steps(&rotation), [0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_ageing_a_low_priority_waits() {
        let mut rotation = Rotation::new(queues(&["q"]), &options(|options| options.priority_ageing = Duration::ZERO));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(rotation.order()[0].0, 0);
        rotation.delivered([].iter(), false);
    }

    #[tokio::test]
    async fn a_queue_delivers_by_its_weight_and_an_idle_one_saves_nothing_up() {
        let weights = IndexMap::from([("heavy".to_owned(), 3)]);
        let mut rotation = Rotation::new(queues(&["light", "heavy", "idle"]), &options(|options| options.queue_weights = weights));
        let mut count = HashMap::<String, usize>::new();
        for turn in 0..402 {
            // The idle queue has nothing until the end.
            let served = rotation.order().into_iter().find(|(_, queue)| turn >= 400 || queue != "idle").unwrap();
            *count.entry(served.1.clone()).or_default() += 1;
            rotation.delivered([served].iter(), false);
        }
        assert_eq!((count["light"] / 10, count["heavy"] / 10, count["idle"]), (10, 30, 1), "{count:?}");
    }
}
