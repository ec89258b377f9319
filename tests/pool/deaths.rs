//! A child's death is an error of one call, leaves nothing behind, and the pool goes on.

use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use celeriac::pool::{CallError, CallOptions, ChildPool, Isolated, Settings};
use libtest_mimic::Trial;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::functions::{ABORT, ALLOCATE, EXIT, PID, SIGNAL, SPIN, WAIT};
use crate::support::{Beacon, ended, exists, options, pid, pool};
use crate::trial;

/// The hidden first argument of a process that calls a function which never ends.
pub const DOOMED_WORKER: &str = "--doomed-worker";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("deaths::an_abort_is_worker_lost", async || dies(&ABORT, (), "signal 6 (SIGABRT)").await),
        trial("deaths::a_segmentation_fault_is_worker_lost", async || dies(&SIGNAL, 11, "signal 11 (SIGSEGV)").await),
        trial("deaths::a_kill_is_worker_lost", async || dies(&SIGNAL, 9, "signal 9 (SIGKILL)").await),
        trial("deaths::an_exit_is_worker_lost", async || dies(&EXIT, 3, "exitcode 3").await),
        trial("deaths::an_exit_with_success_is_worker_lost_too", async || dies(&EXIT, 0, "exitcode 0").await),
        trial("deaths::memory_above_the_limit_is_worker_lost", async || dies(&ALLOCATE, 2 << 30, "signal 6 (SIGABRT)").await),
        trial("deaths::a_call_past_its_time_limit_is_killed", time_limit),
        trial("deaths::a_cancelled_call_kills_its_child", cancelled),
        trial("deaths::a_dropped_call_kills_its_child", dropped),
        trial("deaths::a_call_cancelled_while_it_waits_costs_no_child", cancelled_while_waiting),
        trial("deaths::a_child_that_dies_idle_costs_no_call", dies_idle),
        trial("deaths::closing_lets_a_call_end_and_kills_it_when_the_grace_is_over", close_grace),
        trial("deaths::a_dropped_pool_leaves_no_child", dropped_pool),
        trial("deaths::a_busy_child_ends_with_its_killed_worker", no_orphan),
    ]
}

async fn dies<A: Serialize, R: serde::de::DeserializeOwned + std::fmt::Debug>(function: &Isolated<A, R>, args: A, status: &str) {
    let pool = pool(1);
    let before = pid(&pool).await;
    let error = pool.call(function, args, CallOptions::default()).await.unwrap_err();
    assert_eq!(error, CallError::WorkerLost { status: status.to_owned(), job: 1 });
    assert!(!exists(before), "the dead child was not reaped");
    assert_ne!(pid(&pool).await, before);
}

fn spinning(size: usize) -> (Beacon, ChildPool) {
    let beacon = Beacon::new();
    let mut options = options(size);
    options.settings = beacon.settings("spin");
    (beacon, ChildPool::new(options))
}

async fn time_limit() {
    let (beacon, pool) = spinning(1);
    // It counts from the call, before the child is there.
    let limit = Duration::from_secs(3);
    let call = pool.call(&SPIN, (), CallOptions::default().time_limit(limit));
    let (outcome, (busy, connection)) = tokio::join!(call, beacon.begun());
    assert_eq!(outcome, Err(CallError::TimeLimit(limit)));
    ended(connection).await;
    assert!(!exists(busy));
    pid(&pool).await;
}

async fn cancelled() {
    let (beacon, pool) = spinning(1);
    let token = CancellationToken::new();
    let call = pool.call(&SPIN, (), CallOptions::default().cancel(token.clone()));
    let cancel = async {
        let begun = beacon.begun().await;
        token.cancel();
        begun
    };
    let (outcome, (busy, connection)) = tokio::join!(call, cancel);
    assert_eq!(outcome, Err(CallError::Cancelled));
    ended(connection).await;
    assert_ne!(pid(&pool).await, busy);
}

