//! The contract of a broker: fanout exchanges and direct replies.

use std::time::Duration;

use crate::contracts;
use crate::ground::{Ground, TICK, message, names};
use celeriac::broker::{ExchangeType, Kept, Listener, Queue};

contracts!(
    everybody_who_listens_hears_a_broadcast,
    a_listener_hears_its_routing_key_and_no_other,
    a_reply_reaches_every_queue_bound_under_its_routing_key,
    a_reply_to_nobody_is_dropped,
    a_reply_nobody_reads_vanishes,
    an_unbound_queue_loses_its_messages,
    a_binding_whose_owner_vanished_is_forgotten_after_an_hour,
    a_broadcast_says_how_many_heard_it,
    replies_are_heard_once_and_waited_for,
    a_message_to_an_exchange_goes_to_the_queues_whose_binding_takes_its_key,
    what_is_kept_is_read_by_everybody_oldest_first_with_its_age,
    what_is_kept_expires_and_being_kept_again_makes_it_young,
    of_too_many_texts_the_youngest_are_kept,
    a_later_look_finds_what_was_kept_since_the_last,
);

const EXPIRES: Duration = Duration::from_secs(10);

async fn hear(listener: &mut Box<dyn Listener>) -> String {
    let heard = tokio::time::timeout(Duration::from_secs(20), listener.next()).await.expect("nothing was heard");
    String::from_utf8(heard.unwrap().unwrap().to_vec()).unwrap()
}

async fn everybody_who_listens_hears_a_broadcast(ground: Ground) {
    assert_eq!(ground.broker.broadcast("celery.pidbox", "", "too early").await.unwrap(), 0);
    let mut first = ground.broker.listen("celery.pidbox", "").await.unwrap();
    let mut second = ground.broker.listen("celery.pidbox", "").await.unwrap();
    for text in ["1", "2"] {
        assert_eq!(ground.broker.broadcast("celery.pidbox", "", text).await.unwrap(), 2);
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

async fn a_binding_whose_owner_vanished_is_forgotten_after_an_hour(ground: Ground) {
    let lasting = Queue { exchange: "replies".to_owned(), routing_key: "l".to_owned(), ..Queue::named("lasting") };
    ground.broker.declare(&[lasting]).await.unwrap();
    for queue in ["vanished", "lives"] {
        ground.broker.bind("replies", "a", queue, EXPIRES).await.unwrap();
    }
    assert_eq!(ground.broker.forget_bindings().await.unwrap(), 0);
    ground.pass(Duration::from_secs(3000)).await;
    ground.broker.bind("replies", "a", "lives", EXPIRES).await.unwrap();
    ground.pass(Duration::from_secs(1000)).await;
    assert_eq!(ground.broker.forget_bindings().await.unwrap(), 1);
    assert_eq!(ground.broker.bound("replies", "a").await.unwrap(), ["lives"]);
    assert_eq!(ground.broker.bound("replies", "l").await.unwrap(), ["lasting"]);
    assert_eq!(ground.broker.forget_bindings().await.unwrap(), 0);
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

const KEPT: Duration = Duration::from_secs(60);

fn texts(kept: &Kept) -> Vec<&str> {
    kept.texts.iter().map(|(text, _)| text.as_str()).collect()
}

async fn keep(ground: &Ground, names: &[&str], expires: Duration, most: usize) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    ground.broker.keep("revoked", &names, expires, most).await.unwrap();
}

async fn what_is_kept_is_read_by_everybody_oldest_first_with_its_age(ground: Ground) {
    keep(&ground, &["old"], KEPT, 100).await;
    ground.tick().await;
    keep(&ground, &["a", "b"], KEPT, 100).await;
    let kept = ground.broker.kept("revoked", 0, KEPT, 100).await.unwrap();
    assert_eq!(texts(&kept), ["old", "a", "b"]);
    assert!(kept.texts[0].1 >= TICK && kept.texts[0].1 > kept.texts[1].1, "{kept:?}");
    assert_eq!(texts(&ground.broker.kept("revoked", 0, KEPT, 2).await.unwrap()), ["a", "b"]);
    assert!(ground.broker.kept("others", 0, KEPT, 100).await.unwrap().texts.is_empty());
}

async fn what_is_kept_expires_and_being_kept_again_makes_it_young(ground: Ground) {
    keep(&ground, &["a", "b"], KEPT, 100).await;
    ground.tick().await;
    keep(&ground, &["a"], KEPT, 100).await;
    assert_eq!(texts(&ground.broker.kept("revoked", 0, TICK, 100).await.unwrap()), ["a"], "a reader may want young ones only");
    keep(&ground, &["c"], TICK, 100).await;
    assert_eq!(texts(&ground.broker.kept("revoked", 0, KEPT, 100).await.unwrap()), ["a", "c"], "what is too old is not kept");
}

async fn of_too_many_texts_the_youngest_are_kept(ground: Ground) {
    keep(&ground, &["a"], KEPT, 3).await;
    ground.tick().await;
    keep(&ground, &["b", "c", "d"], KEPT, 3).await;
    assert_eq!(texts(&ground.broker.kept("revoked", 0, KEPT, 100).await.unwrap()), ["b", "c", "d"]);
    let many: Vec<String> = (0..5000).map(|number| format!("{number:04}")).collect();
    ground.broker.keep("revoked", &many, KEPT, 4000).await.unwrap();
    assert_eq!(ground.broker.kept("revoked", 0, KEPT, 10_000).await.unwrap().texts.len(), 4000);
}

async fn a_later_look_finds_what_was_kept_since_the_last(ground: Ground) {
    keep(&ground, &["a"], KEPT, 100).await;
    let first = ground.broker.kept("revoked", 0, KEPT, 100).await.unwrap();
    ground.tick().await;
    let second = ground.broker.kept("revoked", first.now + 1, KEPT, 100).await.unwrap();
    assert!(texts(&second).is_empty() && second.now > first.now);
    keep(&ground, &["b"], KEPT, 100).await;
    let third = ground.broker.kept("revoked", second.now, KEPT, 100).await.unwrap();
    assert_eq!(texts(&third), ["b"]);
}
