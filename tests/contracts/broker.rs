//! The contract of a broker: fetching, leases, parking, giving up.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use celeriac::broker::{Admitted, DeadLetter, Delivery, Depth, RateLimit, Turn};
use celeriac::protocol::Envelope;
use celeriac::settlement::{Disposal, Outgoing, Settled, Settlement};
use chrono::{TimeDelta, Utc};

use crate::contracts;
use crate::ground::{Dead, Ground, LEASE, assert_marked, json, message, names, tags};

contracts!(
    fetch_takes_messages_in_order_and_leases_them,
    a_smaller_priority_number_is_served_first_whatever_the_queue,
    a_queue_that_delivered_goes_behind_the_others,
    a_fetch_takes_no_more_than_its_limit,
    a_fetch_ends_soon_after_its_bytes_are_full,
    a_fetch_waits_for_a_message_that_comes_later,
    a_waiting_fetch_sees_every_queue_and_step,
    a_stop_ends_a_waiting_fetch_with_nothing,
    two_consumers_share_the_messages_and_none_comes_twice,
    other_queues_are_served_after_set_queues,
    renewing_tells_which_leases_are_lost,
    only_an_expired_lease_goes_back_and_bears_marks_and_count,
    orphans_go_back_to_the_head_in_their_old_order,
    many_orphans_go_back_in_one_scan,
    put_back_serves_the_first_tag_next,
    put_back_counts_only_when_asked,
    put_back_leaves_what_is_not_ours,
    a_message_goes_back_to_the_step_of_its_priority,
    a_parked_message_comes_back_unmarked_when_it_is_due,
    due_messages_come_back_in_order_and_no_more_than_the_limit,
    parked_messages_are_shown_with_their_time,
    a_lost_message_cannot_be_parked_or_given_up,
    a_death_is_its_own_if_it_ran_alone,
    one_message_has_a_turn_and_the_others_wait_for_theirs_in_order,
    a_message_does_not_overtake_those_that_wait_and_no_limit_lets_all_go,
    a_faster_limit_forgets_the_turns_of_a_slower_one,
    a_dead_letter_keeps_its_message_and_its_history,
    text_that_is_no_envelope_becomes_a_dead_letter_and_the_next_message_comes,
    purge_empties_all_steps_and_tells_how_many,
    what_waits_is_counted_by_priority_step,
    what_waits_for_its_time_or_a_turn_is_counted_and_purged_with_its_queue,
    what_waits_is_shown_by_its_step_with_what_is_next_and_stays,
    publishing_nothing_is_nothing,
);

async fn fetch_takes_messages_in_order_and_leases_them(ground: Ground) {
    ground.publish("q", &["1", "2", "3"]).await;
    let taken = ground.consumer(&["q"]).await.fetch(10).await.unwrap();
    assert_eq!(names(&taken), ["1", "2", "3"]);
    assert!(taken.iter().all(|delivery| delivery.queue == "q"));
    assert_eq!(taken[0].envelope, message("q", "1", 0).envelope.as_bytes(), "the text is the producer's");
    assert_eq!(tags(&taken).into_iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(taken[0].tag.starts_with("celeriac:celery@test:"), "{}", taken[0].tag);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("q").await.unwrap()), (3, 0));
}

async fn a_smaller_priority_number_is_served_first_whatever_the_queue(ground: Ground) {
    let sent = [("a", "a9", 9), ("a", "a4", 4), ("b", "b3", 3), ("b", "b0", 0), ("a", "a0", 0), ("b", "b-7", -7)];
    let messages: Vec<Outgoing> = sent.iter().map(|(queue, name, priority)| message(queue, name, *priority)).collect();
    ground.broker.publish(&messages).await.unwrap();
    let taken = ground.consumer(&["a", "b"]).await.fetch(10).await.unwrap();
    assert_eq!(names(&taken), ["a0", "b0", "b-7", "a4", "b3", "a9"]);
}

