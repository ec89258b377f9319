//! What a broker is told once: how it names its keys and in what order it serves queues.
//!
//! # Celery
//! `broker_transport_options`, under the same names and with the same defaults.

pub use crate::config::QueueOrder;

/// Settings of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The sub-lists of a queue; a message goes to the largest step that is not above its priority.
    pub priority_steps: Vec<u8>,
    /// Stands between queue and step, and between the parts of a binding.
    pub sep: String,
    /// Put before every key and channel, as it is.
    pub global_keyprefix: String,
    /// The hash of leased messages.
    pub unacked_key: String,
    /// The sorted set of their last renewals.
    pub unacked_index_key: String,
    /// Put before the name of a fanout exchange's channel; `{db}` stands for the database, which pub/sub itself does not know.
    pub fanout_prefix: String,
    /// Whether a fanout channel's name ends in the routing key.
    pub fanout_patterns: bool,
    /// In what order queues of the same step are served.
    pub queue_order_strategy: QueueOrder,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            priority_steps: vec![0, 3, 6, 9],
            sep: "\u{6}\u{16}".to_owned(),
            global_keyprefix: String::new(),
            unacked_key: "unacked".to_owned(),
            unacked_index_key: "unacked_index".to_owned(),
            fanout_prefix: "/{db}.".to_owned(),
            fanout_patterns: true,
            queue_order_strategy: QueueOrder::default(),
        }
    }
}

impl Options {
    /// The index of the step a message of this priority goes to.
    pub(crate) fn step(&self, priority: i64) -> usize {
        let priority = priority.clamp(0, 9);
        self.priority_steps.iter().rposition(|step| i64::from(*step) <= priority).unwrap_or(0)
    }

    /// The list of a queue at a step, without the key prefix.
    pub(crate) fn list(&self, queue: &str, step: usize) -> String {
        match self.priority_steps.get(step) {
            None | Some(0) => queue.to_owned(),
            Some(number) => format!("{queue}{}{number}", self.sep),
        }
    }
}

/// The queues of a consumer in the order they are served next.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    queues: Vec<String>,
    strategy: QueueOrder,
}

impl Rotation {
    /// The order before anything was delivered.
    pub(crate) fn new(mut queues: Vec<String>, strategy: QueueOrder) -> Self {
        if strategy == QueueOrder::Sorted {
            queues.sort();
        }
        Self { queues, strategy }
    }

    /// The queues, first served first.
    pub(crate) fn queues(&self) -> &[String] {
        &self.queues
    }

    /// The same strategy over other queues.
    pub(crate) fn replace(&mut self, queues: Vec<String>) {
        *self = Self::new(queues, self.strategy);
    }

    /// Notes which queues delivered.
    pub(crate) fn delivered(&mut self, served: impl Fn(&str) -> bool) {
        if self.strategy == QueueOrder::RoundRobin {
            // Stable: among those that delivered, and among the others, the order stays.
            self.queues.sort_by_key(|queue| served(queue));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_the_largest_step_not_above_its_priority() {
        let options = Options::default();
        let lists: Vec<String> = [-5, 0, 2, 3, 5, 6, 8, 9, 255].iter().map(|p| options.list("q", options.step(*p))).collect();
        let (three, six, nine) = ("q\u{6}\u{16}3", "q\u{6}\u{16}6", "q\u{6}\u{16}9");
        assert_eq!(lists, ["q", "q", "q", three, three, six, six, nine, nine]);
    }

    #[test]
    fn only_round_robin_moves_a_queue_that_delivered() {
        let queues = || vec!["b".to_owned(), "a".to_owned(), "c".to_owned()];
        for (strategy, expected) in [
            (QueueOrder::RoundRobin, ["a", "c", "b"]),
            (QueueOrder::Priority, ["b", "a", "c"]),
            (QueueOrder::Sorted, ["a", "b", "c"]),
        ] {
            let mut rotation = Rotation::new(queues(), strategy);
            rotation.delivered(|queue| queue == "b");
            assert_eq!(rotation.queues(), expected, "{strategy:?}");
        }
    }
}
