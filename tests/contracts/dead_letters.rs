//! The contract of dead letters: kept in the step that settles, found, put back, thrown away, bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use ::redis::Commands;
use bytes::Bytes;
use celeriac::broker::{self, Dead, DeadLetter, Delivery};
use celeriac::settlement::{Disposal, Outgoing, Settled, Settlement};
use chrono::Utc;

use crate::contracts;
use crate::ground::{Ground, json, message, names, settlement, state};
use crate::redis_server::RedisServer;

contracts!(
    a_requeued_letter_is_a_new_message_at_the_tail_of_its_queue,
    a_letter_goes_back_to_the_step_of_its_priority,
    many_letters_go_back_in_their_old_order,
    what_is_no_envelope_stays_a_dead_letter,
    a_discarded_letter_is_gone,
    letters_are_found_by_their_age_oldest_first,
    too_old_and_too_many_letters_are_trimmed,
    a_settlement_keeps_its_message_and_everything_else_in_one_step,
    a_message_that_was_acked_before_its_run_can_be_kept,
    a_lost_delivery_leaves_no_letter,
);

fn letter() -> DeadLetter {
    DeadLetter { reason: "why".to_owned(), nodename: "celery@test".to_owned(), deliveries: 6 }
}

/// The delivery as its request would have it kept.
fn dead(delivery: &Delivery) -> Disposal {
    let Delivery { tag, queue, envelope } = delivery.clone();
    Disposal::DeadLetter(Box::new(Dead { id: tag, queue, envelope, letter: letter(), time: Utc::now() }))
}

/// Gives messages of queue `q` up, and returns their letters' ids, oldest first.
async fn buried(ground: &Ground, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        let delivery = ground.leased(name).await;
        assert!(ground.broker.dead_letter(&delivery.tag, &letter()).await.unwrap());
        ids.push(delivery.tag);
    }
    ids
}

async fn all(ground: &Ground) -> Vec<String> {
    ground.broker.dead_letter_ids(Duration::ZERO, None).await.unwrap()
}

async fn a_requeued_letter_is_a_new_message_at_the_tail_of_its_queue(ground: Ground) {
    let envelope =
        r#"{"body": "W10=", "headers": {"id": "1", "retries": 3}, "properties": {"delivery_info": {"routing_key": "q"}}}"#;
    ground.broker.publish(&[Outgoing { queue: "q".to_owned(), priority: 0, envelope: envelope.to_owned() }]).await.unwrap();
    let mut consumer = ground.consumer(&["q"]).await;
    let first = consumer.fetch(1).await.unwrap().remove(0);
    ground.broker.put_back(&[first.tag], true).await.unwrap();
    let second = consumer.fetch(1).await.unwrap().remove(0);
    assert_eq!(json(&second)["headers"]["x-delivery-count"], 1);
    assert!(ground.broker.dead_letter(&second.tag, &letter()).await.unwrap());
    ground.publish("q", &["2"]).await;

    let ids = all(&ground).await;
    assert_eq!(ground.broker.requeue_dead_letters(&ids).await.unwrap(), ids);
    let taken = consumer.fetch(2).await.unwrap();
    assert_eq!(names(&taken), ["2", "1"]);
    let again = json(&taken[1]);
    assert_eq!(again["headers"], serde_json::json!({"id": "1", "retries": 0}));
    assert_eq!(again["properties"]["delivery_info"], serde_json::json!({"routing_key": "q"}));
    assert!(all(&ground).await.is_empty());
    assert!(ground.broker.requeue_dead_letters(&ids).await.unwrap().is_empty(), "once");
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
}

async fn a_letter_goes_back_to_the_step_of_its_priority(ground: Ground) {
    ground.broker.publish(&[message("q", "late", 9)]).await.unwrap();
    let taken = ground.consumer(&["q"]).await.fetch(1).await.unwrap().remove(0);
    assert!(ground.broker.dead_letter(&taken.tag, &letter()).await.unwrap());
    ground.broker.requeue_dead_letters(&[taken.tag]).await.unwrap();
    ground.publish("q", &["first"]).await;
    assert_eq!(names(&ground.drain("q").await), ["first", "late"]);
}

