//! Every key the broker uses.
//!
//! # Celery
//! kombu's names, and ours, which begin with `celeriac.`: those of parked messages, of dead letters, of rate limits, of unique keys, of what
//! was revoked and of the timetable.

use crate::broker::{ExchangeType, Options, Queue, RateLimit};

/// The whole names, with the key prefix.
#[derive(Debug)]
pub(super) struct Keys {
    options: Options,
    pub(super) unacked: String,
    pub(super) unacked_index: String,
    /// Hash of parked messages, as they lay in `unacked`.
    pub(super) parked: String,
    /// When they are due.
    pub(super) parked_index: String,
    /// Hash of dead letters.
    pub(super) dead: String,
    /// When they were given up.
    pub(super) dead_index: String,
    /// When the bindings of our expiring queues are forgotten.
    pub(super) bindings_index: String,
    /// Which scheduler leads, while it does.
    pub(super) beat_lead: String,
    /// How often the lead was taken.
    pub(super) beat_leads: String,
    /// Hash of the timetable's states.
    pub(super) beat_entries: String,
    /// Names of the rate limits for which messages wait.
    pub(super) limited: String,
}

impl Keys {
    pub(super) fn new(mut options: Options) -> Self {
        options.priority_steps.sort_unstable();
        options.priority_steps.dedup();
        if options.priority_steps.is_empty() {
            options.priority_steps.push(0);
        }
        let prefix = &options.global_keyprefix;
        let whole = |key: &str| format!("{prefix}{key}");
        Self {
            unacked: whole(&options.unacked_key),
            unacked_index: whole(&options.unacked_index_key),
            parked: whole("celeriac.parked"),
            parked_index: whole("celeriac.parked_index"),
            dead: whole("celeriac.dead_letters"),
            dead_index: whole("celeriac.dead_letters_index"),
            bindings_index: whole("celeriac.bindings_index"),
            beat_lead: whole("celeriac.beat.lead"),
            beat_leads: whole("celeriac.beat.leads"),
            beat_entries: whole("celeriac.beat.entries"),
            limited: whole("celeriac.limited"),
            options,
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// The list a message of this priority lies in.
    pub(super) fn list(&self, queue: &str, priority: i64) -> String {
        self.step_list(queue, self.options.step(priority))
    }

    /// The list of a queue at a step.
    pub(super) fn step_list(&self, queue: &str, step: usize) -> String {
        format!("{}{}", self.options.global_keyprefix, self.options.list(queue, step))
    }

    /// The lists of all steps of a queue.
    pub(super) fn lists(&self, queue: &str) -> Vec<String> {
        (0..self.options.priority_steps.len()).map(|step| self.step_list(queue, step)).collect()
    }

    /// The queue of a list, whatever its step.
    pub(super) fn queue_of_list<'a>(&self, list: &'a str) -> &'a str {
        let queue = list.strip_prefix(self.options.global_keyprefix.as_str()).unwrap_or(list);
        let step = |name: &'a str| name.rsplit_once(self.options.sep.as_str()).filter(|(_, step)| step.parse::<u8>().is_ok());
        step(queue).map_or(queue, |(queue, _)| queue)
    }

