//! The names of leases: `<mark>:<node>:<boot id>:<sequence>`.
//!
//! The mark tells celeriac's leases from Python's, the boot id keeps a restarted worker from overwriting what its dead self held, and
//! the sequence is never used twice, whatever became of the call it was handed to.

use uuid::Uuid;

/// What every tag of celeriac begins with.
pub(crate) const MARK: &str = "celeriac:";

/// Fresh tags for one consumer.
#[derive(Debug)]
pub(crate) struct Tags {
    prefix: String,
    next: u64,
}

impl Tags {
    /// Tags of a consumer that begins now.
    pub(crate) fn new(nodename: &str) -> Self {
        Self { prefix: format!("{MARK}{nodename}:{}:", Uuid::new_v4().simple()), next: 1 }
    }

    /// What all of them begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Takes `count` numbers and returns the first.
    pub(crate) fn take(&mut self, count: usize) -> u64 {
        let first = self.next;
        self.next += count as u64;
        first
    }

    /// The tag of a number.
    pub(crate) fn tag(&self, sequence: u64) -> String {
        format!("{}{sequence}", self.prefix)
    }
}

/// What sorts tags by consumer and then by age.
pub(crate) fn age(tag: &str) -> (&str, u64) {
    let (consumer, sequence) = tag.rsplit_once(':').unwrap_or((tag, ""));
    (consumer, sequence.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_out_twice() {
        let mut tags = Tags::new("celery@a");
        assert_eq!((tags.take(10), tags.take(1), tags.take(5)), (1, 11, 12));
        assert_ne!(tags.prefix(), Tags::new("celery@a").prefix());
    }

    #[test]
    fn tags_sort_by_number_and_not_by_text() {
        let mut tags = ["celeriac:a:1:10", "celeriac:a:1:9", "celeriac:a:0:11"];
        tags.sort_by_key(|tag| age(tag));
        assert_eq!(tags, ["celeriac:a:0:11", "celeriac:a:1:9", "celeriac:a:1:10"]);
    }
}