async fn a_queue_that_delivered_goes_behind_the_others(ground: Ground) {
    ground.publish("a", &["a1", "a2"]).await;
    ground.publish("b", &["b1", "b2"]).await;
    let mut consumer = ground.consumer(&["a", "b"]).await;
    let mut served = Vec::new();
    for _ in 0..4 {
        served.extend(names(&consumer.fetch(1).await.unwrap()));
    }
    assert_eq!(served, ["a1", "b1", "a2", "b2"]);
}

async fn a_fetch_takes_no_more_than_its_limit(ground: Ground) {
    let all: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    ground.publish("q", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut consumer = ground.consumer(&["q"]).await;
    assert_eq!(consumer.fetch(17).await.unwrap().len(), 17);
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 23);
    assert_eq!(names(&consumer.fetch(100).await.unwrap()), all[17..]);
    assert!(consumer.fetch(0).await.unwrap().is_empty());
}

async fn a_fetch_ends_soon_after_its_bytes_are_full(ground: Ground) {
    let large = "x".repeat(1000);
    let all: Vec<String> = (0..60).map(|number| format!("{large}{number}")).collect();
    ground.publish("q", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut options = ground.options(&["q"]);
    options.max_bytes = 5000;
    let mut consumer = ground.broker.consumer(options).await.unwrap();
    let taken = consumer.fetch(1000).await.unwrap();
    assert!((3..=20).contains(&taken.len()), "{}", taken.len());
    // And the rest comes without another message having to arrive.
    let mut rest = taken.len();
    while rest < 60 {
        rest += consumer.fetch(1000).await.unwrap().len();
    }
    assert_eq!(rest, 60);
}

async fn a_fetch_waits_for_a_message_that_comes_later(ground: Ground) {
    let mut consumer = ground.consumer(&["q"]).await;
    for name in [["1"], ["2"], ["3"]] {
        let (taken, ()) = tokio::join!(consumer.fetch(10), ground.publish("q", &name));
        assert_eq!(names(&taken.unwrap()), name);
    }
}

async fn a_waiting_fetch_sees_every_queue_and_step(ground: Ground) {
    let mut consumer = ground.consumer(&["a", "b"]).await;
    for (queue, priority) in [("a", 0), ("b", 9), ("a", 6), ("b", 0)] {
        let sent = [message(queue, "m", priority)];
        let (taken, sent) = tokio::join!(consumer.fetch(10), ground.broker.publish(&sent));
        sent.unwrap();
        assert_eq!(taken.unwrap()[0].queue, queue);
    }
}

async fn a_stop_ends_a_waiting_fetch_with_nothing(ground: Ground) {
    let mut consumer = ground.consumer(&["q"]).await;
    let (taken, ()) = tokio::join!(consumer.fetch(10), async { ground.stop.cancel() });
    assert!(taken.unwrap().is_empty());
    ground.publish("q", &["1"]).await;
    assert!(consumer.fetch(10).await.unwrap().is_empty());
    assert_eq!((ground.leased_len(), ground.broker.queue_len("q").await.unwrap()), (0, 1));
}

async fn two_consumers_share_the_messages_and_none_comes_twice(ground: Ground) {
    let all: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let publish = async {
        for part in all.chunks(10) {
            ground.publish("q", &part.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
    };
    let taken = RefCell::new(Vec::new());
    let take = async || {
        let mut consumer = ground.consumer(&["q"]).await;
        while !ground.stop.is_cancelled() {
            let some = consumer.fetch(7).await.unwrap();
            taken.borrow_mut().extend(names(&some));
            if taken.borrow().len() >= all.len() {
                ground.stop.cancel();
            }
        }
    };
    tokio::join!(publish, take(), take());
    let taken = taken.into_inner();
    assert_eq!(taken.len(), 200);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), all.iter().cloned().collect());
}

async fn other_queues_are_served_after_set_queues(ground: Ground) {
    ground.publish("a", &["a1"]).await;
    let mut consumer = ground.consumer(&["a"]).await;
    assert_eq!(names(&consumer.fetch(5).await.unwrap()), ["a1"]);
    consumer.set_queues(vec!["b".to_owned()]);
    ground.publish("a", &["a2"]).await;
    let sent = ["b1"];
    let (taken, ()) = tokio::join!(consumer.fetch(5), ground.publish("b", &sent));
    assert_eq!(names(&taken.unwrap()), ["b1"]);
}

async fn renewing_tells_which_leases_are_lost(ground: Ground) {
    ground.publish("q", &["1", "2"]).await;
    let taken = tags(&ground.drain("q").await);
    assert!(ground.broker.renew(&taken).await.unwrap().is_empty());
    assert_eq!(ground.broker.put_back(&taken[..1], false).await.unwrap(), 1);
    let asked = [taken.clone(), vec!["celeriac:other:1:1".to_owned()]].concat();
    assert_eq!(ground.broker.renew(&asked).await.unwrap(), [taken[0].clone(), "celeriac:other:1:1".to_owned()]);
    assert!(ground.broker.renew(&[]).await.unwrap().is_empty());
    assert_eq!(ground.leased_len(), 1, "renewing leases nothing anew");
}

async fn only_an_expired_lease_goes_back_and_bears_marks_and_count(ground: Ground) {
    ground.publish("q", &["dead", "alive"]).await;
    let taken = ground.drain("q").await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0);
    ground.pass(LEASE - Duration::from_secs(5)).await;
    ground.broker.renew(&tags(&taken)[1..]).await.unwrap();
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0);
    ground.pass(Duration::from_secs(6)).await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 1);
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 0);
    let back = ground.drain("q").await;
    assert_eq!(names(&back), ["dead"]);
    assert_marked(&back[0], Some(1));
    assert_ne!(back[0].tag, taken[0].tag);
    assert_eq!(ground.broker.renew(&tags(&taken)).await.unwrap(), [taken[0].tag.clone()]);
    ground.pass(LEASE * 2).await;
    ground.broker.restore_orphans(LEASE).await.unwrap();
    let again = ground.drain("q").await;
    let dead = again.iter().find(|delivery| json(delivery)["headers"]["id"] == "dead").unwrap();
    assert_marked(dead, Some(2));
}

