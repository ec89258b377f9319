//! The contract of a backend: states are stored, kept, announced, waited for.

use std::time::Duration;

use celeriac::Error;
use celeriac::backend::Seen;
use celeriac::settlement::Write;

use crate::contracts;
use crate::ground::{Ground, state};

contracts!(
    values_come_in_the_order_of_their_keys,
    a_later_state_overwrites_an_earlier_one,
    a_success_is_never_overwritten,
    a_success_in_msgpack_is_never_overwritten,
    a_value_expires,
    a_value_without_an_end_stays,
    a_forgotten_value_is_gone_and_may_be_stored_again,
    a_wait_for_what_is_stored_ends_at_once,
    a_wait_ends_with_the_state_it_waits_for,
    many_wait_for_one_state_and_one_for_many,
    a_state_that_is_not_stored_is_not_announced,
    a_wait_ends_at_its_time,
    a_dropped_wait_harms_nobody,
    a_watch_shows_what_is_stored_and_what_comes_until_every_key_is_settled,
    a_watch_ends_when_it_has_seen_enough_or_at_its_time,
    a_watch_of_thousands_of_keys_misses_none,
    a_row_of_marks_grows_and_a_mark_set_twice_is_set_once,
    a_row_of_marks_expires_some_time_after_its_last_mark,
);

const FOREVER: Duration = Duration::from_secs(3600);

fn is(status: &'static str) -> impl Fn(&[u8]) -> bool + Send + Sync {
    move |value| std::str::from_utf8(value).unwrap().contains(status)
}

async fn store(ground: &Ground, key: &str, status: &str) {
    ground.backend.apply(&[state(key, status)]).await.unwrap();
}

async fn values_come_in_the_order_of_their_keys(ground: Ground) {
    ground.backend.apply(&[state("a", "STARTED"), state("b", "SUCCESS")]).await.unwrap();
    let keys = ["b", "missing", "a"].map(str::to_owned);
    let found = ground.backend.get(&keys).await.unwrap();
    let found: Vec<Option<String>> = found.into_iter().map(|value| Some(String::from_utf8(value?).unwrap())).collect();
    assert!(found[0].as_ref().unwrap().contains("SUCCESS") && found[1].is_none() && found[2].as_ref().unwrap().contains("STARTED"));
    assert!(ground.backend.get(&[]).await.unwrap().is_empty());
    ground.backend.apply(&[]).await.unwrap();
    ground.backend.forget(&[]).await.unwrap();
}

async fn a_later_state_overwrites_an_earlier_one(ground: Ground) {
    for status in ["STARTED", "RETRY", "PROGRESS", "FAILURE", "SUCCESS"] {
        store(&ground, "k", status).await;
        assert!(ground.value("k").await.unwrap().contains(status));
    }
}

async fn a_success_in_msgpack_is_never_overwritten(ground: Ground) {
    for map in [&b"\x86"[..], b"\xde\x00\x12"] {
        let value = [map, b"\xa6status\xa7SUCCESS\xa6result\x01"].concat();
        let key = format!("msgpack {}", map.len());
        ground.backend.apply(&[Write::State { key: key.clone(), value: value.clone(), ttl: Some(100) }]).await.unwrap();
        store(&ground, &key, "FAILURE").await;
        assert_eq!(ground.backend.get(&[key]).await.unwrap(), [Some(value)]);
    }
}

async fn a_success_is_never_overwritten(ground: Ground) {
    for success in [r#"{"status": "SUCCESS", "result": 1}"#, r#"{"status":"SUCCESS","result":1}"#] {
        let write = Write::State { key: success.to_owned(), value: success.into(), ttl: Some(100) };
        ground.backend.apply(&[write]).await.unwrap();
        store(&ground, success, "FAILURE").await;
        assert_eq!(ground.value(success).await.as_deref(), Some(success));
    }
    store(&ground, "custom", "SUCCESSOR").await;
    store(&ground, "custom", "FAILURE").await;
    assert!(ground.value("custom").await.unwrap().contains("FAILURE"), "another word that begins alike is no success");
}

