//! A Redis server that breaks, forgets, refuses: nothing is lost, nothing is done twice.

use std::collections::BTreeSet;
use std::time::Duration;

use celeriac::Error;
use celeriac::backend;
use celeriac::broker;
use celeriac::settlement::{Settled, Settlement, Write};
use redis::Commands;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, LEASE, message, names, settlement, state, tags};

fn run(ground: &Ground, command: &[&str]) {
    redis::cmd(command[0]).arg(&command[1..]).exec(&mut ground.raw(0)).unwrap();
}

/// Waits, without a sleep of ours, until the server says so.
async fn until(ground: &Ground, command: &[&str], says: impl Fn(&str) -> bool) {
    let mut raw = ground.raw(0);
    loop {
        let answer: redis::Value = redis::cmd(command[0]).arg(&command[1..]).query(&mut raw).unwrap();
        if says(&redis::from_redis_value::<String>(answer).unwrap()) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Until a consumer waits with a watch on its queues.
async fn until_watching(ground: &Ground) {
    until(ground, &["INFO", "clients"], |text| text.contains("tracking_clients:1")).await;
    until(ground, &["INFO", "stats"], |text| !text.contains("tracking_total_keys:0\r")).await;
}

#[tokio::test]
async fn a_waiting_fetch_outlives_its_connection() {
    let Some(ground) = Ground::redis() else { return };
    let mut consumer = ground.consumer(&["q"]).await;
    let trouble = async {
        until_watching(&ground).await;
        run(&ground, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        ground.publish("q", &["1"]).await;
    };
    let (taken, ()) = tokio::join!(consumer.fetch(10), trouble);
    assert_eq!(names(&taken.unwrap()), ["1"]);
    let sent = ["2"];
    let (taken, ()) = tokio::join!(consumer.fetch(10), ground.publish("q", &sent));
    assert_eq!(names(&taken.unwrap()), ["2"], "the new connection is watched too");
}

#[tokio::test]
async fn a_waiting_fetch_outlives_its_server() {
    let Some(mut ground) = Ground::redis() else { return };
    let mut consumer = ground.consumer(&["q"]).await;
    let broker = ground.broker.clone();
    let trouble = async {
        until_watching(&ground).await;
        ground.server().start_again();
        while let Err(down) = broker.publish(&[message("q", "1", 0)]).await {
            assert!(down.is_transient(), "{down}");
        }
    };
    let (taken, ()) = tokio::join!(consumer.fetch(10), trouble);
    assert_eq!(names(&taken.unwrap()), ["1"]);
}

/// The driver's own time-out is half a second: it drops the call while the server goes on, and the messages are leased to nobody.
#[tokio::test]
async fn a_server_that_stands_still_for_a_while_answers_in_the_end() {
    let Some(mut ground) = Ground::redis() else { return };
    ground.publish("q", &["1"]).await;
    let mut consumer = ground.consumer(&["q"]).await;
    ground.server().signal("STOP");
    let fetch = consumer.fetch(1);
    tokio::pin!(fetch);
    assert!(tokio::time::timeout(Duration::from_millis(800), &mut fetch).await.is_err());
    ground.server().signal("CONT");
    assert_eq!(names(&fetch.await.unwrap()), ["1"]);
}

/// Behind a hole in the network a try to connect gets no answer, and nobody says so: the next does not wait until it has failed.
#[tokio::test]
async fn a_try_to_connect_that_was_swallowed_is_joined_by_another() {
    let Some(mut ground) = Ground::redis() else { return };
    let port = ground.server().port();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    let way = async {
        let (_swallowed, _) = listener.accept().await.unwrap();
        let (mut through, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio::io::copy_bidirectional(&mut through, &mut server).await
    };
    let broker = broker::open(&url, broker::Options::default()).unwrap();
    tokio::select! {
        // A try by itself has five seconds.
        answer = tokio::time::timeout(Duration::from_secs(4), broker.queue_len("q")) => {
            assert_eq!(answer.expect("the second try answers before the first has failed").unwrap(), 0);
        }
        ended = way => unreachable!("{ended:?}"),
    }
}

/// A fetch connection that had nothing to say while the network swallowed everything is as dead as the one on which that was noticed.
#[tokio::test]
async fn a_hole_in_the_network_costs_all_connections_of_a_worker_one_deadline_together() {
    let Some(mut ground) = Ground::redis() else { return };
    let port = ground.server().port();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    let (hole, before) = (CancellationToken::new(), CancellationToken::new());
    let (closes, opens) = (hole.clone(), before.clone());
    // Ended when it is dropped.
    let mut way = JoinSet::new();
    way.spawn(async move {
        let mut ways = JoinSet::<()>::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let until = if closes.is_cancelled() { CancellationToken::new() } else { opens.clone() };
            ways.spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    // Kept open, and not read from any more.
                    () = until.cancelled() => std::future::pending().await,
                }
            });
        }
    });
    let broker = broker::open(&url, broker::Options { global_keyprefix: "b:".to_owned(), ..Default::default() }).unwrap();
    let mut consumer = broker.consumer(ground.options(&["q"])).await.unwrap();
    ground.publish("q", &["1", "2"]).await;
    assert_eq!(names(&consumer.fetch(1).await.unwrap()), ["1"]);
    assert_eq!(broker.queue_len("q").await.unwrap(), 1);
    before.cancel();
    assert!(broker.queue_len("q").await.unwrap_err().is_transient());
    hole.cancel();
    let fetched = tokio::time::timeout(Duration::from_secs(4), consumer.fetch(1)).await;
    assert_eq!(names(&fetched.expect("the fetch connection is not asked in vain").unwrap()), ["2"]);
    drop(way);
}