async fn orphans_go_back_to_the_head_in_their_old_order(ground: Ground) {
    let old: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
    ground.publish("q", &old.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(ground.drain("q").await.len(), 12);
    ground.publish("q", &["new"]).await;
    ground.pass(LEASE * 2).await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 12);
    assert_eq!(names(&ground.drain("q").await), [old, vec!["new".to_owned()]].concat());
}

async fn many_orphans_go_back_in_one_scan(ground: Ground) {
    let all: Vec<String> = (0..1200).map(|number| number.to_string()).collect();
    ground.publish("q", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(ground.drain("q").await.len(), 1200);
    ground.pass(LEASE * 2).await;
    assert_eq!(ground.broker.restore_orphans(LEASE).await.unwrap(), 1200);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("q").await.unwrap()), (0, 1200));
}

async fn put_back_serves_the_first_tag_next(ground: Ground) {
    ground.publish("q", &["1", "2", "3", "4"]).await;
    let taken = ground.consumer(&["q"]).await.fetch(3).await.unwrap();
    assert_eq!(ground.broker.put_back(&tags(&taken), false).await.unwrap(), 3);
    assert_eq!(ground.leased_len(), 0);
    let back = ground.drain("q").await;
    assert_eq!(names(&back), ["1", "2", "3", "4"]);
    assert_marked(&back[0], None);
    assert!(json(&back[3])["headers"].get("redelivered").is_none());
}

async fn put_back_counts_only_when_asked(ground: Ground) {
    let delivery = ground.leased("1").await;
    ground.broker.put_back(&[delivery.tag], true).await.unwrap();
    let back = ground.drain("q").await;
    assert_marked(&back[0], Some(1));
    ground.broker.put_back(&tags(&back), false).await.unwrap();
    assert_marked(&ground.drain("q").await[0], Some(1));
}

