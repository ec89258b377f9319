//! What lies in Redis, as a Python peer reads it.

use std::collections::BTreeSet;
use std::time::Duration;

use celeriac::broker::{ExchangeType, KeyTaken, Queue, UniqueKey};
use celeriac::settlement::{ChordPart, Disposal, Outgoing, Settled, Settlement, Write};
use redis::Commands;
use tokio::sync::mpsc;

use crate::ground::{Ground, LEASE, json, message, state};

#[tokio::test]
async fn a_lease_lies_in_unacked_as_kombu_writes_it() {
    let Some(ground) = Ground::plain_redis() else { return };
    ground.broker.publish(&[message("celery", "1", 3)]).await.unwrap();
    let mut raw = ground.raw(0);
    assert_eq!(raw.lrange::<_, Vec<String>>("celery\u{6}\u{16}3", 0, -1).unwrap(), [message("celery", "1", 3).envelope]);
    let taken = ground.drain("celery").await;
    let entry: String = raw.hget("unacked", &taken[0].tag).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
    assert_eq!(entry, serde_json::json!([json(&taken[0]), "", "celery"]));
    let score: f64 = raw.zscore("unacked_index", &taken[0].tag).unwrap();
    let (seconds, _): (f64, f64) = redis::cmd("TIME").query(&mut raw).unwrap();
    assert!((score - seconds).abs() < 5.0, "{score} is no unix time");
}

#[tokio::test]
async fn a_declared_queue_is_bound_to_the_exchange_of_its_name() {
    let Some(ground) = Ground::plain_redis() else { return };
    let media = |routing_key: &str| Queue {
        exchange: "media".to_owned(),
        exchange_type: ExchangeType::Topic,
        routing_key: routing_key.to_owned(),
        ..Queue::named("feed")
    };
    let queues = [Queue::named("celery"), Queue::named("pages"), media("feed.#")];
    ground.broker.declare(&queues).await.unwrap();
    ground.broker.declare(&queues).await.unwrap();
    let mut raw = ground.raw(0);
    for set in ["_kombu.binding.pages", "_kombu.binding_permanent.pages"] {
        assert_eq!(raw.smembers::<_, Vec<String>>(set).unwrap(), ["pages\u{6}\u{16}\u{6}\u{16}pages"]);
    }
    assert!(raw.exists::<_, bool>("_kombu.binding.celery").unwrap());
    let recorded = "feed.#\u{6}\u{16}^feed\\..*?$\u{6}\u{16}feed";
    assert_eq!(raw.smembers::<_, Vec<String>>("_kombu.binding.media").unwrap(), [recorded]);
}

#[tokio::test]
async fn a_state_is_announced_on_the_channel_of_its_key() {
    let Some(ground) = Ground::redis() else { return };
    let (sender, mut pushes) = mpsc::unbounded_channel();
    let url = format!("{}?protocol=resp3", ground.raw_url(1));
    let config = redis::AsyncConnectionConfig::new().set_push_sender(sender);
    let client = redis::Client::open(url).unwrap();
    let mut subscriber = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
    subscriber.subscribe("r_celery-task-meta-1").await.unwrap();
    ground.backend.apply(&[state("celery-task-meta-1", "SUCCESS")]).await.unwrap();
    ground.backend.apply(&[state("celery-task-meta-1", "FAILURE"), state("celery-task-meta-2", "SUCCESS")]).await.unwrap();
    let delivery = ground.leased("x").await;
    let last = Settlement { writes: vec![state("celery-task-meta-1", "RETRY")], ..Settlement::ack(delivery.tag) };
    assert_eq!(ground.settle(&last).await, Settled::Done);
    subscriber.unsubscribe("r_celery-task-meta-1").await.unwrap();
    let mut announced = Vec::new();
    while let Ok(push) = pushes.try_recv() {
        if push.kind == redis::PushKind::Message {
            announced.push(redis::from_redis_value::<String>(push.data[1].clone()).unwrap());
        }
    }
    assert_eq!(announced.len(), 1, "{announced:?}");
    assert!(announced[0].contains("SUCCESS"));
}

