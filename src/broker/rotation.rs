//! In what order the lists of a consumer are served: step before queue, then as the strategy or the weights of the queues say; and a step
//! that has waited for long gives a message now and then out of its turn, so that no priority starves.
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

/// A step that starves gives one message for so many of others.
const OTHERS: i64 = 20;

/// A list: the step of its priority, and its queue.
pub(crate) type Place = (usize, String);

/// How a step has fared.
#[derive(Debug, Clone)]
struct Step {
    /// When it last had its turn by its priority, or was found empty.
    fed: Instant,
    /// How many messages of other steps have come since, less [`OTHERS`] for each that it gave out of its turn.
    passed_over: i64,
}

impl Step {
    fn fed_now() -> Self {
        Self { fed: Instant::now(), passed_over: 0 }
    }
}

/// The lists of a consumer in the order they are served next.
#[derive(Debug)]
pub(crate) struct Rotation {
    queues: Vec<String>,
    strategy: QueueOrder,
    weights: IndexMap<String, u32>,
    /// How much each queue has delivered, by its weight.
    delivered: HashMap<String, f64>,
    steps: Vec<Step>,
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
            steps: vec![Step::fed_now(); steps],
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
        let others = (0..self.steps.len()).filter(|step| Some(*step) != aged);
        let steps = aged.into_iter().chain(others);
        steps.flat_map(|step| self.queues.iter().map(move |queue| (step, queue.clone()))).collect()
    }

    /// The step that comes first although it is not its turn: it has starved for too long.
    fn aged(&self) -> Option<usize> {
        let starves = |step: &Step| step.fed.elapsed() > self.ageing && step.passed_over >= OTHERS;
        let starving = self.steps.iter().enumerate().filter(|(_, step)| !self.ageing.is_zero() && starves(step));
        starving.max_by_key(|(_, step)| step.passed_over).map(|(number, _)| number)
    }

    /// Notes what a look at the lists in their order brought; `emptied`: nothing was left in any of them.
    pub(crate) fn delivered<'a>(&mut self, served: impl Iterator<Item = &'a Place>, emptied: bool) {
        let aged = self.aged();
        let served: Vec<&Place> = served.collect();
        for (number, step) in self.steps.iter_mut().enumerate() {
            let mine = served.iter().filter(|(of, _)| *of == number).count() as i64;
            match (mine, Some(number) == aged) {
                _ if emptied => *step = Step::fed_now(),
                // It came first and had nothing, or it had its turn.
                (0, true) | (1.., false) => *step = Step::fed_now(),
                (_, true) => step.passed_over -= OTHERS * mine,
                (_, false) => step.passed_over += served.len() as i64,
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
    async fn a_step_that_starves_gives_one_message_for_twenty_of_others() {
        let mut rotation = Rotation::new(queues(&["q"]), &Options::default());
        let steps = |rotation: &Rotation| rotation.order().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        // A fast worker and a slow one.
        for pause in [100, 30_000] {
            let mut turns = Vec::new();
            for _ in 0..400 {
                let first = steps(&rotation)[0];
                turns.push(first);
                rotation.delivered([(first, "q".to_owned())].iter(), false);
                tokio::time::advance(Duration::from_millis(pause)).await;
            }
            let of = |step: usize| turns.iter().filter(|turn| **turn == step).count();
            assert!((1..4).all(|step| (12..=20).contains(&of(step))), "{turns:?}");
            assert!(turns[..OTHERS as usize].iter().all(|step| *step == 0));
            rotation.delivered([].iter(), true);
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