async fn put_back_leaves_what_is_not_ours(ground: Ground) {
    let delivery = ground.leased("1").await;
    let asked = [delivery.tag.clone(), "celeriac:other:1:1".to_owned(), delivery.tag];
    assert_eq!(ground.broker.put_back(&asked, false).await.unwrap(), 1);
    assert_eq!(ground.broker.put_back(&asked, false).await.unwrap(), 0);
    assert_eq!(ground.broker.put_back(&[], false).await.unwrap(), 0);
    assert_eq!(names(&ground.drain("q").await), ["1"]);
}

async fn a_message_goes_back_to_the_step_of_its_priority(ground: Ground) {
    ground.broker.publish(&[message("q", "late", 7), message("q", "early", 1)]).await.unwrap();
    let taken = ground.drain("q").await;
    ground.broker.put_back(&tags(&taken).into_iter().rev().collect::<Vec<_>>(), false).await.unwrap();
    assert_eq!(names(&ground.drain("q").await), ["early", "late"]);
}

async fn a_parked_message_comes_back_unmarked_when_it_is_due(ground: Ground) {
    let delivery = ground.leased("1").await;
    let minute = Duration::from_secs(60);
    assert!(ground.broker.park(&delivery.tag, Utc::now() + minute).await.unwrap());
    assert_eq!((ground.leased_len(), ground.broker.queue_len("q").await.unwrap()), (0, 0));
    let early = ground.broker.release_due(10).await.unwrap();
    assert_eq!(early.count, 0);
    let next = early.next_in.unwrap();
    assert!(next > Duration::from_secs(50) && next <= minute, "{next:?}");
    ground.pass(minute).await;
    let released = ground.broker.release_due(10).await.unwrap();
    assert_eq!((released.count, released.next_in), (1, None));
    assert_eq!(ground.broker.release_due(10).await.unwrap().count, 0);
    let back = ground.drain("q").await;
    assert_eq!(back[0].envelope, delivery.envelope, "it was never begun");
    assert_ne!(back[0].tag, delivery.tag);
}

async fn due_messages_come_back_in_order_and_no_more_than_the_limit(ground: Ground) {
    ground.publish("q", &["3", "1", "2", "far"]).await;
    let now = Utc::now();
    for (delivery, seconds) in ground.drain("q").await.iter().zip([30, 10, 20, 3600]) {
        ground.broker.park(&delivery.tag, now + Duration::from_secs(seconds)).await.unwrap();
    }
    ground.publish("q", &["waiting"]).await;
    ground.pass(Duration::from_secs(60)).await;
    let first = ground.broker.release_due(2).await.unwrap();
    assert_eq!((first.count, first.next_in), (2, Some(Duration::ZERO)));
    assert_eq!(names(&ground.drain("q").await), ["1", "2", "waiting"]);
    let second = ground.broker.release_due(2).await.unwrap();
    assert_eq!(second.count, 1);
    assert!(second.next_in.unwrap() > Duration::from_secs(3000));
    assert_eq!(names(&ground.drain("q").await), ["3"]);
}

async fn parked_messages_are_shown_with_their_time(ground: Ground) {
    let now = Utc::now();
    for (name, seconds) in [("later", 90), ("sooner", 60)] {
        let delivery = ground.leased(name).await;
        assert!(ground.broker.park(&delivery.tag, now + Duration::from_secs(seconds)).await.unwrap());
    }
    let parked = ground.broker.parked(&["q".to_owned()], 10).await.unwrap();
    let shown: Vec<_> = parked.iter().map(|one| (one.queue.as_str(), one.envelope.as_ref())).collect();
    let (sooner, later) = (message("q", "sooner", 0).envelope, message("q", "later", 0).envelope);
    assert_eq!(shown, [("q", sooner.as_bytes()), ("q", later.as_bytes())]);
    let off = (parked[0].due - now).num_milliseconds() - 60_000;
    assert!(off.abs() < 10_000, "{off} ms off");
    assert_eq!(ground.broker.parked(&["q".to_owned()], 1).await.unwrap().len(), 1);
    assert!(ground.broker.parked(&["other".to_owned()], 10).await.unwrap().is_empty());
}

