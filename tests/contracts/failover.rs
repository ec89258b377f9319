//! `sentinel://` and lists of servers: connections follow the master, whoever it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::broker::{self, Broker, ConsumerOptions, SentinelOptions};
use celeriac::settlement::{Settled, Settlement};
use celeriac::{Error, backend};
use tokio_util::sync::CancellationToken;

use crate::ground::{LEASE, message, names};
use crate::redis_server::RedisServer;
use crate::sentinels::{MASTER, Sentinel, Watched};

/// Within which a call gets through after the sentinels name the new master: the longest pause between two tries is 1.5 seconds.
const SOON: Duration = Duration::from_secs(4);
/// The same where the old one says nothing any more, not even that it is gone: a call has eight seconds for its answer.
const AFTER_SILENCE: Duration = Duration::from_secs(10);

fn sentinel() -> SentinelOptions {
    SentinelOptions { master_name: Some(MASTER.to_owned()), ..SentinelOptions::default() }
}

fn open_with(url: &str, sentinel: SentinelOptions) -> Arc<dyn Broker> {
    broker::open(url, broker::Options { sentinel, ..broker::Options::default() }).unwrap()
}

fn open(url: &str) -> Arc<dyn Broker> {
    open_with(url, sentinel())
}

fn sentinel_url(sentinels: &[&Sentinel]) -> String {
    sentinels.iter().map(|sentinel| format!("sentinel://127.0.0.1:{}", sentinel.port())).collect::<Vec<_>>().join(";")
}

async fn consumer(broker: &Arc<dyn Broker>) -> Box<dyn broker::Consumer> {
    let (queues, stop) = (vec!["q".to_owned()], CancellationToken::new());
    let options = ConsumerOptions { queues, nodename: "celery@test".to_owned(), max_bytes: 1 << 20, lease: LEASE, stop };
    broker.consumer(options).await.unwrap()
}

/// Publishes as soon as it can be done, and tells when that was.
async fn published(broker: &Arc<dyn Broker>, name: &str) -> Instant {
    while let Err(cause) = broker.publish(&[message("q", name, 0)]).await {
        assert!(cause.is_transient(), "{cause:?}");
    }
    Instant::now()
}

/// After the change the same connections go on at the new master, with all that it has.
async fn goes_on(soon: Duration, change: impl FnOnce(&Watched)) {
    let Some(watched) = Watched::start(3).map(Arc::new) else { return };
    let broker = open(&watched.url(0));
    broker.publish(&[message("q", "1", 0), message("q", "2", 0)]).await.unwrap();
    let mut consumer = consumer(&broker).await;
    let first = consumer.fetch(1).await.unwrap();
    let mut listener = broker.listen("celery.pidbox", "").await.unwrap();
    let resumed = listener.resumed();
    watched.until_in_step();
    change(&watched);
    let promoted = Arc::clone(&watched);
    let promoted = tokio::task::spawn_blocking(move || promoted.until_second_is_master());
    let (published, promoted) = tokio::join!(published(&broker, "3"), promoted);
    let took = published.saturating_duration_since(promoted.unwrap());
    assert!(took < soon, "{took:?}");
    let mut rest = Vec::new();
    while rest.len() < 2 {
        rest.extend(consumer.fetch(10).await.unwrap());
    }
    assert_eq!(names(&rest), ["2", "3"]);
    assert!(broker.renew(&[first[0].tag.clone()]).await.unwrap().is_empty(), "what was leased before still is");
    assert_eq!(broker.settle(&[Settlement::ack(first[0].tag.clone())], None).await.remove(0).unwrap(), Settled::Done);
    let told = async {
        resumed.notified().await;
        broker.broadcast("celery.pidbox", "", "from the new master").await.unwrap();
    };
    let (heard, ()) = tokio::join!(listener.next(), told);
    assert_eq!(heard.unwrap().unwrap(), "from the new master");
    watched.first.signal("CONT");
}

#[tokio::test]
async fn connections_follow_when_the_master_dies() {
    goes_on(SOON, |watched| watched.first.signal("KILL")).await;
}

