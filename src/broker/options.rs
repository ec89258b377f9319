//! What a broker is told once: how it names its keys and in what order it serves queues.
//!
//! # Celery
//! `broker_transport_options`, under the same names and with the same defaults.

use std::time::Duration;

use indexmap::IndexMap;

pub use crate::config::QueueOrder;
pub use crate::connection::SentinelOptions;

/// Settings of a broker.
#[derive(Debug, Clone, PartialEq)]
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
    /// How many messages a queue gives for one of another; where there are any, queues without one have 1, and the strategy does not matter.
    pub queue_weights: IndexMap<String, u32>,
    /// A step that had no turn for so long gives one message for twenty of others; zero: it waits.
    pub priority_ageing: Duration,
    /// For a `sentinel://` URL.
    pub sentinel: SentinelOptions,
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
            queue_weights: IndexMap::new(),
            priority_ageing: Duration::from_secs(10),
            sentinel: SentinelOptions::default(),
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
}
