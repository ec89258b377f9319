//! The flags of `dlq`.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::dead_letters::Filter;

/// `dlq`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Show which messages were given up, youngest first
    List {
        /// Which
        #[command(flatten)]
        which: Which,
        /// How many to show
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// How many to leave out before them
        #[arg(long, value_name = "N", default_value_t = 0)]
        skip: usize,
    },
    /// Show one, with its message
    Show {
        /// Its id, or its task's
        id: String,
    },
    /// Put them back to the tails of their queues, as if they were new
    Requeue(ActArgs),
    /// Throw them away
    Discard(ActArgs),
}

/// What `requeue` and `discard` act on.
#[derive(Args, Debug)]
pub struct ActArgs {
    /// Ids of letters, or of their tasks
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// All there are
    #[arg(long, conflicts_with_all = ["ids", "queue", "task", "reason", "older", "newer"])]
    pub all: bool,
    /// Do not ask
    #[arg(short = 'f', long, visible_alias = "yes")]
    pub force: bool,
}

/// Which letters are meant.
#[derive(Args, Debug)]
pub struct Which {
    /// Only those from this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only those that call this task
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only those whose reason contains this
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those given up longer ago: 90, 15m, 2h, 7d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older: Option<Duration>,
    /// Only those given up since
    #[arg(long, value_name = "AGE", value_parser = age)]
    newer: Option<Duration>,
}

impl Which {
    pub(crate) fn filter(&self, ids: &[String]) -> Filter {
        Filter {
            ids: ids.to_vec(),
            queue: self.queue.clone(),
            task: self.task.clone(),
            reason: self.reason.clone(),
            min_age: self.older.unwrap_or_default(),
            max_age: self.newer,
        }
    }
}

/// A number of seconds, or of minutes, hours or days with their letter.
fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
        Some((number, "s")) => (number, 1.0),
        Some((number, "m")) => (number, 60.0),
        Some((number, "h")) => (number, 3600.0),
        Some((number, "d")) => (number, 86_400.0),
        _ => (text.trim(), 1.0),
    };
    let number: f64 = number.parse().map_err(|_| "not an age: 90, 15m, 2h, 7d".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_of_seconds_or_has_its_unit() {
        for (text, seconds) in [("90", 90.0), ("0.5", 0.5), ("30s", 30.0), ("15m", 900.0), (" 2h ", 7200.0), ("7d", 604_800.0)] {
            assert_eq!(age(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for text in ["", "h", "-1", "2w", "NaN", "1e400d", "7é"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
