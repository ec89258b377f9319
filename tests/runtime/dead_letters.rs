//! Messages that are given up, and what a person does with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use celeriac::canvas::chord;
use celeriac::config::{Seconds, Settings};
use celeriac::dead_letters::{Filter, Letter};
use celeriac::protocol::{Signature, State, Value};
use celeriac::settlement::Outgoing;
use celeriac::task::{Context, TaskError};

use super::house::House;

fn keeping() -> Settings {
    let mut settings = Settings::default();
    settings.celeriac.dead_letter_exhausted = true;
    settings
}

async fn letters(house: &House) -> Vec<Letter> {
    house.app.dead_letters().list(&Filter::default(), 0, 100).await.unwrap()
}

/// How often the tasks of these tests may fail.
#[derive(Debug, Default)]
struct Broken(AtomicU32);

async fn mended(ctx: Context, (): ()) -> Result<u32, TaskError> {
    if ctx.state::<Arc<Broken>>()?.0.load(Ordering::SeqCst) > 0 {
        ctx.state::<Arc<Broken>>()?.0.fetch_sub(1, Ordering::SeqCst);
        return Err(ctx.retry(TaskError::builtin("ConnectionError", "the peer is away")));
    }
    Ok(ctx.request().retries())
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_retries_are_used_up_is_kept_and_runs_anew_when_it_is_requeued() {
    for late in [true, false] {
        let mut settings = keeping();
        settings.task_acks_late = late;
        let broken = Arc::new(Broken(AtomicU32::new(3)));
        let house = House::furnished(settings, |app| {
            app.task("t.mended", mended).max_retries(2).default_retry_delay(Duration::from_millis(50));
            app.state(Arc::clone(&broken));
        });
        let worker = house.worker(1);
        let meta = house.call(Signature::new("t.mended").id("one")).await;
        assert_eq!(meta.exception().unwrap().exc_type, "ConnectionError");
        // Its slot is free only after it was settled.
        house.call(Signature::new("t.add").arg(1).arg(1)).await;
        let letter = letters(&house).await.remove(0);
        assert_eq!((letter.task.as_deref(), letter.task_id.as_deref()), (Some("t.mended"), Some("one")));
        assert_eq!((letter.dead.queue.as_str(), letter.dead.letter.nodename.as_str()), ("celery", "celery@test"));
        assert_eq!(letter.dead.letter.deliveries, 1);
        assert!(letter.dead.letter.reason.contains("used up (2): ConnectionError"), "{}", letter.dead.letter.reason);
        assert_eq!(house.broker.leased_len(), 0);

        let gone = house.app.dead_letters().requeue(&[letter.dead.id]).await.unwrap();
        assert_eq!(gone.len(), 1);
        let mut meta = house.state("one").await.unwrap();
        while meta.status != State::Success {
            tokio::time::sleep(Duration::from_millis(10)).await;
            meta = house.state("one").await.unwrap();
        }
        assert_eq!(meta.result, Value::from(0), "late {late}: its retries are counted anew");
        worker.stop().await;
        assert_eq!(house.broker.dead_letters_len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_without_retries_left_is_kept_only_where_somebody_says_so() {
    let plain = House::new();
    let worker = plain.worker(1);
    plain.call(Signature::new("t.flaky").arg(9)).await;
    worker.stop().await;
    assert_eq!(plain.broker.dead_letters_len(), 0, "not by default");

    let house = House::furnished(keeping(), |app| {
        app.task("t.unkept", mended).max_retries(0).dead_letter_exhausted(false);
        app.state(Arc::new(Broken(AtomicU32::new(1))));
    });
    let worker = house.worker(1);
    for name in ["t.unkept", "t.fail"] {
        assert_eq!(house.call(Signature::new(name)).await.status, State::Failure, "{name}");
    }
    worker.stop().await;
    assert_eq!(house.broker.dead_letters_len(), 0, "a failure that is no retry is none that is used up");

    let mut settings = Settings::default();
    settings.task_annotations = serde_json::from_str(r#"{"t.flaky": {"dead_letter_exhausted": true}}"#).unwrap();
    let annotated = House::with(settings);
    let worker = annotated.worker(1);
    annotated.call(Signature::new("t.flaky").arg(9)).await;
    worker.stop().await;
    assert_eq!(annotated.broker.dead_letters_len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_retries_are_used_up_fails_its_chord_as_ever() {
    let house = House::with(keeping());
    let worker = house.worker(2);
    let header = [Signature::new("t.flaky").arg(9), Signature::new("t.add").arg(1).arg(1)];
    let meta = house.call(chord(header, Signature::new("t.sum"))).await;
    assert_eq!(meta.exception().unwrap().exc_type, "ChordError");
    worker.stop().await;
    assert_eq!((house.broker.dead_letters_len(), house.broker.leased_len()), (1, 0));
}

/// Three letters: two tasks on two queues, and one that is no message.
async fn three() -> (House, Vec<Letter>) {
    let mut settings = keeping();
    settings.task_acks_late = true;
    let house = House::with(settings);
    let worker = house.worker(1);
    house.call(Signature::new("t.flaky").id("flaky-1").arg(9)).await;
    let torn = Outgoing { queue: "celery".to_owned(), priority: 0, envelope: "nonsense".to_owned() };
    house.app.broker().publish(&[torn]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    house.call(Signature::new("t.flaky").id("flaky-2").arg(9)).await;
    worker.stop().await;
    let mut found = letters(&house).await;
    found.reverse();
    assert_eq!(found.len(), 3);
    (house, found)
}

#[tokio::test(start_paused = true)]
async fn letters_are_found_by_what_they_are() {
    let (house, all) = three().await;
    let dead = house.app.dead_letters();
    let none = Filter::default;
    let cases = [
        (none(), vec![0, 1, 2]),
        (Filter { task: Some("t.flaky".into()), ..none() }, vec![0, 2]),
        (Filter { reason: Some("JSON OBJECT".into()), ..none() }, vec![1]),
        (Filter { queue: Some("elsewhere".into()), ..none() }, vec![]),
        (Filter { ids: vec!["flaky-2".into(), all[1].dead.id.clone()], ..none() }, vec![1, 2]),
        (Filter { min_age: Duration::from_secs(60), ..none() }, vec![0, 1]),
        (Filter { max_age: Some(Duration::from_secs(60)), task: Some("t.flaky".into()), ..none() }, vec![2]),
    ];
    for (filter, expected) in cases {
        let found: Vec<String> = dead.select(&filter).await.unwrap().into_iter().map(|letter| letter.id).collect();
        let expected: Vec<String> = expected.into_iter().map(|at: usize| all[at].dead.id.clone()).collect();
        assert_eq!(found, expected, "{filter:?}");
        let mut shown: Vec<String> = dead.list(&filter, 0, 10).await.unwrap().into_iter().map(|letter| letter.dead.id).collect();
        shown.reverse();
        assert_eq!(shown, expected, "youngest first");
    }
    let second = dead.list(&Filter::default(), 1, 1).await.unwrap();
    assert_eq!(second, [all[1].clone()]);
    assert_eq!(dead.find("flaky-1").await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(dead.find(&all[1].dead.id).await.unwrap().as_ref(), Some(&all[1]));
    assert_eq!((dead.find("nobody").await.unwrap(), dead.count().await.unwrap()), (None, 3));
}

#[tokio::test(start_paused = true)]
async fn a_worker_throws_away_letters_that_are_too_old_or_too_many() {
    let mut settings = keeping();
    settings.celeriac.dead_letters_max = 2;
    settings.celeriac.dead_letters_expires = Seconds::new(3600.0);
    let house = House::with(settings);
    let worker = house.worker(1);
    for id in ["1", "2", "3"] {
        house.call(Signature::new("t.flaky").id(id).arg(9)).await;
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    let left: Vec<Option<String>> = letters(&house).await.into_iter().map(|letter| letter.task_id).collect();
    assert_eq!(left, [Some("3".to_owned()), Some("2".to_owned())]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(house.broker.dead_letters_len(), 0);
    worker.stop().await;
}