async fn a_lost_message_cannot_be_parked_or_given_up(ground: Ground) {
    let delivery = ground.leased("1").await;
    ground.broker.put_back(std::slice::from_ref(&delivery.tag), false).await.unwrap();
    let letter = DeadLetter { reason: "why".to_owned(), nodename: "n".to_owned(), deliveries: 1 };
    assert!(!ground.broker.park(&delivery.tag, Utc::now()).await.unwrap());
    assert!(!ground.broker.dead_letter(&delivery.tag, &letter).await.unwrap());
    assert!(ground.dead_letters().await.is_empty());
    assert_eq!(ground.broker.release_due(10).await.unwrap().count, 0);
    assert_eq!(names(&ground.drain("q").await), ["1"]);
}

async fn a_death_is_its_own_if_it_ran_alone(ground: Ground) {
    let died = |delivery: &Delivery| {
        let envelope = Envelope::parse(&delivery.envelope).unwrap();
        (envelope.delivery_count(), envelope.died_alone())
    };
    let lost = ground.leased("lost").await;
    ground.broker.put_back(std::slice::from_ref(&lost.tag), false).await.unwrap();
    assert!(!ground.broker.run_alone(&lost).await.unwrap());
    let mut delivery = ground.drain("q").await.remove(0);
    let mut deaths = vec![died(&delivery)];
    // It runs, is only held, runs again, and goes back alive from a run before it is held once more.
    for (runs, dies) in [(true, true), (false, true), (true, true), (true, false), (false, true)] {
        if runs {
            assert!(ground.broker.run_alone(&delivery).await.unwrap());
        }
        ground.broker.put_back(std::slice::from_ref(&delivery.tag), dies).await.unwrap();
        delivery = ground.drain("q").await.remove(0);
        deaths.push(died(&delivery));
    }
    assert_eq!(deaths, [(0, false), (1, true), (2, false), (3, true), (3, false), (4, false)]);
}

/// A limit of one turn in so many seconds.
fn limit(seconds: u64) -> RateLimit<'static> {
    RateLimit { name: "tasks.a", owner: "", every: Duration::from_secs(seconds) }
}

async fn one_message_has_a_turn_and_the_others_wait_for_theirs_in_order(ground: Ground) {
    let mut turns = Vec::new();
    for name in ["1", "2", "3", "4"] {
        turns.push(ground.broker.take_turn(&ground.leased(name).await, &limit(600)).await.unwrap());
    }
    assert_eq!(turns, [Turn::Taken, Turn::Deferred, Turn::Deferred, Turn::Deferred]);
    assert_eq!((ground.leased_len(), ground.broker.limited().await.unwrap()), (1, vec!["tasks.a".to_owned()]));
    let owners = RateLimit { owner: "another", ..limit(600) };
    let queues = ["q".to_owned()];
    let none = ground.broker.admit(&limit(600), &queues, 10).await.unwrap();
    assert_eq!(none.count, 0);
    assert!(none.next_in.unwrap() > Duration::from_secs(590), "{none:?}");
    assert_eq!(ground.broker.admit(&owners, &["other".to_owned()], 10).await.unwrap(), Admitted::default());
    // Nobody looked for one turn, which is caught up on.
    assert_eq!(ground.broker.admit(&owners, &queues, 10).await.unwrap().count, 2);
    ground.publish("q", &["fresh"]).await;
    let back = ground.drain("q").await;
    assert_eq!(names(&back), ["2", "3", "fresh"]);
    let has_turn = |delivery: &Delivery| Envelope::parse(&delivery.envelope).unwrap().has_turn();
    assert_eq!(back.iter().map(has_turn).collect::<Vec<_>>(), [true, true, false]);
    ground.broker.put_back(&tags(&back)[..1], false).await.unwrap();
    let again = ground.drain("q").await.remove(0);
    assert!(has_turn(&again), "what was not run keeps its turn");
    let requeue = Settlement { disposal: Disposal::Requeue { raise_count: false }, ..Settlement::ack(&again.tag) };
    assert_eq!(ground.settle(&requeue).await, Settled::Done);
    assert!(!has_turn(&ground.drain("q").await[0]), "what was run takes another");
}

