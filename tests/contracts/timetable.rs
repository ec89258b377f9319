//! The contract of a timetable: one leads, and a tick is one step.

use std::time::Duration;

use celeriac::broker::{Tick, Ticked};
use chrono::TimeDelta;

use crate::contracts;
use crate::ground::{Ground, LEASE, message, names};

contracts!(
    one_candidate_leads_until_its_lease_ends,
    a_lead_that_is_kept_has_one_token_and_a_new_one_another,
    who_resigns_is_followed_at_once,
    the_clock_is_the_brokers,
    new_entries_begin_and_those_not_named_are_forgotten,
    a_tick_publishes_and_records_in_one_step,
    a_tick_that_is_repeated_does_nothing,
    a_tick_of_a_lost_lead_does_nothing,
    a_tick_without_messages_records_alone,
);

impl Ground {
    async fn led_by(&self, candidate: &str) -> Option<String> {
        self.broker.lead(candidate, LEASE).await.unwrap().token
    }

    async fn state(&self, token: &str, entry: &str) -> Option<String> {
        self.broker.entries(token, &[entry.to_owned()], "fresh").await.unwrap()?.remove(entry)
    }
}

fn tick(token: &str, before: &str, after: &str) -> Tick {
    Tick {
        token: token.to_owned(),
        entry: "e".to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        messages: vec![message("q", after, 0), message("other", after, 3)],
    }
}

async fn one_candidate_leads_until_its_lease_ends(ground: Ground) {
    assert!(ground.led_by("a b").await.is_some());
    let lead = ground.broker.lead("b", LEASE).await.unwrap();
    assert_eq!(lead.token, None);
    assert!(lead.expires_in <= LEASE && lead.expires_in > LEASE / 2, "{lead:?}");
    ground.pass(LEASE / 2).await;
    assert!(ground.led_by("a b").await.is_some(), "renewed");
    ground.pass(LEASE / 2).await;
    assert_eq!(ground.led_by("b").await, None);
    ground.pass(LEASE + Duration::from_millis(10)).await;
    assert!(ground.led_by("b").await.is_some());
    assert_eq!(ground.led_by("a b").await, None);
}

async fn a_lead_that_is_kept_has_one_token_and_a_new_one_another(ground: Ground) {
    let first = ground.led_by("a").await;
    assert_eq!(ground.led_by("a").await, first);
    ground.pass(LEASE + Duration::from_millis(10)).await;
    assert_ne!(ground.led_by("a").await, first);
}

async fn who_resigns_is_followed_at_once(ground: Ground) {
    let token = ground.led_by("a").await.unwrap();
    ground.broker.resign("another token").await.unwrap();
    assert_eq!(ground.led_by("b").await, None);
    ground.broker.resign(&token).await.unwrap();
    assert!(ground.led_by("b").await.is_some());
}

async fn the_clock_is_the_brokers(ground: Ground) {
    let lead = ground.broker.lead("a", LEASE).await.unwrap();
    assert_eq!(lead.expires_in, LEASE);
    let off = (chrono::Utc::now() - lead.now).abs();
    assert!(off < TimeDelta::seconds(5), "server and test are on one machine: {off}");
}

async fn new_entries_begin_and_those_not_named_are_forgotten(ground: Ground) {
    let token = ground.led_by("a").await.unwrap();
    let known = |names: &'static [&'static str], fresh: &'static str| {
        let (broker, token) = (ground.broker.clone(), token.clone());
        async move {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut known: Vec<_> = broker.entries(&token, &names, fresh).await.unwrap().unwrap().into_iter().collect();
            known.sort();
            known.into_iter().map(|(name, state)| format!("{name}={state}")).collect::<Vec<_>>()
        }
    };
    assert_eq!(known(&["x", "y"], "1").await, ["x=1", "y=1"]);
    assert_eq!(known(&["y", "z"], "2").await, ["y=1", "z=2"]);
    assert_eq!(known(&["x", "y"], "3").await, ["x=3", "y=1"]);
    assert!(known(&[], "4").await.is_empty());
    assert_eq!(ground.broker.entries("another token", &[], "").await.unwrap(), None);
}

async fn a_tick_publishes_and_records_in_one_step(ground: Ground) {
    let token = ground.led_by("a").await.unwrap();
    assert_eq!(ground.state(&token, "e").await.as_deref(), Some("fresh"));
    assert_eq!(ground.broker.tick(&tick(&token, "fresh", "1")).await.unwrap(), Ticked::Sent);
    assert_eq!(ground.state(&token, "e").await.as_deref(), Some("1"));
    assert_eq!(names(&ground.drain("q").await), ["1"]);
    assert_eq!(names(&ground.drain("other").await), ["1"]);
}

async fn a_tick_that_is_repeated_does_nothing(ground: Ground) {
    let token = ground.led_by("a").await.unwrap();
    ground.state(&token, "e").await;
    let first = tick(&token, "fresh", "1");
    assert_eq!(ground.broker.tick(&first).await.unwrap(), Ticked::Sent);
    assert_eq!(ground.broker.tick(&first).await.unwrap(), Ticked::Stale);
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 1);
    let unknown = Tick { entry: "unknown".to_owned(), ..first };
    assert_eq!(ground.broker.tick(&unknown).await.unwrap(), Ticked::Stale);
}

async fn a_tick_of_a_lost_lead_does_nothing(ground: Ground) {
    let token = ground.led_by("a").await.unwrap();
    ground.state(&token, "e").await;
    ground.pass(LEASE + Duration::from_millis(10)).await;
    assert_eq!(ground.broker.tick(&tick(&token, "fresh", "1")).await.unwrap(), Ticked::NotLeader);
    let next = ground.led_by("b").await.unwrap();
    assert_eq!(ground.broker.tick(&tick(&token, "fresh", "1")).await.unwrap(), Ticked::NotLeader);
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
    assert_eq!(ground.state(&next, "e").await.as_deref(), Some("fresh"), "what the first left behind");
}

async fn a_tick_without_messages_records_alone(ground: Ground) {
    let token = ground.led_by("a").await.unwrap();
    ground.state(&token, "e").await;
    let silent = Tick { messages: Vec::new(), ..tick(&token, "fresh", "1") };
    assert_eq!(ground.broker.tick(&silent).await.unwrap(), Ticked::Sent);
    assert_eq!(ground.state(&token, "e").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_tick_into_what_is_no_queue_is_refused_and_leaves_everything_as_it_was() {
    let Some(ground) = Ground::redis() else { return };
    let token = ground.led_by("a").await.unwrap();
    ground.state(&token, "e").await;
    let () = ::redis::Commands::set(&mut ground.raw(0), "b:other\u{6}\u{16}3", "text").unwrap();
    ground.broker.tick(&tick(&token, "fresh", "1")).await.unwrap_err();
    assert_eq!(ground.broker.queue_len("q").await.unwrap(), 0);
    assert_eq!(ground.state(&token, "e").await.as_deref(), Some("fresh"));
}