async fn dropped() {
    let (beacon, pool) = spinning(1);
    let (busy, connection) = tokio::select! {
        outcome = pool.call(&SPIN, (), CallOptions::default()) => panic!("{outcome:?}"),
        begun = beacon.begun() => begun,
    };
    ended(connection).await;
    assert_ne!(pid(&pool).await, busy);
}

async fn cancelled_while_waiting() {
    let (beacon, pool) = spinning(1);
    let token = CancellationToken::new();
    let running = pool.call(&SPIN, (), CallOptions::default());
    let checks = async {
        let (busy, _connection) = beacon.begun().await;
        let waiting = pool.call(&PID, (), CallOptions::default().cancel(token.clone()));
        let (outcome, ()) = tokio::join!(waiting, async { token.cancel() });
        assert_eq!(outcome, Err(CallError::Cancelled));
        let children = pool.children().await;
        assert_eq!(children.iter().map(|child| child.pid).collect::<Vec<_>>(), [busy]);
        assert_eq!(children[0].running.as_deref(), Some("test.spin"));
    };
    tokio::select! {
        outcome = running => panic!("{outcome:?}"),
        () = checks => {}
    }
}

async fn dies_idle() {
    let pool = pool(1);
    let mut before = pid(&pool).await;
    for _ in 0..20 {
        let victim = rustix::process::Pid::from_raw(before.try_into().unwrap()).unwrap();
        rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
        // Whether the pool has seen the death yet or not: the call must not meet it.
        while runs(before) {
            tokio::task::yield_now().await;
        }
        let after = pid(&pool).await;
        assert_ne!(after, before);
        before = after;
    }
}

/// Whether any thread of a process still runs. Its first thread is a zombie before the others are gone.
fn runs(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let zombie = std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    threads > 1 || (threads == 1 && !zombie)
}

async fn close_grace() {
    let (beacon, pool) = spinning(2);
    let close = async {
        let (busy, connection) = beacon.begun().await;
        pool.close(Duration::from_millis(200)).await;
        assert!(!exists(busy));
        ended(connection).await;
    };
    let (outcome, ()) = tokio::join!(pool.call(&SPIN, (), CallOptions::default()), close);
    assert_eq!(outcome, Err(CallError::Closed));

    let beacon = Beacon::new();
    let mut options = options(1);
    options.settings = beacon.settings("wait");
    let pool = ChildPool::new(options);
    let close = async {
        let (_, mut connection) = beacon.begun().await;
        let mut close = pin!(pool.close(Duration::from_secs(30)));
        assert!(futures::poll!(&mut close).is_pending(), "it does not wait for the running call");
        assert_eq!(pool.call(&PID, (), CallOptions::default()).await, Err(CallError::Closed));
        connection.write_all(b"!").unwrap();
        close.await;
    };
    let (outcome, ()) = tokio::join!(pool.call(&WAIT, (), CallOptions::default()), close);
    assert_eq!(outcome, Ok(()));
}

async fn dropped_pool() {
    let (beacon, pool) = spinning(1);
    let connection = tokio::select! {
        outcome = pool.call(&SPIN, (), CallOptions::default()) => panic!("{outcome:?}"),
        (_, connection) = beacon.begun() => connection,
    };
    drop(pool);
    ended(connection).await;
}

async fn no_orphan() {
    let beacon = Beacon::new();
    let mut worker = Command::new("/proc/self/exe");
    let mut worker = worker.arg(DOOMED_WORKER).arg(&beacon.path).stderr(Stdio::null()).spawn().unwrap();
    let (_, connection) = beacon.begun().await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    ended(connection).await;
}

/// The worker that [`no_orphan`] kills.
pub fn doomed_worker() -> ExitCode {
    let path = PathBuf::from(std::env::args_os().nth(2).expect("the beacon's path"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut options = options(1);
        options.settings = Settings::default().with("spin", &path).expect("a path encodes");
        let outcome = ChildPool::new(options).call(&SPIN, (), CallOptions::default()).await;
        panic!("the call ended: {outcome:?}");
    })
}
