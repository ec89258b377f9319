//! The sender's side of remote control: who is asked, who answers, and how long nobody waits.

use std::time::Duration;

use celeriac::broker::{Broker, Listener};
use celeriac::control::{CallOptions, Matcher};
use celeriac::protocol::{Map, Value};
use tokio::time::Instant;

use super::house::{House, Running};

/// Workers of these names, which answer.
async fn fleet(house: &House, names: &[&str]) -> Vec<Running> {
    let workers = names.iter().map(|name| house.named(name, 1)).collect();
    while house.app.control().inspect().ping().await.unwrap().len() < names.len() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    workers
}

/// A program that hears requests and never answers.
async fn silent(house: &House) -> Box<dyn Listener> {
    house.broker.listen("celery.pidbox", "").await.unwrap()
}

fn nodes(replies: &Map) -> Vec<&str> {
    let mut nodes: Vec<&str> = replies.keys().map(String::as_str).collect();
    nodes.sort_unstable();
    nodes
}

async fn stop(workers: Vec<Running>) {
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_worker_answers_and_no_time_is_lost_when_all_have() {
    let house = House::new();
    let workers = fleet(&house, &["a@h", "b@h"]).await;
    let began = Instant::now();
    let replies = house.app.control().inspect().timeout(Duration::from_secs(60)).ping().await.unwrap();
    assert_eq!(nodes(&replies), ["a@h", "b@h"]);
    assert_eq!(replies["a@h"].get("ok"), Some(&Value::from("pong")));
    assert_eq!(began.elapsed(), Duration::ZERO);
    stop(workers).await;
}

#[tokio::test(start_paused = true)]
async fn who_hears_and_does_not_answer_is_waited_for_until_the_time_is_over() {
    let house = House::new();
    let workers = fleet(&house, &["a@h"]).await;
    let _listener = silent(&house).await;
    let began = Instant::now();
    let replies = house.app.control().inspect().timeout(Duration::from_secs(7)).ping().await.unwrap();
    assert_eq!((nodes(&replies), began.elapsed()), (vec!["a@h"], Duration::from_secs(7)));
    stop(workers).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_known_at_once() {
    let house = House::new();
    let began = Instant::now();
    assert!(house.app.control().inspect().ping().await.unwrap().is_empty());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn only_the_destination_answers_and_is_waited_for() {
    let house = House::new();
    let workers = fleet(&house, &["a@h", "b@h", "c@h"]).await;
    let began = Instant::now();
    let replies = house.app.control().inspect().destination(["b@h", "c@h"]).ping().await.unwrap();
    assert_eq!((nodes(&replies), began.elapsed()), (vec!["b@h", "c@h"], Duration::ZERO));
    let replies = house.app.control().inspect().destination(["d@h"]).ping().await.unwrap();
    assert!(replies.is_empty());
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    stop(workers).await;
}

#[tokio::test(start_paused = true)]
async fn a_pattern_and_a_limit_choose_who_answers() {
    let house = House::new();
    let workers = fleet(&house, &["page1@h", "page2@h", "audio1@h"]).await;
    for (pattern, matcher) in [("page*", Matcher::Glob), ("page[12]@", Matcher::Pcre)] {
        let replies = house.app.control().inspect().pattern(pattern, matcher).ping().await.unwrap();
        assert_eq!(nodes(&replies), ["page1@h", "page2@h"]);
    }
    assert_eq!(house.app.control().inspect().limit(1).ping().await.unwrap().len(), 1);
    stop(workers).await;
}

#[tokio::test(start_paused = true)]
async fn replies_are_handed_over_as_they_come_and_errors_are_replies() {
    let house = House::new();
    let workers = fleet(&house, &["a@h"]).await;
    let mut heard = Vec::new();
    let each = |node: &str, value: &Value| heard.push((node.to_owned(), value.clone()));
    let replies = house.app.control().call_each("nonsense", Map::default(), &CallOptions::default(), each).await.unwrap();
    assert_eq!(replies["a@h"].get("error"), Some(&Value::from("KeyError('nonsense')")));
    assert_eq!(heard, [("a@h".to_owned(), replies["a@h"].clone())]);
    stop(workers).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_leaves_no_binding_behind() {
    let house = House::new();
    let workers = fleet(&house, &["a@h"]).await;
    let mut listener = silent(&house).await;
    house.app.control().inspect().limit(1).ping().await.unwrap();
    let request = listener.next().await.unwrap().unwrap();
    let request = celeriac::protocol::pidbox::Request::decode(&request, &Default::default()).unwrap();
    let to = request.reply_to.unwrap();
    assert!(house.broker.bound(&to.exchange, &to.routing_key).await.unwrap().is_empty());
    stop(workers).await;
}

#[tokio::test(start_paused = true)]
async fn every_question_of_inspect_is_answered_by_its_command() {
    let house = House::new();
    let workers = fleet(&house, &["a@h"]).await;
    let inspect = house.app.control().inspect();
    let ids = ["no-such-id".to_owned()];
    for (name, replies) in [
        ("active", inspect.active().await),
        ("scheduled", inspect.scheduled().await),
        ("reserved", inspect.reserved().await),
        ("stats", inspect.stats().await),
        ("revoked", inspect.revoked().await),
        ("registered", inspect.registered(&[]).await),
        ("active_queues", inspect.active_queues().await),
        ("query_task", inspect.query_task(&ids).await),
        ("conf", inspect.conf(true).await),
        ("clock", inspect.clock().await),
        ("report", inspect.report().await),
        ("hello", inspect.hello("x@h", Value::map()).await),
    ] {
        let replies = replies.unwrap();
        assert!(replies["a@h"].get("error").is_none(), "{name}: {replies:?}");
    }
    stop(workers).await;
}