#[tokio::test]
async fn calls_fail_as_transient_while_the_server_is_away_and_work_when_it_is_back() {
    let Some(mut ground) = Ground::redis() else { return };
    ground.publish("q", &["1"]).await;
    ground.server().kill();
    let keys = ["k".to_owned()];
    let answers = tokio::join!(ground.broker.queue_len("q"), ground.broker.queue_len("q"), ground.backend.get(&keys));
    assert!(
        answers.0.unwrap_err().is_transient() && answers.1.unwrap_err().is_transient() && answers.2.unwrap_err().is_transient()
    );
    assert!(ground.broker.settle(&[Settlement::ack("t")], None).await.remove(0).unwrap_err().is_transient());
    ground.server().start_again();
    while let Err(down) = ground.broker.queue_len("q").await {
        assert!(down.is_transient(), "{down}");
    }
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0, "this server kept nothing");
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0);
}

#[tokio::test]
async fn after_the_server_was_away_everybody_may_renew_before_anything_is_an_orphan() {
    let Some(ground) = Ground::redis() else { return };
    let delivery = ground.leased("1").await;
    ground.pass(LEASE * 2).await;
    run(&ground, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    while ground.broker.queue_len("q").await.is_err() {}
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0);
    assert!(ground.broker.renew(&[delivery.tag]).await.unwrap().is_empty());
    let newcomer = broker::open(&ground.raw_url(0), broker::Options { global_keyprefix: "b:".to_owned(), ..Default::default() });
    assert_eq!(newcomer.unwrap().restore_orphans(LEASE).await.unwrap(), 0, "it was renewed");
}

