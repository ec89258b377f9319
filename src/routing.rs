//! Where a message goes: the queue that is declared for it, and the exchange with a routing key where it does not go straight.
//!
//! # Celery
//! `app/routes.py: Router.route` and the first half of `send_task_message` in `app/amqp.py`. Difference: any queue may be used, whatever
//! `task_create_missing_queues` says.

use crate::broker::{ExchangeType, Queue};
use crate::canvas::Publish;
use crate::config::{Route, Settings};
use crate::error::{Error, Result};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// What is declared before it is sent.
    pub(crate) queue: Queue,
    /// Empty: straight into the queue.
    pub(crate) exchange: String,
    /// The routing key; straight, the queue's name.
    pub(crate) routing_key: String,
}

/// The route of what is called by this name, which may be another name of a task (`celeriac.task_aliases`): it goes where the task goes.
pub(crate) fn route<'a>(settings: &'a Settings, name: &str) -> Option<&'a Route> {
    settings.task_routes.route(settings.celeriac.task_aliases.get(name).map_or(name, String::as_str))
}

/// The address of a message. Its own options rank above `task_routes`, these above the queue of the task's author.
pub(crate) fn address(settings: &Settings, publish: &Publish, author: Option<&str>) -> Result<Address> {
    let route = route(settings, &publish.message.headers.task);
    let option = |own: &Option<String>, routed: Option<&Option<String>>| own.clone().or_else(|| routed.cloned().flatten());
    let queue = option(&publish.queue, route.map(|route| &route.queue));
    let exchange = option(&publish.exchange, route.map(|route| &route.exchange)).filter(|exchange| !exchange.is_empty());
    let routing_key = option(&publish.routing_key, route.map(|route| &route.routing_key)).filter(|key| !key.is_empty());
    let queue = declared(settings, queue.as_deref().or(author).unwrap_or(&settings.task_default_queue))?;
    Ok(match (exchange, routing_key, queue.exchange_type) {
        (Some(exchange), Some(routing_key), _) => Address { queue, exchange, routing_key },
        (_, _, ExchangeType::Direct) => Address { exchange: String::new(), routing_key: queue.name.clone(), queue },
        (exchange, routing_key, ExchangeType::Topic) => Address {
            exchange: exchange.unwrap_or_else(|| queue.exchange.clone()),
            routing_key: routing_key.unwrap_or_else(|| queue.routing_key.clone()),
            queue,
        },
    })
}

/// How a queue is declared.
pub(crate) fn declared(settings: &Settings, name: &str) -> Result<Queue> {
    let options = settings.task_queues.get(name);
    if options.is_none() && (!settings.task_queues.is_empty() || name != settings.task_default_queue) {
        return Ok(Queue::named(name));
    }
    let options = options.cloned().unwrap_or_default();
    let default = |setting: &Option<String>| setting.clone().unwrap_or_else(|| settings.task_default_queue.clone());
    // A queue that names its exchange says of what type that is; the default exchange has its own.
    let usual = options.exchange.is_none().then_some(&settings.task_default_exchange_type);
    let exchange_type = match options.exchange_type.as_ref().or(usual).map_or("direct", String::as_str) {
        "direct" => ExchangeType::Direct,
        "topic" => ExchangeType::Topic,
        other => return Err(Error::config(format!("queue {name:?}: tasks go through direct and topic exchanges, not {other}"))),
    };
    let routing_key = match (options.routing_key, settings.task_queues.is_empty()) {
        (Some(routing_key), _) => routing_key,
        (None, true) => default(&settings.task_default_routing_key),
        (None, false) => name.to_owned(),
    };
    let exchange = options.exchange.unwrap_or_else(|| default(&settings.task_default_exchange));
    Ok(Queue { name: name.to_owned(), exchange, exchange_type, routing_key })
}

