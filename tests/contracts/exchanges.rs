//! The contract of a broker: fanout exchanges and direct replies.

use std::time::Duration;

use crate::contracts;
use crate::ground::{Ground, message, names};
use celeriac::broker::{ExchangeType, Listener, Queue};

contracts!(
    everybody_who_listens_hears_a_broadcast,
    a_listener_hears_its_routing_key_and_no_other,
    a_reply_reaches_every_queue_bound_under_its_routing_key,
    a_reply_to_nobody_is_dropped,
    a_reply_nobody_reads_vanishes,
    an_unbound_queue_loses_its_messages,
    a_broadcast_says_how_many_heard_it,
    replies_are_heard_once_and_waited_for,
    a_message_to_an_exchange_goes_to_the_queues_whose_binding_takes_its_key,
);

const EXPIRES: Duration = Duration::from_secs(10);

async fn hear(listener: &mut Box<dyn Listener>) -> String {
    let heard = tokio::time::timeout(Duration::from_secs(20), listener.next()).await.expect("nothing was heard");
    String::from_utf8(heard.unwrap().unwrap().to_vec()).unwrap()
}

async fn everybody_who_listens_hears_a_broadcast(ground: Ground) {
    ground.broker.broadcast("celery.pidbox", "", "too early").await.unwrap();
    let mut first = ground.broker.listen("celery.pidbox", "").await.unwrap();
    let mut second = ground.broker.listen("celery.pidbox", "").await.unwrap();
    for text in ["1", "2"] {
        ground.broker.broadcast("celery.pidbox", "", text).await.unwrap();
    }
    for listener in [&mut first, &mut second] {
        assert_eq!((hear(listener).await, hear(listener).await), ("1".to_owned(), "2".to_owned()));
    }
    drop(first);
    ground.broker.broadcast("celery.pidbox", "", "3").await.unwrap();
    assert_eq!(hear(&mut second).await, "3");
}

async fn a_listener_hears_its_routing_key_and_no_other(ground: Ground) {
    let mut all = ground.broker.listen("celeryev", "#").await.unwrap();
    let mut workers = ground.broker.listen("celeryev", "worker.#").await.unwrap();
    let mut one = ground.broker.listen("celeryev", "task.sent").await.unwrap();
    let mut other = ground.broker.listen("celery.pidbox", "").await.unwrap();
    for key in ["task.sent", "task.multi", "worker.online", "worker.elect.ack"] {
        ground.broker.broadcast("celeryev", key, key).await.unwrap();
    }
    for key in ["task.sent", "task.multi", "worker.online", "worker.elect.ack"] {
        assert_eq!(hear(&mut all).await, key);
    }
    assert_eq!((hear(&mut workers).await, hear(&mut workers).await), ("worker.online".to_owned(), "worker.elect.ack".to_owned()));
    ground.broker.broadcast("celeryev", "task.sent", "last").await.unwrap();
    ground.broker.broadcast("celery.pidbox", "", "only").await.unwrap();
    assert_eq!((hear(&mut one).await, hear(&mut one).await), ("task.sent".to_owned(), "last".to_owned()));
    assert_eq!(hear(&mut other).await, "only");
}

async fn a_reply_reaches_every_queue_bound_under_its_routing_key(ground: Ground) {
    for (key, queue) in [("a", "q"), ("a", "r"), ("b", "s")] {
        ground.broker.bind("replies", key, queue, EXPIRES).await.unwrap();
    }
    let sent = ground.broker.reply("replies", "a", &message("", "1", 0).envelope, EXPIRES).await.unwrap();
    assert_eq!(sent, 2);
    for queue in ["q", "r"] {
        assert_eq!(names(&ground.drain(queue).await), ["1"]);
    }
    assert_eq!(ground.broker.queue_len("s").await.unwrap(), 0);
}