#[tokio::test]
async fn a_chord_lies_in_the_keys_of_celery_5_7() {
    let Some(ground) = Ground::plain_redis() else { return };
    let start = Write::ChordStart { group_id: "G".to_owned(), size: 1, ttl: Some(100) };
    ground.backend.apply(&[start]).await.unwrap();
    let mut raw = ground.raw(0);
    let base = "celery-task-meta-G".replace("task-", "taskset-");
    // A task that was added to the chord while it ran.
    raw.incr::<_, _, ()>(format!("{base}.t"), 1).unwrap();
    let part = |task: &str, index| ChordPart {
        group_id: "G".to_owned(),
        task_id: task.to_owned(),
        group_index: index,
        entry: task.as_bytes().to_vec(),
        ttl: Some(100),
        token: format!("token {task}"),
        claim_s: 6,
        ordered: true,
    };
    let delivery = ground.leased("x").await;
    let first = Settlement { chord_part: Some(part("a", Some(0))), ..Settlement::ack(delivery.tag) };
    assert_eq!(ground.settle(&first).await, Settled::Done);
    let delivery = ground.leased("y").await;
    let mut last = Settlement { chord_part: Some(part("b", None)), ..Settlement::ack(delivery.tag) };
    assert_eq!(ground.settle(&last).await, Settled::ChordComplete);
    let members: BTreeSet<String> = raw.smembers(format!("{base}.d")).unwrap();
    assert_eq!(members, BTreeSet::from(["a:0".to_owned(), "b:+inf".to_owned()]));
    let entries: Vec<(String, f64)> = raw.zrange_withscores(format!("{base}.j"), 0, -1).unwrap();
    assert_eq!(entries, [("a".to_owned(), 0.0), ("b".to_owned(), f64::INFINITY)]);
    assert_eq!(raw.get::<_, String>(format!("{base}.c")).unwrap(), "token b");
    for (suffix, limit) in [(".j", 100), (".t", 100), (".s", 100), (".d", 100), (".c", 6)] {
        let left: i64 = raw.ttl(format!("{base}{suffix}")).unwrap();
        assert!(left > limit / 2 && left <= limit, "{suffix}: {left}");
    }
    last.chord_part = None;
    last.writes = vec![Write::ChordClose { group_id: "G".to_owned(), token: "token b".to_owned() }];
    assert_eq!(ground.settle(&last).await, Settled::Done);
    assert_eq!(raw.keys::<_, Vec<String>>("celery-taskset*").unwrap(), [format!("{base}.c")]);
    assert_eq!(raw.get::<_, String>(format!("{base}.c")).unwrap(), "done");
    assert!(raw.ttl::<_, i64>(format!("{base}.c")).unwrap() > 250);
}

#[tokio::test]
async fn every_key_bears_its_side_s_prefix() {
    let Some(ground) = Ground::redis() else { return };
    ground.broker.declare(&[Queue::named("q")]).await.unwrap();
    ground.publish("q", &["1", "2", "3"]).await;
    let taken = ground.drain("q").await;
    let settlement = Settlement {
        writes: vec![state("celery-task-meta-1", "SUCCESS")],
        publish: vec![message("next", "x", 5)],
        disposal: Disposal::Requeue { raise_count: false },
        ..Settlement::ack(taken[0].tag.clone())
    };
    assert_eq!(ground.settle(&settlement).await, Settled::Done);
    let key = UniqueKey { name: "k", holder: "2", lasts: LEASE, lease: LEASE, revoked: None };
    assert_eq!(ground.broker.take_key(&taken[1].tag, &key).await.unwrap(), KeyTaken::Ours);
    assert!((10..=12).contains(&ground.raw(0).ttl::<_, i64>("b:celeriac.unique.k").unwrap()));
    ground.broker.park(&taken[1].tag, chrono::Utc::now()).await.unwrap();
    let (broker, backend): (Vec<String>, Vec<String>) = (ground.raw(0).keys("*").unwrap(), ground.raw(1).keys("*").unwrap());
    assert!(broker.len() >= 9 && broker.iter().all(|key| key.starts_with("b:")), "{broker:?}");
    assert_eq!(backend, ["r_celery-task-meta-1"]);
}