/// The queues of the settings that a message to this exchange goes to.
pub(crate) fn bound(settings: &Settings, address: &Address) -> Result<Vec<String>> {
    let names = settings.task_queues.iter().map(|(name, _)| name).chain([settings.task_default_queue.as_str()]);
    let known = names.map(|name| declared(settings, name)).chain([Ok(address.queue.clone())]);
    let mut queues = Vec::new();
    for queue in known {
        let queue = queue?;
        if queue.exchange == address.exchange && queue.takes(&address.routing_key) && !queues.contains(&queue.name) {
            queues.push(queue.name);
        }
    }
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    fn settings(json: &str) -> Settings {
        serde_json::from_str(json).unwrap()
    }

    fn publish(queue: Option<&str>, exchange: Option<&str>, routing_key: Option<&str>) -> Publish {
        let [queue, exchange, routing_key] = [queue, exchange, routing_key].map(|option| option.map(str::to_owned));
        Publish { message: Message::new("proj.add", "id"), queue, exchange, routing_key, ..Publish::default() }
    }

    fn goes(settings: &Settings, publish: &Publish) -> (String, String, String) {
        let Address { queue, exchange, routing_key } = address(settings, publish, None).unwrap();
        (queue.name, exchange, routing_key)
    }

    fn three(queue: &str, exchange: &str, routing_key: &str) -> (String, String, String) {
        (queue.to_owned(), exchange.to_owned(), routing_key.to_owned())
    }

    const TABLE: &str = r#"{"task_queues": {
        "feed": {"exchange": "media", "exchange_type": "topic", "routing_key": "feed.#"},
        "one": {"exchange": "media", "exchange_type": "topic", "routing_key": "feed.*.jpg"},
        "myq": {"exchange": "myex", "routing_key": "my.key"},
        "plain": {}}}"#;

    #[test]
    fn a_message_goes_straight_unless_an_exchange_and_a_key_are_named_or_the_exchange_is_a_topic() {
        let table = settings(TABLE);
        let to = |queue, exchange, key| goes(&table, &publish(queue, exchange, key));
        assert_eq!(to(Some("other"), None, None), three("other", "", "other"));
        assert_eq!(to(Some("myq"), None, None), three("myq", "", "myq"));
        assert_eq!(to(Some("myq"), None, Some("my.key")), three("myq", "", "myq"));
        assert_eq!(to(Some("myq"), Some("myex"), Some("my.key")), three("myq", "myex", "my.key"));
        assert_eq!(to(Some("feed"), None, Some("feed.images.jpg")), three("feed", "media", "feed.images.jpg"));
        assert_eq!(to(Some("feed"), None, None), three("feed", "media", "feed.#"));
        assert_eq!(to(None, Some("myex"), Some("my.key")), three("celery", "myex", "my.key"));
    }

    #[test]
    fn own_options_rank_above_routes_and_these_above_the_tasks_author() {
        let routed = settings(r#"{"task_routes": {"proj.*": {"queue": "routed", "priority": 6}}}"#);
        assert_eq!(goes(&routed, &publish(None, None, None)), three("routed", "", "routed"));
        assert_eq!(goes(&routed, &publish(Some("own"), None, None)), three("own", "", "own"));
        assert_eq!(address(&routed, &publish(None, None, None), Some("author")).unwrap().routing_key, "routed");
        assert_eq!(address(&Settings::default(), &publish(None, None, None), Some("author")).unwrap().routing_key, "author");
    }

    #[test]
    fn the_default_exchange_and_key_are_those_of_the_default_queue() {
        let plain = declared(&Settings::default(), "celery").unwrap();
        assert_eq!(plain, Queue::named("celery"));
        let set = settings(
            r#"{"task_default_exchange": "tasks", "task_default_exchange_type": "topic", "task_default_routing_key": "t.#"}"#,
        );
        let queue = declared(&set, "celery").unwrap();
        assert_eq!(
            (queue.exchange.as_str(), queue.exchange_type, queue.routing_key.as_str()),
            ("tasks", ExchangeType::Topic, "t.#")
        );
        assert_eq!(declared(&set, "other").unwrap(), Queue::named("other"), "a queue nobody declared has its own exchange");
        let listed = declared(&settings(TABLE), "plain").unwrap();
        assert_eq!((listed.exchange.as_str(), listed.routing_key.as_str()), ("celery", "plain"));
    }

    #[test]
    fn a_fanout_exchange_carries_no_tasks() {
        let fanout = settings(r#"{"task_queues": {"all": {"exchange": "all", "exchange_type": "fanout"}}}"#);
        assert!(address(&fanout, &publish(Some("all"), None, None), None).is_err());
    }

    #[test]
    fn who_cannot_ask_the_broker_knows_the_queues_of_the_settings() {
        let table = settings(TABLE);
        let feed = address(&table, &publish(Some("feed"), None, Some("feed.images.jpg")), None).unwrap();
        assert_eq!(bound(&table, &feed).unwrap(), ["feed", "one"]);
    }
}