async fn a_reply_to_nobody_is_dropped(ground: Ground) {
    ground.broker.bind("replies", "a", "q", EXPIRES).await.unwrap();
    for (exchange, key) in [("replies", "b"), ("others", "a")] {
        assert_eq!(ground.broker.reply(exchange, key, "{}", EXPIRES).await.unwrap(), 0);
    }
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
}

async fn a_reply_nobody_reads_vanishes(ground: Ground) {
    ground.broker.bind("replies", "a", "q", EXPIRES).await.unwrap();
    ground.broker.reply("replies", "a", &message("q", "1", 3).envelope, EXPIRES).await.unwrap();
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 1);
    ground.pass(EXPIRES).await;
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
}

async fn an_unbound_queue_loses_its_messages(ground: Ground) {
    ground.broker.bind("replies", "a", "q", EXPIRES).await.unwrap();
    ground.broker.reply("replies", "a", &message("q", "1", 0).envelope, EXPIRES).await.unwrap();
    ground.broker.unbind("replies", "a", "q").await.unwrap();
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
    assert_eq!(ground.broker.reply("replies", "a", "{}", EXPIRES).await.unwrap(), 0);
}

async fn a_broadcast_says_how_many_heard_it(ground: Ground) {
    assert_eq!(ground.broker.broadcast("celery.pidbox", "", "1").await.unwrap(), 0);
    let mut first = ground.broker.listen("celery.pidbox", "").await.unwrap();
    let _second = ground.broker.listen("celery.pidbox", "").await.unwrap();
    let _other = ground.broker.listen("celeryev", "#").await.unwrap();
    assert_eq!(ground.broker.broadcast("celery.pidbox", "", "2").await.unwrap(), 2);
    assert_eq!(hear(&mut first).await, "2");
}

async fn replies_are_heard_once_and_waited_for(ground: Ground) {
    ground.broker.bind("replies", "a", "q", EXPIRES).await.unwrap();
    let reply = async |name: &str, priority| {
        let envelope = message("q", name, priority).envelope;
        ground.broker.reply("replies", "a", &envelope, EXPIRES).await.unwrap();
    };
    let id = |envelope: String| serde_json::from_str::<serde_json::Value>(&envelope).unwrap()["headers"]["id"].clone();
    reply("1", 0).await;
    reply("2", 9).await;
    let mut replies = ground.broker.replies("q").await.unwrap();
    assert_eq!((id(hear(&mut replies).await), id(hear(&mut replies).await)), ("1".into(), "2".into()));
    assert_eq!((ground.broker.queue_len("q").await.unwrap(), ground.leased_len()), (0, 0));
    let (heard, ()) = tokio::join!(hear(&mut replies), reply("3", 0));
    assert_eq!(id(heard), "3");
}

async fn a_message_to_an_exchange_goes_to_the_queues_whose_binding_takes_its_key(ground: Ground) {
    let topic = |name: &str, routing_key: &str| Queue {
        exchange: "media".to_owned(),
        exchange_type: ExchangeType::Topic,
        routing_key: routing_key.to_owned(),
        ..Queue::named(name)
    };
    let direct = Queue { exchange: "media".to_owned(), routing_key: "feed.mp3".to_owned(), ..Queue::named("sound") };
    ground.broker.declare(&[topic("all", "feed.#"), topic("all", "#"), topic("one", "feed.*.jpg"), direct]).await.unwrap();
    for (key, expected) in [("feed.images.jpg", vec!["all", "one"]), ("feed.mp3", vec!["all", "sound"]), ("other", vec!["all"])] {
        assert_eq!(ground.broker.bound("media", key).await.unwrap(), expected, "{key}");
    }
    assert!(ground.broker.bound("nothing", "feed.mp3").await.unwrap().is_empty());
    let bindings = ground.broker.bindings("media").await.unwrap();
    let shown: Vec<_> = bindings.iter().map(|queue| (queue.name.as_str(), queue.routing_key.as_str())).collect();
    assert_eq!(shown, [("all", "#"), ("all", "feed.#"), ("one", "feed.*.jpg"), ("sound", "feed.mp3")]);
}
