//! A queue as it is declared: its name, and under which routing keys an exchange hands messages to it.
//!
//! # Celery
//! kombu's `Queue` and `Exchange`, and `TopicExchange.key_to_pattern`. Difference: a fanout exchange carries no tasks, see
//! [`Broker::broadcast`](super::Broker::broadcast).

/// How an exchange compares routing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExchangeType {
    /// They are equal.
    #[default]
    Direct,
    /// By words between dots: `*` stands for one, `#` for anything.
    Topic,
}

/// A queue and its binding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The exchange it is bound to.
    pub exchange: String,
    /// How that compares routing keys.
    pub exchange_type: ExchangeType,
    /// The routing key, or pattern of keys, it is bound under.
    pub routing_key: String,
}

impl Queue {
    /// A queue that nothing says more of: bound to the direct exchange of its name under its name.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { exchange: name.clone(), routing_key: name.clone(), exchange_type: ExchangeType::Direct, name }
    }

    /// The pattern that stands in its binding: a regular expression for a topic exchange, else nothing.
    pub(crate) fn pattern(&self) -> String {
        let word = |word: &str| match word {
            "*" => r"[^\.]+".to_owned(),
            "#" => ".*?".to_owned(),
            word => escape(word),
        };
        match self.exchange_type {
            ExchangeType::Direct => String::new(),
            ExchangeType::Topic => format!("^{}$", self.routing_key.split('.').map(word).collect::<Vec<_>>().join(r"\.")),
        }
    }

    /// Whether a message of this routing key is for it.
    pub(crate) fn takes(&self, routing_key: &str) -> bool {
        match self.exchange_type {
            ExchangeType::Direct => self.routing_key == routing_key,
            ExchangeType::Topic => fits(&self.routing_key, routing_key),
        }
    }
}

/// Python's `re.escape`.
fn escape(text: &str) -> String {
    const SPECIAL: &str = "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}";
    text.chars().flat_map(|c| SPECIAL.contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Whether a routing key fits a topic exchange's pattern.
fn fits(pattern: &str, key: &str) -> bool {
    let (word, rest) = pattern.split_once('.').map_or((pattern, None), |(word, rest)| (word, Some(rest)));
    let follows = |key: &str| match (rest, key.strip_prefix('.')) {
        (None, _) => key.is_empty(),
        (Some(rest), Some(key)) => fits(rest, key),
        (Some(_), None) => false,
    };
    match word {
        "#" => (0..=key.len()).filter(|end| key.is_char_boundary(*end)).any(|end| follows(&key[end..])),
        "*" => {
            let end = key.find('.').unwrap_or(key.len());
            end > 0 && follows(&key[end..])
        }
        word => key.strip_prefix(word).is_some_and(follows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(routing_key: &str) -> Queue {
        Queue { routing_key: routing_key.to_owned(), exchange_type: ExchangeType::Topic, ..Queue::named("q") }
    }

    #[test]
    fn a_topic_pattern_is_written_as_kombu_writes_it() {
        assert_eq!(topic("feed.#").pattern(), r"^feed\..*?$");
        assert_eq!(topic("feed.*.jp-g").pattern(), r"^feed\.[^\.]+\.jp\-g$");
        assert_eq!(Queue::named("a.#").pattern(), "");
    }

    #[test]
    fn a_queue_takes_what_its_pattern_says() {
        for (pattern, key, expected) in [
            ("feed.#", "feed.images.jpg", true),
            ("feed.#", "feed.", true),
            ("feed.#", "feed", false),
            ("feed.*.jpg", "feed.images.jpg", true),
            ("feed.*.jpg", "feed.a.b.jpg", false),
            ("feed.*.jpg", "feed..jpg", false),
            ("#.jpg", "feed.images.jpg", true),
            ("#", "", true),
            ("*", "a.b", false),
            ("a", "ab", false),
        ] {
            assert_eq!(topic(pattern).takes(key), expected, "{pattern} of {key}");
        }
        assert!(Queue::named("q").takes("q") && !Queue::named("q.#").takes("q.a"));
    }
}
