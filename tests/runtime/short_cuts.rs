//! What has become needless while it waited is not run.

use std::time::Duration;

use celeriac::canvas::chord;
use celeriac::config::{Rate, RateScope, Settings};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};
use tokio::time::Instant;

use super::house::House;

async fn double(_: Context, (number,): (i64,)) -> Result<i64, TaskError> {
    tokio::time::sleep(Duration::from_secs(10)).await;
    Ok(2 * number)
}

/// Knows the double of nothing.
async fn known(_: Context, (number,): (i64,)) -> Option<i64> {
    (number == 0).then_some(0)
}

/// With a task that takes ten seconds and may begin once a minute, unless its result is known.
fn house() -> House {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    House::furnished(settings, |app| {
        app.task("t.double", double).rate_limit(Rate::per_minute(1.0), RateScope::Worker).short_cut(known);
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_known_takes_no_slot_no_turn_and_no_time_and_counts_in_its_chord() {
    let house = house();
    let worker = house.worker(1);
    let double = |number: i64| Signature::new("t.double").arg(number);
    let since = Instant::now();
    let busy = house.send(double(1)).await;
    let header: Vec<Signature> = (0..200).map(|_| double(0)).collect();
    let body = house.call(chord(header, Signature::new("t.sum"))).await;
    assert_eq!((body.status.as_str(), body.result), ("SUCCESS", Value::Int(0)));
    // The slot is free again once the one that runs has ended: then all go at once.
    assert!(since.elapsed() < Duration::from_secs(11), "{:?}", since.elapsed());
    assert_eq!(house.ended(&busy).await.result, Value::Int(2));
    assert_eq!(house.broker.leased_len(), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_run_and_fails_as_ever() {
    let house = house();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.double").arg("nothing")).await;
    assert_eq!(meta.exception().unwrap().exc_type, "TypeError");
    worker.stop().await;
}