#[tokio::test]
async fn connections_follow_when_master_and_replica_change_places() {
    goes_on(SOON, Watched::fail_over).await;
}

/// Nobody closes the connections to it: a listener that waits there is called away.
#[tokio::test]
async fn connections_follow_when_the_master_falls_silent() {
    goes_on(AFTER_SILENCE, |watched| watched.first.signal("STOP")).await;
}

#[tokio::test]
async fn a_sentinel_that_is_away_or_wrong_or_alone_is_passed_over() {
    let Some(watched) = Watched::start(1) else { return };
    let broker = open(&watched.url(0));
    broker.publish(&[message("q", "1", 0)]).await.unwrap();
    let right = watched.url(0);
    // While it is alone: it hears of others that watch one of its servers.
    let careful = SentinelOptions { min_other_sentinels: 1, ..sentinel() };
    let told = open_with(&right, careful).queue_len("q").await.unwrap_err();
    assert!(told.is_transient() && chain(&told).contains("min_other_sentinels"), "{told:?}");
    let unknown = SentinelOptions { master_name: Some("another".to_owned()), ..sentinel() };
    let told = open_with(&right, unknown).queue_len("q").await.unwrap_err();
    assert!(told.is_transient() && chain(&told).contains(r#"no master of the name "another""#), "{told:?}");
    // It takes the replica for the master, another one somebody who is not there.
    let (mistaken, lost) = (Sentinel::start(watched.second.port(), 9, ""), Sentinel::start(9, 9, ""));
    let url = format!("sentinel://127.0.0.1:9;{};{right}", sentinel_url(&[&mistaken, &lost]));
    assert_eq!(open(&url).queue_len("q").await.unwrap(), 1);
    let told = open(&sentinel_url(&[&mistaken, &lost])).queue_len("q").await.unwrap_err();
    assert!(told.is_transient() && chain(&told).contains("it is a replica"), "{told:?}");
}

#[tokio::test]
async fn sentinels_have_a_password_of_their_own() {
    let Some(server) = RedisServer::start() else { return };
    let sentinel_with_password = Sentinel::start(server.port(), 1, "requirepass hunter2");
    let url = sentinel_url(&[&sentinel_with_password]);
    let with = |password: &str| {
        let kwargs = serde_json::from_value(serde_json::json!({"password": password})).unwrap();
        open_with(&url, SentinelOptions { kwargs, ..sentinel() })
    };
    assert_eq!(with("hunter2").queue_len("q").await.unwrap(), 0);
    for wrong in [open(&url), with("hunter3")] {
        let refused = wrong.queue_len("q").await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "trying again does not help: {refused:?}");
        assert!(!format!("{refused:?} {wrong:?}").contains("hunter"), "{refused:?} {wrong:?}");
    }
}

#[tokio::test]
async fn of_a_list_the_first_that_is_there_and_a_master_is_taken() {
    let Some(watched) = Watched::start(0) else { return };
    let (first, second) = (watched.first.url(0), watched.second.url(0));
    let broker = open(&format!("redis://127.0.0.1:9/0;{second};{first}"));
    broker.publish(&[message("q", "1", 0)]).await.unwrap();
    watched.until_in_step();
    watched.swap();
    published(&broker, "2").await;
    assert_eq!(open(&second).queue_len("q").await.unwrap(), 2);
}

/// One step changes both only where both follow the same master.
#[tokio::test]
async fn a_master_is_one_place_only_for_those_who_follow_it() {
    let Some(watched) = Watched::start(1) else { return };
    let options = backend::Options { sentinel: sentinel(), ..backend::Options::default() };
    let results = |url: &str| backend::open(url, options.clone()).unwrap();
    let (broker, followed) = (open(&watched.url(0)).location().await.unwrap(), results(&watched.url(1)).location().await.unwrap());
    assert_eq!((broker.server.as_str(), broker.db, followed.db), (followed.server.as_str(), 0, 1));
    assert_ne!(results(&watched.first.url(1)).location().await.unwrap().server, broker.server);
}

fn chain(error: &Error) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        told = format!("{told}: {next}");
        cause = next.source();
    }
    told
}
