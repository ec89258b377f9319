//! What a call gives back, and which child serves it.

use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use celeriac::pool::{CallError, CallOptions, ChildPool, ChildPoolOptions, Settings};
use celeriac::protocol::{Map, Value};
use futures::future::join_all;
use libtest_mimic::Trial;

use crate::functions::{COUNT, ECHO, ENVIRONMENT, FAIL, PANIC, PID, PRINT, REPEAT, SPIN, UNREADY, UNREGISTERED, WAIT, dynamic};
use crate::support::{Beacon, failure, options, pid, pool};
use crate::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("calls::a_megabyte_goes_there_and_back", a_megabyte_goes_there_and_back),
        trial("calls::a_function_keeps_its_state_and_was_given_its_settings", state_and_settings),
        trial("calls::a_dynamic_name_carries_values_of_any_shape", dynamic_name),
        trial("calls::a_failure_is_the_callers_and_the_child_lives_on", a_failure_is_the_callers),
        trial("calls::a_panic_is_a_failure_and_its_child_is_replaced", a_panic_is_a_failure),
        trial("calls::an_unknown_function_is_named", unknown_function),
        trial("calls::a_function_whose_set_up_failed_says_why_and_others_still_work", unready_function),
        trial("calls::arguments_and_values_above_the_cap_are_refused", above_the_cap),
        trial("calls::as_many_calls_run_at_once_as_there_are_children", side_by_side),
        trial("calls::a_key_goes_back_to_the_child_that_served_it", affinity),
        trial("calls::a_key_does_not_wait_for_a_busy_child", affinity_does_not_wait),
        trial("calls::a_waiting_call_with_the_childs_key_goes_first_but_passes_none_for_ever", look_ahead),
        trial("calls::a_child_inherits_no_environment_but_what_it_is_given", environment),
        trial("calls::what_a_child_prints_cannot_block_it", printing),
        trial("calls::a_program_that_is_no_child_is_a_clear_error_and_not_tried_in_a_hot_loop", cannot_start),
        trial("calls::a_closed_pool_refuses_calls", closed),
    ]
}

async fn a_megabyte_goes_there_and_back() {
    let pool = pool(1);
    let sent = Bytes::from_iter((0..1 << 20).map(|n: u32| n.to_le_bytes()[0]));
    let back = pool.call(&ECHO, sent.clone(), CallOptions::default()).await.unwrap();
    assert!(back == sent, "the bytes changed on the way");
}

async fn state_and_settings() {
    let mut options = options(1);
    options.settings = Settings::default().with("first", &40_u64).unwrap();
    let pool = ChildPool::new(options);
    assert_eq!(pool.call(&COUNT, 1, CallOptions::default()).await, Ok(41));
    assert_eq!(pool.call(&COUNT, 1, CallOptions::default()).await, Ok(42));
}

async fn dynamic_name() {
    let list = vec![Value::Int(-1), Value::Float(f64::NAN), Value::Null, Value::from("ü"), Value::BigInt(u64::MAX.to_string())];
    let given = Value::Map(Map::from_iter([("args".to_owned(), Value::List(list))]));
    let back = pool(1).call(&dynamic(), given.clone(), CallOptions::default()).await.unwrap();
    assert_eq!(back, Value::Map(Map::from_iter([("given".to_owned(), given)])));
}

async fn a_failure_is_the_callers() {
    let pool = pool(1);
    let before = pid(&pool).await;
    let error = pool.call(&FAIL, "bad page".to_owned(), CallOptions::default()).await.unwrap_err();
    assert_eq!(failure(error).to_string(), "ValueError: bad page");
    assert_eq!(pid(&pool).await, before);
}

async fn a_panic_is_a_failure() {
    let pool = pool(1);
    let before = pid(&pool).await;
    let error = pool.call(&PANIC, (), CallOptions::default()).await.unwrap_err();
    assert_eq!(failure(error).message, "at the disco");
    assert_ne!(pid(&pool).await, before);
}

async fn unknown_function() {
    let error = pool(1).call(&UNREGISTERED, (), CallOptions::default()).await.unwrap_err();
    assert_eq!(error, CallError::NotRegistered("test.unregistered".to_owned()));
}

async fn unready_function() {
    let pool = pool(1);
    let before = pid(&pool).await;
    let error = pool.call(&UNREADY, (), CallOptions::default()).await.unwrap_err();
    assert_eq!(error, CallError::Start("test.unready: OSError: libmissing.so not found".to_owned()));
    assert_eq!(pid(&pool).await, before, "what cannot be set up is not started over and over");
}

async fn above_the_cap() {
    let mut options = options(1);
    options.max_frame = 100_000;
    let pool = ChildPool::new(options);
    let large = Bytes::from(vec![0; 100_001]);
    let error = pool.call(&ECHO, large, CallOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { limit: 100_000, .. }), "{error:?}");
    let error = pool.call(&REPEAT, ("x".to_owned(), 100_000), CallOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { limit: 100_000, .. }), "{error:?}");
    pid(&pool).await;
}