#[tokio::test]
async fn who_waited_for_the_server_lets_everybody_renew_first() {
    let Some(mut ground) = Ground::redis() else { return };
    let delivery = ground.leased("1").await;
    ground.pass(LEASE * 2).await;
    // Nobody listens there yet.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = broker::Options { global_keyprefix: "b:".to_owned(), ..Default::default() };
    let newcomer = broker::open(&format!("redis://{address}/0"), options).unwrap();
    assert!(newcomer.restore_orphans(LEASE).await.unwrap_err().is_transient());
    let (listener, port) = (TcpListener::bind(address).await.unwrap(), ground.server().port());
    let mut way = JoinSet::<()>::new();
    way.spawn(async move {
        let mut ways = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            ways.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    assert_eq!(newcomer.restore_orphans(LEASE).await.unwrap(), 0);
    assert!(ground.broker.renew(&[delivery.tag]).await.unwrap().is_empty());
    drop(way);
}

#[tokio::test]
async fn after_the_server_stood_still_everybody_may_renew_before_anything_is_an_orphan() {
    let Some(ground) = Ground::redis() else { return };
    let delivery = ground.leased("1").await;
    ground.pass(LEASE * 2).await;
    // It answers nobody for longer than a lease, and closes no connection.
    run(&ground, &["CLIENT", "PAUSE", "3000", "ALL"]);
    assert_eq!(ground.broker.restore_orphans(Duration::from_secs(2)).await.unwrap(), 0);
    assert!(ground.broker.renew(&[delivery.tag]).await.unwrap().is_empty());
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0, "it was renewed");
}

#[tokio::test]
async fn a_wait_for_a_result_outlives_its_connection() {
    let Some(ground) = Ground::redis() else { return };
    let done = |value: &[u8]| String::from_utf8_lossy(value).contains("SUCCESS");
    let wait = ground.backend.wait("k", Duration::from_secs(60), &done);
    let trouble = async {
        for status in ["STARTED", "SUCCESS"] {
            while numsub(&ground) == 0 {
                tokio::task::yield_now().await;
            }
            run(&ground, &["CLIENT", "KILL", "TYPE", "pubsub"]);
            while ground.backend.apply(&[state("k", status)]).await.is_err() {}
        }
    };
    let (value, ()) = tokio::join!(wait, trouble);
    assert!(done(&value.unwrap()));
    while numsub(&ground) > 0 {
        tokio::task::yield_now().await;
    }
}

fn numsub(ground: &Ground) -> usize {
    let (_, count): (String, usize) = redis::cmd("PUBSUB").arg("NUMSUB").arg("r_k").query(&mut ground.raw(0)).unwrap();
    count
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let Some(ground) = Ground::redis() else { return };
    for round in ["1", "2"] {
        let delivery = ground.leased(round).await;
        run(&ground, &["SCRIPT", "FLUSH"]);
        ground.broker.renew(std::slice::from_ref(&delivery.tag)).await.unwrap();
        assert_eq!(ground.settle(&settlement(&delivery)).await, Settled::Done);
        ground.backend.apply(&[state(round, "SUCCESS")]).await.unwrap();
    }
    assert_eq!(ground.broker.queue_len("next").await.unwrap(), 2, "and nothing is done twice for it");
}

#[tokio::test]
async fn messages_that_cannot_be_leased_stay_in_their_queues_in_order() {
    for key in ["b:unacked", "b:unacked_index"] {
        let Some(ground) = Ground::redis() else { return };
        ground.publish("q", &["1", "2", "3"]).await;
        ground.raw(0).set::<_, _, ()>(key, "no hash, no set").unwrap();
        let mut consumer = ground.consumer(&["q"]).await;
        let refused = consumer.fetch(10).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{refused}");
        ground.raw(0).del::<_, ()>(key).unwrap();
        assert_eq!(names(&consumer.fetch(10).await.unwrap()), ["1", "2", "3"]);
    }
}

#[tokio::test]
async fn a_queue_of_the_wrong_type_loses_nothing_of_the_others() {
    let Some(ground) = Ground::redis() else { return };
    ground.publish("a", &["1", "2"]).await;
    ground.raw(0).set::<_, _, ()>("b:b", "no list").unwrap();
    let mut consumer = ground.consumer(&["a", "b"]).await;
    assert_eq!(names(&consumer.fetch(10).await.unwrap()), ["1", "2"]);
    assert!(matches!(consumer.fetch(10).await, Err(Error::Refused { .. })));
    assert_eq!(ground.leased_len(), 2);
}

#[tokio::test]
async fn a_settlement_that_is_refused_keeps_its_lease_and_spares_its_neighbours() {
    let Some(ground) = Ground::redis() else { return };
    let (bad, good) = (ground.leased("bad").await, ground.leased("good").await);
    let grow = Write::ChordGrow { group_id: "g".to_owned(), task_id: "t".to_owned(), ttl: None };
    ground.raw(1).rpush::<_, _, ()>("r_celery-taskset-meta-g.a", "no set").unwrap();
    let write = Settlement { writes: vec![grow], ..settlement(&bad) };
    let mut answers = ground.broker.settle(&[write, settlement(&good)], Some(&ground.location().await)).await;
    assert_eq!(answers.pop().unwrap().unwrap(), Settled::Done);
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Refused { .. }))), "{answers:?}");
    assert_eq!(ground.leased_len(), 1);
    assert_eq!(ground.settle(&settlement(&bad)).await, Settled::Done, "and it can be done again");
    assert_eq!(ground.leased_len(), 0);
}