async fn a_message_does_not_overtake_those_that_wait_and_no_limit_lets_all_go(ground: Ground) {
    for name in ["1", "2"] {
        ground.broker.take_turn(&ground.leased(name).await, &limit(600)).await.unwrap();
    }
    let third = ground.leased("3").await;
    assert_eq!(ground.broker.take_turn(&third, &RateLimit { owner: "another", ..limit(600) }).await.unwrap(), Turn::Deferred);
    assert_eq!(ground.broker.take_turn(&third, &limit(600)).await.unwrap(), Turn::Lost);
    let free = ground.broker.admit(&limit(0), &["q".to_owned()], 10).await.unwrap();
    assert_eq!((free.count, free.next_in), (2, Some(Duration::ZERO)));
    assert_eq!(names(&ground.drain("q").await), ["2", "3"]);
    assert_eq!(ground.broker.admit(&limit(0), &["q".to_owned()], 10).await.unwrap(), Admitted::default());
}

async fn a_faster_limit_forgets_the_turns_of_a_slower_one(ground: Ground) {
    for name in ["1", "2"] {
        ground.broker.take_turn(&ground.leased(name).await, &limit(86_400)).await.unwrap();
    }
    let next = ground.broker.admit(&limit(10), &["q".to_owned()], 10).await.unwrap().next_in.unwrap();
    assert!(next <= Duration::from_secs(10), "{next:?}");
    assert_eq!(ground.broker.purge("q").await.unwrap(), 1, "what waits for a turn is purged, too");
}

async fn a_dead_letter_keeps_its_message_and_its_history(ground: Ground) {
    let delivery = ground.leased("1").await;
    let letter = DeadLetter { reason: "it kills its process".to_owned(), nodename: "celery@test".to_owned(), deliveries: 6 };
    assert!(ground.broker.dead_letter(&delivery.tag, &letter).await.unwrap());
    let envelope = message("q", "1", 0).envelope;
    let expected = Dead { envelope, queue: "q".to_owned(), reason: letter.reason.clone(), deliveries: 6 };
    assert_eq!(ground.dead_letters().await, [expected]);
    assert_eq!((ground.leased_len(), ground.broker.queue_len("q").await.unwrap()), (0, 0));
    assert!(!ground.broker.dead_letter(&delivery.tag, &letter).await.unwrap());
    assert_eq!(ground.dead_letters().await.len(), 1);
}

async fn text_that_is_no_envelope_becomes_a_dead_letter_and_the_next_message_comes(ground: Ground) {
    for text in ["nonsense", "[1, 2]", "{\"body\": 1} trailing", "\"a \\\", \\\"\\\", b"] {
        let nonsense = Outgoing { queue: "q".to_owned(), priority: 0, envelope: text.to_owned() };
        ground.broker.publish(&[nonsense, message("q", "good", 0)]).await.unwrap();
        let taken = ground.consumer(&["q"]).await.fetch(1).await.unwrap();
        assert_eq!(names(&taken), ["good"], "{text}");
        let dead = ground.dead_letters().await.pop().unwrap();
        assert_eq!((dead.envelope.as_str(), dead.queue.as_str()), (text, "q"));
        assert!(dead.reason.contains("no JSON object"), "{}", dead.reason);
    }
    assert_eq!(ground.leased_len(), 4);
}