#[tokio::test]
async fn a_python_lease_is_left_to_python() {
    let Some(ground) = Ground::plain_redis() else { return };
    let mut raw = ground.raw(0);
    for number in 0..700 {
        let tag = format!("{number:08}-python");
        raw.hset::<_, _, _, ()>("unacked", &tag, "[{}, \"\", \"q\"]").unwrap();
        raw.zadd::<_, _, _, ()>("unacked_index", &tag, number).unwrap();
    }
    let delivery = ground.leased("ours").await;
    ground.pass(std::time::Duration::from_secs(60)).await;
    assert_eq!(ground.broker.restore_orphans(crate::ground::LEASE).await.unwrap(), 1);
    assert_eq!(raw.hlen::<_, usize>("unacked").unwrap(), 700);
    assert_eq!(raw.hexists::<_, _, bool>("unacked", &delivery.tag), Ok(false));
}

#[tokio::test]
async fn a_row_without_its_message_is_swept_and_a_torn_message_given_up() {
    let Some(ground) = Ground::redis() else { return };
    let mut raw = ground.raw(0);
    raw.zadd::<_, _, _, ()>("b:unacked_index", "celeriac:x:1:1", 1).unwrap();
    raw.zadd::<_, _, _, ()>("b:unacked_index", "celeriac:x:1:2", 1).unwrap();
    raw.hset::<_, _, _, ()>("b:unacked", "celeriac:x:1:2", "[no json, \"\", \"q\"]").unwrap();
    assert_eq!(ground.broker.restore_orphans(crate::ground::LEASE).await.unwrap(), 0);
    assert_eq!(raw.exists::<_, usize>(&["b:unacked", "b:unacked_index"]).unwrap(), 0);
    let dead = ground.dead_letters().await.remove(0);
    assert_eq!((dead.envelope.as_str(), dead.queue.as_str()), ("no json", "q"));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_in_base64() {
    let Some(ground) = Ground::redis() else { return };
    let mut raw = ground.raw(0);
    raw.lpush::<_, _, ()>("b:q", &b"\xff\x00{"[..]).unwrap();
    ground.broker.publish(&[Outgoing { envelope: "{}".to_owned(), ..message("q", "", 0) }]).await.unwrap();
    assert_eq!(ground.consumer(&["q"]).await.fetch(2).await.unwrap().len(), 1);
    let letters: Vec<String> = raw.hvals("b:celeriac.dead_letters").unwrap();
    assert!(letters[0].contains(r#""envelope_base64":"/wB7""#), "{letters:?}");
}

#[tokio::test]
async fn a_listener_hears_again_after_its_connection_broke() {
    let Some(ground) = Ground::redis() else { return };
    let mut listener = ground.broker.listen("celery.pidbox", "").await.unwrap();
    let mut raw = ground.raw(0);
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).exec(&mut raw).unwrap();
    // A broadcast goes only to who listens at this moment: it is sent until the subscription is back.
    let send = async {
        while raw.publish::<_, _, usize>("b:/0.celery.pidbox", "again").unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let (heard, ()) = tokio::join!(listener.next(), send);
    assert_eq!(heard.unwrap().as_deref(), Some(b"again".as_slice()));
}

#[tokio::test]
async fn a_bound_queue_expires_as_kombu_writes_it() {
    let Some(ground) = Ground::plain_redis() else { return };
    ground.broker.bind("celery.pidbox", "", "w.celery.pidbox", Duration::from_secs(10)).await.unwrap();
    let mut raw = ground.raw(0);
    let members: Vec<String> = raw.smembers("_kombu.binding.celery.pidbox").unwrap();
    assert_eq!(members, ["\u{6}\u{16}\u{6}\u{16}w.celery.pidbox"]);
    assert!(!raw.exists::<_, bool>("_kombu.binding_permanent.celery.pidbox").unwrap());
    let deadline: f64 = raw.zscore("_kombu.binding_deadlines", "celery.pidbox").unwrap();
    let (seconds, _): (f64, f64) = redis::cmd("TIME").query(&mut raw).unwrap();
    assert!((deadline / 1000.0 - seconds - 3600.0).abs() < 5.0, "{deadline}");
}