#[tokio::test]
async fn what_can_never_be_pushed_becomes_a_dead_letter_and_what_can_is_pushed_once() {
    let Some(ground) = Ground::redis() else { return };
    let bad = ground.leased("bad").await;
    ground.raw(0).set::<_, _, ()>("b:wrong", "no list").unwrap();
    let publish = vec![message("right", "before", 0), message("wrong", "x", 0), message("right", "after", 0)];
    assert_eq!(ground.settle(&Settlement { publish: publish.clone(), ..settlement(&bad) }).await, Settled::Done);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("right").await.unwrap()), (0, 2));
    let dead = ground.dead_letters().await;
    assert_eq!(dead.iter().map(|dead| &dead.envelope).collect::<Vec<_>>(), [&publish[1].envelope]);
    assert!(dead[0].reason.contains("no queue"), "{}", dead[0].reason);
}

#[tokio::test]
async fn a_state_takes_the_place_of_a_key_of_another_type() {
    let Some(ground) = Ground::redis() else { return };
    let one = ground.leased("one").await;
    ground.raw(1).rpush::<_, _, ()>("r_wrong", "no text").unwrap();
    let write = Settlement { writes: vec![state("wrong", "SUCCESS")], ..settlement(&one) };
    assert_eq!(ground.settle(&write).await, Settled::Done);
    assert!(ground.value("wrong").await.unwrap().contains("SUCCESS"));
}

#[tokio::test]
async fn a_full_server_still_leases_settles_and_takes_messages_back() {
    let Some(ground) = Ground::redis() else { return };
    ground.publish("q", &["1", "2", "3", "4"]).await;
    run(&ground, &["CONFIG", "SET", "maxmemory", "1"]);
    assert!(matches!(ground.broker.publish(&[message("q", "5", 0)]).await, Err(Error::Refused { .. })));
    let taken = ground.consumer(&["q"]).await.fetch(4).await.unwrap();
    assert_eq!(taken.len(), 4);
    assert_eq!(ground.settle(&settlement(&taken[0])).await, Settled::Done);
    assert!(ground.broker.park(&taken[1].tag, chrono::Utc::now()).await.unwrap());
    assert_eq!(ground.broker.release_due(5).await.unwrap().count, 1);
    assert_eq!(ground.broker.put_back(&tags(&taken[2..]), false).await.unwrap(), 2);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("q").await.unwrap()), (0, 3));
}

#[tokio::test]
async fn a_server_that_refuses_tracking_is_polled() {
    let Some(ground) = Ground::redis() else { return };
    run(&ground, &["ACL", "SETUSER", "default", "-client|tracking"]);
    let mut consumer = ground.consumer(&["q"]).await;
    for name in [["1"], ["2"]] {
        let (taken, ()) = tokio::join!(consumer.fetch(10), ground.publish("q", &name));
        assert_eq!(names(&taken.unwrap()), name);
    }
}