    /// The lists of all queues as they are served, each with its queue: step before queue.
    pub(super) fn serving<'a>(&self, queues: &'a [String]) -> Vec<(String, &'a str)> {
        let steps = 0..self.options.priority_steps.len();
        steps.flat_map(|step| queues.iter().map(move |queue| (self.step_list(queue, step), queue.as_str()))).collect()
    }

    /// When the next turn under a rate limit comes.
    pub(super) fn turns(&self, limit: &RateLimit<'_>) -> String {
        format!("{}celeriac.turns.{}{}{}", self.options.global_keyprefix, limit.name, self.options.sep, limit.owner)
    }

    /// What the name of a list ends in, beside it, where messages wait for such a turn.
    pub(super) fn waiting(&self, limit: &str) -> String {
        format!("{sep}limited{sep}{limit}", sep = self.options.sep)
    }

    /// Who holds a unique key.
    pub(super) fn unique(&self, name: &str) -> String {
        format!("{}celeriac.unique.{name}", self.options.global_keyprefix)
    }

    /// The two sets that bind queues to an exchange: all of them, and those that stay.
    pub(super) fn binding_sets(&self, exchange: &str) -> [String; 2] {
        ["binding", "binding_permanent"].map(|kind| format!("{}_kombu.{kind}.{exchange}", self.options.global_keyprefix))
    }

    /// A set of shared texts.
    pub(super) fn kept(&self, set: &str) -> String {
        format!("{}celeriac.{set}", self.options.global_keyprefix)
    }

    /// When the binding sets of expiring queues may be swept, by exchange.
    pub(super) fn binding_deadlines(&self) -> String {
        format!("{}_kombu.binding_deadlines", self.options.global_keyprefix)
    }

    /// The member of those sets for a direct or fanout exchange, which has no pattern.
    pub(super) fn binding(&self, routing_key: &str, queue: &str) -> String {
        let sep = &self.options.sep;
        format!("{routing_key}{sep}{sep}{queue}")
    }

    /// A binding beside the deadlines of all.
    pub(super) fn binding_at(&self, exchange: &str, member: &str) -> String {
        format!("{exchange}{}{member}", self.options.sep)
    }

    /// The member of a task queue.
    pub(super) fn binding_of(&self, queue: &Queue) -> String {
        let sep = &self.options.sep;
        format!("{}{sep}{}{sep}{}", queue.routing_key, queue.pattern(), queue.name)
    }

    /// The queue of a member, if it takes this routing key. The pattern in the middle says the same as the key: it is not read.
    pub(super) fn bound(&self, member: &str, routing_key: &str) -> Option<String> {
        self.queue_of(member, "").filter(|queue| queue.takes(routing_key)).map(|queue| queue.name)
    }

    /// The queue of a member of an exchange's binding set.
    pub(super) fn queue_of(&self, member: &str, exchange: &str) -> Option<Queue> {
        let mut parts = member.splitn(3, self.options.sep.as_str());
        let (routing_key, pattern, name) = (parts.next()?, parts.next()?, parts.next()?);
        let exchange_type = if pattern.is_empty() { ExchangeType::Direct } else { ExchangeType::Topic };
        Some(Queue { name: name.to_owned(), exchange: exchange.to_owned(), exchange_type, routing_key: routing_key.to_owned() })
    }

    /// The pub/sub channel of a fanout exchange; for a listener, the pattern.
    pub(super) fn channel(&self, db: i64, exchange: &str, routing_key: &str) -> String {
        let fanout = self.options.fanout_prefix.replace("{db}", &db.to_string());
        let mut channel = format!("{}{fanout}{exchange}", self.options.global_keyprefix);
        if self.options.fanout_patterns && !routing_key.is_empty() {
            channel.push('/');
            channel.push_str(routing_key);
        }
        channel
    }
}

/// The end of an entry of `unacked` that began with `[` and the envelope.
pub(super) fn entry_end(queue: &str) -> String {
    format!(", \"\", {}]", serde_json::Value::from(queue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_bears_the_prefix_and_steps_come_before_queues() {
        let keys = Keys::new(Options { global_keyprefix: "p:".to_owned(), priority_steps: vec![5, 0], ..Options::default() });
        let queues = ["a".to_owned(), "b".to_owned()];
        let lists: Vec<String> = keys.serving(&queues).into_iter().map(|(list, _)| list).collect();
        assert_eq!(lists, ["p:a", "p:b", "p:a\u{6}\u{16}5", "p:b\u{6}\u{16}5"]);
        assert_eq!(lists.iter().map(|list| keys.queue_of_list(list)).collect::<Vec<_>>(), ["a", "b", "a", "b"]);
        assert_eq!(keys.unacked, "p:unacked");
        assert_eq!(keys.binding_sets("q"), ["p:_kombu.binding.q", "p:_kombu.binding_permanent.q"]);
        assert_eq!(keys.binding("k", "q"), "k\u{6}\u{16}\u{6}\u{16}q");
    }

    #[test]
    fn a_binding_belongs_to_its_routing_key_alone() {
        let keys = Keys::new(Options::default());
        let member = keys.binding("oid", "oid.reply");
        assert_eq!(keys.bound(&member, "oid").as_deref(), Some("oid.reply"));
        assert_eq!(keys.bound(&member, "oi"), None);
        assert_eq!(keys.bound("oid", "oid"), None);
    }

    #[test]
    fn a_fanout_channel_is_named_as_kombu_names_it() {
        let channel = |options: Options, key: &str| Keys::new(options).channel(3, "celeryev", key);
        assert_eq!(channel(Options::default(), ""), "/3.celeryev");
        assert_eq!(channel(Options::default(), "worker.heartbeat"), "/3.celeryev/worker.heartbeat");
        let prefixed = Options { global_keyprefix: "p:".to_owned(), fanout_prefix: "x{db}-".to_owned(), ..Options::default() };
        assert_eq!(channel(prefixed, "a"), "p:x3-celeryev/a");
        assert_eq!(channel(Options { fanout_patterns: false, ..Options::default() }, "a"), "/3.celeryev");
    }

    #[test]
    fn an_entry_ends_as_kombu_writes_it() {
        assert_eq!(entry_end("celery"), r#", "", "celery"]"#);
        assert_eq!(entry_end("a\"b"), r#", "", "a\"b"]"#);
    }
}