async fn side_by_side() {
    let beacon = Beacon::new();
    let mut options = options(2);
    options.settings = beacon.settings("spin");
    let pool = ChildPool::new(options);
    let spin = || pool.call(&SPIN, (), CallOptions::default().time_limit(Duration::from_secs(3)));
    let both = async { (beacon.begun().await.0, beacon.begun().await.0) };
    let (first, second, (one, other)) = tokio::join!(spin(), spin(), both);
    assert_ne!(one, other);
    assert!(matches!((first, second), (Err(CallError::TimeLimit(_)), Err(CallError::TimeLimit(_)))));
}

async fn affinity() {
    let pool = pool(2);
    let served = async |key: &str| pool.call(&PID, (), CallOptions::default().affinity(key)).await.unwrap();
    let (a, b) = (served("a").await, served("b").await);
    assert_ne!(a, b, "a second key gets a child of its own while there is room");
    assert_eq!([served("b").await, served("a").await, served("a").await, served("b").await], [b, a, a, b]);
    assert_eq!(served("c").await, a, "a third key goes to the child that has been idle for longest");
    assert_eq!(pool.children().await.len(), 2);
}

async fn affinity_does_not_wait() {
    let beacon = Beacon::new();
    let mut options = options(2);
    options.settings = beacon.settings("spin");
    let pool = ChildPool::new(options);
    let busy = pool.call(&SPIN, (), CallOptions::default().affinity("a"));
    let meanwhile = async {
        let (busy, _connection) = beacon.begun().await;
        let served = pool.call(&PID, (), CallOptions::default().affinity("a")).await.unwrap();
        assert_ne!(served, busy);
    };
    tokio::select! {
        outcome = busy => panic!("the busy call ended: {outcome:?}"),
        () = meanwhile => {}
    }
}

async fn look_ahead() {
    let beacon = Beacon::new();
    let mut options = options(1);
    options.settings = beacon.settings("wait");
    let pool = ChildPool::new(options);
    // The child's counter tells in which order waiting calls were served.
    let keyed = |key: &str| pool.call(&COUNT, 1, CallOptions::default().affinity(key));
    let waiting = || std::iter::once(keyed("other")).chain((0..40).map(|_| keyed("same")));
    let first = pool.call(&WAIT, (), CallOptions::default().affinity("same"));
    let release = async {
        let (_, mut connection) = beacon.begun().await;
        let mut served = pin!(join_all(waiting()));
        assert!(futures::poll!(&mut served).is_pending());
        assert_eq!(pool.children().await.len(), 1, "asked after the calls, so they are in the queue now");
        connection.write_all(b"!").unwrap();
        served.await
    };
    let (first, served) = tokio::join!(first, release);
    assert_eq!(first, Ok(()));
    let served: Vec<u64> = served.into_iter().map(Result::unwrap).collect();
    assert_eq!(served[0], 17, "sixteen calls may pass one that wants another document");
    assert_eq!(served[1..=16], (1..=16).collect::<Vec<u64>>());
}

async fn environment() {
    let mut options = options(1);
    options.envs = vec![("GIVEN".into(), "1".into())];
    let names = ChildPool::new(options).call(&ENVIRONMENT, (), CallOptions::default()).await.unwrap();
    assert_eq!(names, ["GIVEN"]);
}

async fn printing() {
    assert_eq!(pool(1).call(&PRINT, (), CallOptions::default()).await, Ok(()));
}

async fn cannot_start() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let mut options = ChildPoolOptions::new("/bin/sh", 1);
    options.args = vec!["-c".into(), format!("echo >> {}; exit 7", starts.display()).into()];
    let pool = ChildPool::new(options);
    for _ in 0..1000 {
        let error = pool.call(&PID, (), CallOptions::default()).await.unwrap_err();
        assert_eq!(error, CallError::Start("it ended before it was ready (exitcode 7)".to_owned()));
    }
    // Each failed start doubles the time until the next: ten of them take more than a minute.
    let starts = std::fs::read(starts).unwrap().len();
    assert!(starts <= 10, "{starts} starts for a thousand calls");
    let missing = ChildPool::new(ChildPoolOptions::new("/nowhere/celeriac", 1));
    let error = missing.call(&PID, (), CallOptions::default()).await.unwrap_err();
    assert!(matches!(&error, CallError::Start(text) if text.contains("/nowhere/celeriac")), "{error}");
}

async fn closed() {
    let pool = pool(1);
    pid(&pool).await;
    pool.close(Duration::ZERO).await;
    assert_eq!(pool.call(&PID, (), CallOptions::default()).await, Err(CallError::Closed));
    assert!(pool.children().await.is_empty());
}