async fn a_value_expires(ground: Ground) {
    store(&ground, "k", "SUCCESS").await;
    ground.pass(Duration::from_secs(90)).await;
    assert!(ground.value("k").await.is_some());
    ground.pass(Duration::from_secs(11)).await;
    assert_eq!(ground.value("k").await, None);
    store(&ground, "k", "FAILURE").await;
    assert!(ground.value("k").await.unwrap().contains("FAILURE"));
}

async fn a_value_without_an_end_stays(ground: Ground) {
    for (key, ttl) in [("none", None), ("zero", Some(0))] {
        let write = Write::State { key: key.to_owned(), value: b"{}".to_vec(), ttl };
        ground.backend.apply(&[write]).await.unwrap();
    }
    ground.pass(FOREVER * 10_000).await;
    assert!(ground.value("none").await.is_some() && ground.value("zero").await.is_some());
}

async fn a_forgotten_value_is_gone_and_may_be_stored_again(ground: Ground) {
    store(&ground, "k", "SUCCESS").await;
    ground.backend.forget(&["k".to_owned(), "missing".to_owned()]).await.unwrap();
    assert_eq!(ground.value("k").await, None);
    store(&ground, "k", "STARTED").await;
    assert!(ground.value("k").await.is_some());
}

async fn a_wait_for_what_is_stored_ends_at_once(ground: Ground) {
    store(&ground, "k", "SUCCESS").await;
    let value = ground.backend.wait("k", FOREVER, &is("SUCCESS")).await.unwrap();
    assert!(is("SUCCESS")(&value));
}

async fn a_wait_ends_with_the_state_it_waits_for(ground: Ground) {
    store(&ground, "k", "STARTED").await;
    let done = is("FAILURE");
    let wait = ground.backend.wait("k", FOREVER, &done);
    let work = async {
        for status in ["PROGRESS", "RETRY", "FAILURE"] {
            tokio::task::yield_now().await;
            store(&ground, "k", status).await;
        }
    };
    let (value, ()) = tokio::join!(wait, work);
    assert!(is("FAILURE")(&value.unwrap()));
}

async fn many_wait_for_one_state_and_one_for_many(ground: Ground) {
    let (done, keys) = (is("SUCCESS"), ["a", "b", "c"]);
    let waits = (0..30).map(|number| ground.backend.wait(keys[number % 3], FOREVER, &done));
    let work = async {
        for key in keys {
            store(&ground, key, "SUCCESS").await;
        }
    };
    let (values, ()) = tokio::join!(futures::future::join_all(waits), work);
    assert!(values.into_iter().all(|value| value.is_ok()));
}

async fn a_state_that_is_not_stored_is_not_announced(ground: Ground) {
    store(&ground, "k", "SUCCESS").await;
    let done = is("FAILURE");
    let wait = ground.backend.wait("k", Duration::from_millis(300), &done);
    let (value, ()) = tokio::join!(wait, async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
            store(&ground, "k", "FAILURE").await;
        }
    });
    assert!(matches!(value, Err(Error::Timeout { .. })));
}

async fn a_wait_ends_at_its_time(ground: Ground) {
    let answer = ground.backend.wait("k", Duration::from_millis(50), &is("SUCCESS")).await;
    assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
}

async fn a_dropped_wait_harms_nobody(ground: Ground) {
    let done = is("SUCCESS");
    let survivor = ground.backend.wait("k", FOREVER, &done);
    let work = async {
        for _ in 0..20 {
            let dropped = tokio::time::timeout(Duration::from_millis(2), ground.backend.wait("k", FOREVER, &done)).await;
            assert!(dropped.is_err());
        }
        // The end of this one gives up what nobody waits for; the survivor's channel is not among it.
        assert!(ground.backend.wait("other", Duration::from_millis(20), &done).await.is_err());
        store(&ground, "another", "SUCCESS").await;
        ground.backend.wait("another", FOREVER, &done).await.unwrap();
        store(&ground, "k", "SUCCESS").await;
    };
    let (value, ()) = tokio::join!(survivor, work);
    assert!(value.is_ok());
}