async fn many_letters_go_back_in_their_old_order(ground: Ground) {
    let numbers: Vec<String> = (0..450).map(|number| number.to_string()).collect();
    ground.publish("q", &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for delivery in ground.drain("q").await {
        assert!(ground.broker.dead_letter(&delivery.tag, &letter()).await.unwrap());
    }
    let ids = all(&ground).await;
    assert_eq!(ground.broker.requeue_dead_letters(&ids).await.unwrap(), ids);
    assert_eq!(names(&ground.drain("q").await), numbers);
}

async fn what_is_no_envelope_stays_a_dead_letter(ground: Ground) {
    let nonsense = Outgoing { queue: "q".to_owned(), priority: 0, envelope: "nonsense".to_owned() };
    ground.broker.publish(&[nonsense, message("q", "good", 0)]).await.unwrap();
    ground.consumer(&["q"]).await.fetch(1).await.unwrap();
    let ids = all(&ground).await;
    assert!(ground.broker.requeue_dead_letters(&ids).await.unwrap().is_empty());
    assert_eq!(ground.broker.dead_letters(&ids).await.unwrap()[0].envelope, Bytes::from_static(b"nonsense"));
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
}

async fn a_discarded_letter_is_gone(ground: Ground) {
    let ids = buried(&ground, &["1", "2", "3"]).await;
    let two = [ids[0].clone(), ids[2].clone(), "nobody".to_owned()];
    assert_eq!(ground.broker.discard_dead_letters(&two).await.unwrap(), 2);
    assert_eq!(all(&ground).await, [ids[1].clone()]);
    assert_eq!(ground.broker.discard_dead_letters(&two).await.unwrap(), 0);
    assert!(ground.broker.requeue_dead_letters(&two).await.unwrap().is_empty());
}

async fn letters_are_found_by_their_age_oldest_first(ground: Ground) {
    let old = buried(&ground, &["1", "2"]).await;
    ground.pass(Duration::from_secs(100)).await;
    let young = buried(&ground, &["3"]).await;
    let (minute, none) = (Duration::from_secs(60), Duration::ZERO);
    assert_eq!(all(&ground).await, [old.clone(), young.clone()].concat());
    assert_eq!(ground.broker.dead_letter_ids(minute, None).await.unwrap(), old);
    assert_eq!(ground.broker.dead_letter_ids(none, Some(minute)).await.unwrap(), young);
    assert!(ground.broker.dead_letter_ids(minute, Some(minute)).await.unwrap().is_empty());
    let found = ground.broker.dead_letters(&[young[0].clone(), "nobody".to_owned(), old[0].clone()]).await.unwrap();
    assert_eq!(found.iter().map(|dead| &dead.id).collect::<Vec<_>>(), [&young[0], &old[0]]);
    assert_eq!((found[0].queue.as_str(), &found[0].letter), ("q", &letter()));
}

async fn too_old_and_too_many_letters_are_trimmed(ground: Ground) {
    let hour = Some(Duration::from_secs(3600));
    let old = buried(&ground, &["1", "2"]).await;
    ground.pass(Duration::from_secs(3700)).await;
    let young = buried(&ground, &["3", "4", "5"]).await;
    assert_eq!(ground.broker.trim_dead_letters(None, 5).await.unwrap(), 0);
    assert_eq!(ground.broker.trim_dead_letters(hour, 100).await.unwrap(), 2);
    assert_eq!(all(&ground).await, young);
    assert!(ground.broker.dead_letters(&old).await.unwrap().is_empty());
    assert_eq!(ground.broker.trim_dead_letters(hour, 1).await.unwrap(), 2, "the oldest go");
    assert_eq!(all(&ground).await, young[2..]);
    assert_eq!(ground.broker.trim_dead_letters(hour, 1).await.unwrap(), 0);
    assert_eq!(ground.broker.vitals().await.unwrap().dead_letters, 1);
}

async fn a_settlement_keeps_its_message_and_everything_else_in_one_step(ground: Ground) {
    let delivery = ground.leased("1").await;
    let writes = vec![state("celery-task-meta-1", "FAILURE")];
    let settled = ground.settle(&Settlement { disposal: dead(&delivery), writes, ..settlement(&delivery) }).await;
    assert_eq!(settled, Settled::Done);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("next").await.unwrap()), (0, 1));
    assert!(ground.value("celery-task-meta-1").await.unwrap().contains("FAILURE"));
    let found = ground.broker.dead_letters(&all(&ground).await).await.unwrap();
    assert_eq!((found.len(), &found[0].id, &found[0].envelope), (1, &delivery.tag, &delivery.envelope));
    assert_eq!((found[0].queue.as_str(), &found[0].letter), ("q", &letter()));
    assert!((Utc::now() - found[0].time).num_seconds() < 60);
}

async fn a_message_that_was_acked_before_its_run_can_be_kept(ground: Ground) {
    let delivery = ground.leased("1").await;
    assert_eq!(ground.settle(&Settlement::ack(&delivery.tag)).await, Settled::Done);
    let kept = Settlement { tag: None, disposal: dead(&delivery), ..Settlement::ack("") };
    assert!(!kept.is_empty());
    for _ in 0..2 {
        assert_eq!(ground.settle(&kept).await, Settled::Done, "a reply that was lost is asked for again");
    }
    assert_eq!(all(&ground).await, [delivery.tag]);
}

