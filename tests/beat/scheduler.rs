//! Schedulers on the memory broker, under paused time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use celeriac::app::App;
use celeriac::beat::{Beat, BeatOptions};
use celeriac::broker::memory::{MemoryBroker, pair};
use celeriac::broker::{Broker, ConsumerOptions};
use celeriac::config::{Seconds, Settings};
use celeriac::protocol::Signature;
use celeriac::schedules::Schedule;
use serde_json::Value as Json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LEASE: f64 = 3.0;

struct House {
    app: App,
    broker: MemoryBroker,
}

struct Running {
    stop: CancellationToken,
    scheduler: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.scheduler.await.unwrap();
    }

    /// Its process is killed.
    async fn dies(self) {
        self.scheduler.abort();
        let _ = self.scheduler.await;
    }
}

impl House {
    fn new(entries: &[(&str, Schedule, Signature)]) -> Self {
        Self::with(Settings::default(), entries)
    }

    fn with(mut settings: Settings, entries: &[(&str, Schedule, Signature)]) -> Self {
        settings.celeriac.lease = Seconds::new(LEASE);
        let mut app = App::builder(settings);
        for (name, schedule, call) in entries {
            app.periodic_task(*name, schedule.clone(), call.clone());
        }
        let (broker, backend) = pair();
        Self { app: app.connect_with(Arc::new(broker.clone()), Arc::new(backend)), broker }
    }

    fn scheduler(&self, name: &str) -> Running {
        let stop = CancellationToken::new();
        let options = BeatOptions { nodename: name.to_owned(), max_interval: None, remote_control: None };
        let run = Beat::new(self.app.clone(), options).run(stop.clone());
        #[allow(clippy::disallowed_methods, reason = "the handle is the owner")]
        let scheduler = tokio::spawn(run);
        Running { stop, scheduler }
    }

    async fn waiting(&self, queue: &str) -> usize {
        self.broker.queue_len(queue).await.unwrap()
    }

    /// The envelopes of a queue.
    async fn sent(&self, queue: &str) -> Vec<Json> {
        let options = ConsumerOptions {
            queues: vec![queue.to_owned()],
            nodename: "celery@test".to_owned(),
            max_bytes: 1 << 20,
            lease: Duration::from_secs(12),
            stop: CancellationToken::new(),
        };
        let mut consumer = self.broker.consumer(options).await.unwrap();
        let mut all = Vec::new();
        while self.waiting(queue).await > 0 {
            all.extend(consumer.fetch(100).await.unwrap());
        }
        all.iter().map(|delivery| serde_json::from_slice(&delivery.envelope).unwrap()).collect()
    }
}

fn every(seconds: f64) -> Schedule {
    Schedule::every(seconds).unwrap()
}