async fn purge_empties_all_steps_and_tells_how_many(ground: Ground) {
    let messages: Vec<Outgoing> = (0..10).map(|priority| message("q", "m", priority)).collect();
    ground.broker.publish(&messages).await.unwrap();
    ground.publish("other", &["1"]).await;
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 10);
    assert_eq!(ground.broker.purge("q").await.unwrap(), 10);
    assert_eq!(ground.broker.purge("q").await.unwrap(), 0);
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
    assert_eq!(ground.broker.queue_len("other").await.unwrap(), 1);
}

async fn what_waits_is_counted_by_priority_step(ground: Ground) {
    let steps = |counts: [usize; 4]| [0, 3, 6, 9].into_iter().zip(counts).collect::<Vec<(u8, usize)>>();
    assert_eq!(ground.broker.by_priority("q").await.unwrap(), steps([0, 0, 0, 0]));
    let messages: Vec<Outgoing> = [0, 1, 4, 9, 9].map(|priority| message("q", "m", priority)).to_vec();
    ground.broker.publish(&messages).await.unwrap();
    assert_eq!(ground.broker.by_priority("q").await.unwrap(), steps([2, 1, 0, 2]));
}

async fn what_waits_for_its_time_or_a_turn_is_counted_and_purged_with_its_queue(ground: Ground) {
    let due = Utc::now() + TimeDelta::hours(1);
    for name in ["1", "2", "3"] {
        assert!(ground.broker.park(&ground.leased(name).await.tag, due).await.unwrap());
    }
    for name in ["4", "5"] {
        ground.broker.take_turn(&ground.leased(name).await, &limit(3600)).await.unwrap();
    }
    let leased = ground.leased("6").await;
    ground.publish("q", &["7"]).await;
    ground.publish("other", &["8"]).await;
    let other = ground.consumer(&["other"]).await.fetch(1).await.unwrap().remove(0);
    assert!(ground.broker.park(&other.tag, due).await.unwrap());

    // The first turn is there at once, so that 4 may go on.
    assert_eq!(ground.broker.depth("q").await.unwrap(), Depth { waiting: 1, limited: 1, parked: 3 });
    assert_eq!(ground.broker.purge("q").await.unwrap(), 5);
    assert_eq!(ground.broker.depth("q").await.unwrap(), Depth::default());
    assert_eq!(ground.broker.depth("other").await.unwrap(), Depth { parked: 1, ..Depth::default() });
    assert!(ground.broker.parked(&["q".to_owned()], 10).await.unwrap().is_empty());
    assert!(ground.broker.renew(&[leased.tag]).await.unwrap().is_empty(), "what somebody runs stays his");
}

async fn publishing_nothing_is_nothing(ground: Ground) {
    ground.broker.publish(&[]).await.unwrap();
    ground.broker.declare(&[]).await.unwrap();
    assert!(ground.broker.settle(&[], None).await.is_empty());
    assert_eq!(ground.broker.release_due(10).await.unwrap().next_in, None);
}

async fn what_waits_is_shown_by_its_step_with_what_is_next_and_stays(ground: Ground) {
    for (name, priority) in [("late", 9), ("first", 0), ("second", 0), ("middle", 4)] {
        ground.broker.publish(&[message("q", name, priority)]).await.unwrap();
    }
    let waiting = ground.broker.waiting("q").await.unwrap();
    let shown: Vec<_> = waiting.iter().map(|at| (at.step, at.count, at.next.clone())).collect();
    let next = |name: &str, priority| Some(message("q", name, priority).envelope.into());
    assert_eq!(shown, [(0, 2, next("first", 0)), (3, 1, next("middle", 4)), (9, 1, next("late", 9))]);
    assert_eq!(ground.broker.waiting("q").await.unwrap(), waiting, "nothing is taken by looking");
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 4);
    assert!(ground.broker.waiting("other").await.unwrap().is_empty());
}