async fn a_lost_delivery_leaves_no_letter(ground: Ground) {
    let delivery = ground.leased("1").await;
    ground.broker.put_back(std::slice::from_ref(&delivery.tag), false).await.unwrap();
    assert_eq!(ground.settle(&Settlement { disposal: dead(&delivery), ..settlement(&delivery) }).await, Settled::Lost);
    assert!(all(&ground).await.is_empty());
}

#[tokio::test]
async fn a_letter_whose_queue_is_no_queue_stays_and_one_of_a_follow_up_knows_its_queue() {
    let Some(ground) = Ground::redis() else { return };
    let mut raw = ground.raw(0);
    raw.set::<_, _, ()>("b:wrong", "no list").unwrap();
    let delivery = ground.leased("1").await;
    let publish = vec![message("wrong", "x", 0), message("wrong", "y", 9), message("celeriac.parked", "z", 0)];
    raw.set::<_, _, ()>("b:wrong\u{6}\u{16}9", "no list").unwrap();
    assert_eq!(ground.settle(&Settlement { publish, ..settlement(&delivery) }).await, Settled::Done);
    let ids = all(&ground).await;
    let found = ground.broker.dead_letters(&ids).await.unwrap();
    let queues: BTreeSet<&str> = found.iter().map(|dead| dead.queue.as_str()).collect();
    assert_eq!((ids.len(), queues), (3, ["wrong", "celeriac.parked"].into()));
    assert!(found.iter().all(|dead| (Utc::now() - dead.time).num_seconds() < 60), "{found:?}");
    assert!(ground.broker.requeue_dead_letters(&ids).await.unwrap().is_empty());
    raw.del::<_, ()>(&["b:wrong", "b:wrong\u{6}\u{16}9"]).unwrap();
    assert_eq!(ground.broker.requeue_dead_letters(&ids).await.unwrap().len(), 2, "once its name is free");
    assert_eq!(names(&ground.drain("wrong").await), ["x", "y"]);
    assert_eq!(all(&ground).await.len(), 1, "our own key is no queue even while it is empty");
}

#[tokio::test]
async fn a_server_that_dies_while_letters_go_back_has_each_once() {
    const LETTERS: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let Some(mut server) = RedisServer::start_with(|port| {
        let durable = format!("--port {port} --appendonly yes --appendfsync always --dir {}", dir.path().display());
        durable.split(' ').map(str::to_owned).collect()
    }) else {
        return;
    };
    let mut raw = ::redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
    let mut seed = ::redis::pipe();
    for number in 0..LETTERS {
        let name = number.to_string();
        let kept = serde_json::json!({"queue": "q", "envelope": message("q", &name, 0).envelope}).to_string();
        seed.hset("celeriac.dead_letters", &name, kept).zadd("celeriac.dead_letters_index", &name, number);
    }
    seed.exec(&mut raw).unwrap();
    let broker = broker::open(&server.url(0), broker::Options::default()).unwrap();
    let ids = broker.dead_letter_ids(Duration::ZERO, None).await.unwrap();
    assert_eq!(ids.len(), LETTERS);
    let requeue = {
        let (broker, ids) = (broker.clone(), ids.clone());
        async move { broker.requeue_dead_letters(&ids).await }
    };
    let killed = async {
        while raw.llen::<_, usize>("q").unwrap() < 1000 {
            tokio::task::yield_now().await;
        }
        server.start_again();
    };
    tokio::select! {
        ended = requeue => assert!(ended.is_err(), "the server died before the end"),
        () = killed => {}
    }
    let mut raw = ::redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
    // It answers before it has read its file.
    while raw.exists::<_, bool>("q").is_err() {
        tokio::task::yield_now().await;
    }
    let waiting: Vec<Vec<u8>> = raw.lrange("q", 0, -1).unwrap();
    let kept: Vec<String> = raw.hkeys("celeriac.dead_letters").unwrap();
    assert!(waiting.len() >= 1000 && !kept.is_empty(), "{} of {LETTERS} had gone", waiting.len());
    assert_eq!(raw.zcard::<_, usize>("celeriac.dead_letters_index").unwrap(), kept.len());
    let name =
        |text: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(text).unwrap()["headers"]["id"].as_str().unwrap().to_owned();
    let each: BTreeSet<String> = waiting.iter().map(name).chain(kept.iter().cloned()).collect();
    assert_eq!((each.len(), waiting.len() + kept.len()), (LETTERS, LETTERS), "none lost, none twice");
}