#[tokio::test]
async fn two_databases_of_a_server_are_one_place_only_if_scripts_may_select() {
    let Some(ground) = Ground::redis() else { return };
    let same_db = broker::open(&ground.raw_url(1), broker::Options::default()).unwrap();
    let backend = ground.location().await;
    assert_eq!((ground.broker.location().await.unwrap().db, backend.db, backend.key_prefix.as_str()), (0, 1, "r_"));
    run(&ground, &["ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", "-select"]);
    let limited = |db: u32| ground.raw_url(db).replace("redis://", "redis://limited:pw@");
    let zero = broker::open(&limited(0), broker::Options::default()).unwrap();
    let backend = backend::open(&limited(0), backend::Options::default()).unwrap();
    let (zero, backend) = (zero.location().await.unwrap(), backend.location().await.unwrap());
    assert_eq!(zero.server, backend.server, "the same database needs no SELECT");
    assert_ne!(zero.server, ground.broker.location().await.unwrap().server);
    assert_eq!(same_db.location().await.unwrap().server, ground.location().await.server);
}

#[tokio::test]
async fn a_wrong_password_is_refused_without_being_told() {
    let Some(ground) = Ground::redis() else { return };
    let url = ground.raw_url(0).replace("redis://", "redis://nobody:hunter2@");
    let broker = broker::open(&url, broker::Options::default()).unwrap();
    let refused = broker.queue_len("q").await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "trying again does not help");
    let told = format!("{refused} {refused:?} {broker:?}");
    assert!(told.contains("nobody:***@") && !told.contains("hunter2"), "{told}");
}

/// Many consumers are cut off in the middle of fetching, again and again: every message is settled, and none twice.
#[tokio::test]
async fn consumers_that_vanish_while_they_fetch_lose_nothing() {
    let Some(ground) = Ground::redis() else { return };
    let all: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    ground.publish("q", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let location = ground.location().await;
    let work = async || {
        let mut consumer = ground.consumer(&["q"]).await;
        loop {
            for delivery in consumer.fetch(16).await.unwrap() {
                let name = names(std::slice::from_ref(&delivery)).remove(0);
                let settlement = Settlement { publish: vec![message("done", &name, 0)], ..Settlement::ack(delivery.tag) };
                ground.broker.settle(&[settlement], Some(&location)).await.remove(0).unwrap();
            }
        }
    };
    let mut deaths = 0;
    while ground.leased_len() + ground.broker.queue_len("q").await.unwrap() > 0 {
        // Dropping the future is the death: what it had leased is known to nobody, and its last settlements may still be under way.
        let lives = Duration::from_millis(fastrand::u64(1..30));
        let ended = tokio::time::timeout(lives, async { tokio::join!(work(), work(), work()) }).await;
        assert!(ended.is_err());
        deaths += 3;
        ground.pass(LEASE * 2).await;
        ground.broker.restore_orphans(LEASE).await.unwrap();
    }
    assert!(deaths > 3, "they finished before one died");
    let done = names(&ground.drain("done").await);
    assert_eq!(done.len(), 2000, "none twice");
    assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), all.into_iter().collect());
}

#[test]
fn urls_that_cannot_be_served_are_refused_at_once() {
    for url in ["amqp://h", "sentinel://h", "rediscluster://a:1,b:2", "redis://a;sentinel://b", "redis://h/x"] {
        assert!(matches!(broker::open(url, broker::Options::default()), Err(Error::Config { .. })), "{url}");
        assert!(matches!(backend::open(url, backend::Options::default()), Err(Error::Config { .. })), "{url}");
    }
    assert!(matches!(backend::open("redis://a;redis://b", backend::Options::default()), Err(Error::Config { .. })));
}

#[tokio::test]
async fn a_listener_tells_that_it_was_deaf_and_hears_again() {
    let Some(ground) = Ground::plain_redis() else { return };
    let mut listener = ground.broker.listen("celery.pidbox", "").await.unwrap();
    let resumed = listener.resumed();
    let deaf = async {
        run(&ground, &["CLIENT", "KILL", "TYPE", "pubsub"]);
        resumed.notified().await;
        ground.broker.broadcast("celery.pidbox", "", "again").await.unwrap();
    };
    let (heard, ()) = tokio::join!(listener.next(), deaf);
    assert_eq!(heard.unwrap().unwrap(), "again");
}