async fn a_row_of_marks_grows_and_a_mark_set_twice_is_set_once(ground: Ground) {
    let mark = async |marks: &[(usize, u8)]| ground.backend.mark("row", marks, Some(100)).await.unwrap();
    assert_eq!(mark(&[]).await, b"");
    assert_eq!(mark(&[(2, b'c')]).await, b"\0\0c");
    assert_eq!(mark(&[(0, b'a'), (3, 0xff)]).await, b"a\0c\xff");
    assert_eq!(mark(&[(0, b'a'), (1, b'b')]).await, b"abc\xff");
    assert_eq!(ground.backend.get(&["row".to_owned()]).await.unwrap(), [Some(b"abc\xff".to_vec())]);
}

async fn a_row_of_marks_expires_some_time_after_its_last_mark(ground: Ground) {
    let mark = async |key: &str, place: usize, ttl| ground.backend.mark(key, &[(place, b'x')], ttl).await.unwrap();
    mark("row", 0, Some(100)).await;
    mark("for ever", 0, None).await;
    ground.pass(Duration::from_secs(60)).await;
    assert_eq!(mark("row", 1, Some(100)).await, b"xx");
    ground.pass(Duration::from_secs(60)).await;
    assert_eq!(mark("row", 2, Some(100)).await, b"xxx");
    ground.pass(Duration::from_secs(200)).await;
    assert_eq!(ground.value("row").await, None);
    assert!(ground.value("for ever").await.is_some());
}

async fn a_watch_shows_what_is_stored_and_what_comes_until_every_key_is_settled(ground: Ground) {
    store(&ground, "b", "SUCCESS").await;
    let keys = ["a", "b", "c", "a"].map(str::to_owned);
    let mut shown = Vec::new();
    let mut look = |place: usize, value: &[u8]| {
        shown.push(place);
        if is("SUCCESS")(value) { Seen::Settled } else { Seen::Open }
    };
    let watch = ground.backend.watch(&keys, FOREVER, &mut look);
    let work = async {
        for (key, status) in [("c", "STARTED"), ("a", "SUCCESS"), ("c", "SUCCESS")] {
            tokio::task::yield_now().await;
            store(&ground, key, status).await;
        }
    };
    let (ended, ()) = tokio::join!(watch, work);
    ended.unwrap();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown, [0, 1, 2, 3], "a key that is named twice is shown at both places");
    ground.backend.watch(&[], FOREVER, &mut |_, _| Seen::Open).await.unwrap();
}

async fn a_watch_ends_when_it_has_seen_enough_or_at_its_time(ground: Ground) {
    let keys = ["a", "b"].map(str::to_owned);
    store(&ground, "a", "FAILURE").await;
    store(&ground, "b", "FAILURE").await;
    let mut shown = 0;
    let mut enough = |_: usize, _: &[u8]| {
        shown += 1;
        Seen::Enough
    };
    ground.backend.watch(&keys, FOREVER, &mut enough).await.unwrap();
    assert_eq!(shown, 1);
    let late = ground.backend.watch(&keys, Duration::from_millis(50), &mut |_, _| Seen::Open).await;
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
}

async fn a_watch_of_thousands_of_keys_misses_none(ground: Ground) {
    let keys: Vec<String> = (0..2500).map(|number| format!("k{number}")).collect();
    let states = |keys: &[String]| keys.iter().map(|key| state(key, "SUCCESS")).collect::<Vec<_>>();
    ground.backend.apply(&states(&keys[..700])).await.unwrap();
    let mut shown = vec![false; keys.len()];
    let mut look = |place: usize, _: &[u8]| {
        shown[place] = true;
        Seen::Settled
    };
    let watch = ground.backend.watch(&keys, FOREVER, &mut look);
    let work = async {
        for part in keys[700..].chunks(300) {
            tokio::task::yield_now().await;
            ground.backend.apply(&states(part)).await.unwrap();
        }
    };
    let (ended, ()) = tokio::join!(watch, work);
    ended.unwrap();
    assert!(shown.into_iter().all(|shown| shown));
}