fn call() -> Signature {
    Signature::new("proj.add").arg(1).queue("q")
}

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn ids(sent: &[Json]) -> BTreeSet<&str> {
    sent.iter().map(|envelope| envelope["headers"]["id"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_interval_is_sent_once_each_time_it_has_passed() {
    let house = House::new(&[("e", every(10.0), call())]);
    let scheduler = house.scheduler("beat@a");
    pass(9.9).await;
    assert_eq!(house.waiting("q").await, 0, "it runs for the first time when an interval has passed");
    pass(0.2).await;
    assert_eq!(house.waiting("q").await, 1);
    pass(990.0).await;
    assert_eq!(house.waiting("q").await, 100, "without drift");
    scheduler.stop().await;
    let sent = house.sent("q").await;
    assert_eq!(ids(&sent).len(), 100);
    assert_eq!(sent[0]["headers"]["task"], "proj.add");
    assert_eq!(sent[0]["headers"]["celery_beat_task"], true);
}

#[tokio::test(start_paused = true)]
async fn a_crontab_is_sent_once_in_each_of_its_minutes() {
    let house = House::new(&[("e", Schedule::crontab("*/5 * * * *").unwrap(), call())]);
    let scheduler = house.scheduler("beat@a");
    pass(3600.0).await;
    assert_eq!(house.waiting("q").await, 12);
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn entries_are_sent_with_their_options() {
    let call = call().priority(7);
    let mut expiring = call.clone();
    expiring.set_option("expires", 60);
    let house = House::new(&[("plain", every(1.0), Signature::new("proj.add")), ("optioned", every(1.0), expiring)]);
    let scheduler = house.scheduler("beat@a");
    pass(1.5).await;
    scheduler.stop().await;
    assert_eq!(house.sent("celery").await.len(), 1);
    let sent = house.sent("q").await;
    assert_eq!(sent[0]["properties"]["priority"], 7);
    assert!(sent[0]["headers"]["expires"].is_string(), "{}", sent[0]);
}

#[tokio::test(start_paused = true)]
async fn of_several_schedulers_one_sends() {
    let house = House::new(&[("e", every(10.0), call())]);
    let schedulers = ["beat@a", "beat@b", "beat@c"].map(|name| house.scheduler(name));
    pass(100.5).await;
    assert_eq!(house.waiting("q").await, 10);
    for scheduler in schedulers {
        scheduler.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_tick_is_lost_or_doubled_when_leaders_die() {
    let house = House::new(&[("e", every(10.0), call())]);
    let mut schedulers: Vec<Running> = Vec::new();
    schedulers.push(house.scheduler("beat@0"));
    let mut passed = 0.0;
    for (number, after) in [7.0, 3.5, 10.0, 9.99, 6.5, 0.02, 24.0, 5.0].into_iter().enumerate() {
        schedulers.push(house.scheduler(&format!("beat@{}", number + 1)));
        pass(after).await;
        passed += after;
        schedulers.remove(0).dies().await;
        // Whoever waits takes over within the lease, which is shorter than the interval.
    }
    pass(200.1 - passed).await;
    let sent = house.sent("q").await;
    assert_eq!((sent.len(), ids(&sent).len()), (20, 20));
    for scheduler in schedulers {
        scheduler.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_in_good_order_is_followed_within_a_second() {
    let house = House::new(&[("e", every(2.0), call())]);
    let (first, second) = (house.scheduler("beat@a"), house.scheduler("beat@b"));
    pass(10.5).await;
    first.stop().await;
    assert_eq!(house.waiting("q").await, 5);
    pass(2.0).await;
    assert_eq!(house.waiting("q").await, 6);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_once() {
    let house = House::new(&[("e", every(10.0), call())]);
    house.scheduler("beat@a").stop().await;
    let first = house.scheduler("beat@a");
    pass(15.0).await;
    first.stop().await;
    assert_eq!(house.waiting("q").await, 1);
    pass(100.0).await;
    let second = house.scheduler("beat@b");
    pass(0.1).await;
    assert_eq!(house.waiting("q").await, 2, "one for all that were missed");
    pass(9.8).await;
    assert_eq!(house.waiting("q").await, 2);
    pass(0.2).await;
    assert_eq!(house.waiting("q").await, 3, "and an interval later the next");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crontab_that_is_too_late_is_left_out() {
    let mut settings = Settings::default();
    settings.beat_cron_starting_deadline = Some(Seconds::new(30.0));
    let hourly = [("e", Schedule::crontab("0 * * * *").unwrap(), call())];
    let house = House::with(settings, &hourly);
    let first = house.scheduler("beat@a");
    pass(3600.0).await;
    first.stop().await;
    assert_eq!(house.waiting("q").await, 1);
    // Until ten minutes after the next full hour.
    let now = house.app.broker().lead("nobody", Duration::from_millis(1)).await.unwrap().now.timestamp();
    let full = u32::try_from(3600 - now.rem_euclid(3600)).unwrap();
    pass(f64::from(full) + 600.0).await;
    let second = house.scheduler("beat@b");
    pass(60.0).await;
    assert_eq!(house.waiting("q").await, 1, "ten minutes are too late");
    pass(3000.0).await;
    assert_eq!(house.waiting("q").await, 2);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_sent_holds_no_other_up() {
    let mut broken = call();
    broken.set_option("serializer", "pickle");
    let house = House::new(&[("broken", every(1.0), broken), ("good", every(1.0), call())]);
    let scheduler = house.scheduler("beat@a");
    pass(10.5).await;
    assert_eq!(house.waiting("q").await, 10);
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_to_send_is_no_reason_to_end() {
    let house = House::new(&[]);
    let scheduler = house.scheduler("beat@a");
    pass(1000.0).await;
    assert!(!scheduler.scheduler.is_finished());
    scheduler.stop().await;
}
