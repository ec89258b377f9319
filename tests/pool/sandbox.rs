//! What a strictly sandboxed child cannot do, each layer tried on its own too.

use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use celeriac::pool::{CallError, CallOptions, ChildPool, Isolated, Sandbox};
use libtest_mimic::Trial;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::functions::{CONNECT, EXECUTE, READ, WRITE};
use crate::support::{failure, options, pid, unrestricted};
use crate::trial;

const SIGSYS: &str = "signal 31 (SIGSYS)";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sandbox::this_kernel_gives_all_of_it", complete),
        trial("sandbox::an_unrestricted_child_can_do_all_this", unrestricted_child),
        trial("sandbox::a_file_outside_the_readable_paths_cannot_be_read", reading),
        trial("sandbox::no_file_can_be_written", writing),
        trial("sandbox::a_connection_kills_the_child", async || is_killed(&CONNECT, listener().1).await),
        trial("sandbox::a_connection_fails_without_the_filter_too", connecting),
        trial("sandbox::another_program_kills_the_child", async || is_killed(&EXECUTE, ()).await),
        trial("sandbox::another_program_fails_without_the_filter_too", executing),
    ]
}

fn with(sandbox: Sandbox) -> ChildPool {
    let mut options = options(1);
    options.sandbox = sandbox;
    ChildPool::new(options)
}

fn unfiltered() -> Sandbox {
    let mut sandbox = Sandbox::strict();
    sandbox.system_calls = false;
    sandbox
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// False where the kernel has no landlock: what only landlock denies cannot be tried there.
async fn has_landlock(pool: &ChildPool) -> bool {
    pid(pool).await;
    let missing = pool.children().await.remove(0).missing;
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI must have the whole sandbox: {missing:?}");
    println!("skipped: {missing:?}");
    false
}

async fn is_killed<A: Serialize, R: DeserializeOwned + Debug>(function: &Isolated<A, R>, args: A) {
    let pool = with(Sandbox::strict());
    let error = pool.call(function, args, CallOptions::default()).await.unwrap_err();
    assert_eq!(error, CallError::WorkerLost { status: SIGSYS.to_owned(), job: 0 });
    pid(&pool).await;
}

async fn is_denied<A: Serialize, R: DeserializeOwned + Debug>(pool: &ChildPool, function: &Isolated<A, R>, args: A) {
    let failure = failure(pool.call(function, args, CallOptions::default()).await.unwrap_err());
    assert!(failure.message.contains("Permission denied"), "{failure}");
}

async fn complete() {
    has_landlock(&with(Sandbox::strict())).await;
}

async fn unrestricted_child() {
    let folder = tempfile::tempdir().unwrap();
    let pool = unrestricted(1);
    let (_listener, address) = listener();
    pool.call(&WRITE, folder.path().join("x"), CallOptions::default()).await.unwrap();
    assert_eq!(pool.call(&READ, folder.path().join("x"), CallOptions::default()).await, Ok(1));
    assert_eq!(pool.call(&CONNECT, address, CallOptions::default()).await, Ok(()));
    assert_eq!(pool.call(&EXECUTE, (), CallOptions::default()).await, Ok(()));
}

async fn reading() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("open"), "12345").unwrap();
    let pool = with(Sandbox::strict().readable(folder.path()).readable("/nowhere"));
    if !has_landlock(&pool).await {
        return;
    }
    assert_eq!(pool.call(&READ, folder.path().join("open"), CallOptions::default()).await, Ok(5));
    is_denied(&pool, &READ, PathBuf::from("/etc/shadow")).await;
    is_denied(&pool, &READ, PathBuf::from("/proc/self/environ")).await;
}

async fn writing() {
    let folder = tempfile::tempdir().unwrap();
    let pool = with(Sandbox::strict().readable(folder.path()));
    if !has_landlock(&pool).await {
        return;
    }
    is_denied(&pool, &WRITE, folder.path().join("new")).await;
    assert!(!folder.path().join("new").exists());
}

async fn connecting() {
    let pool = with(unfiltered());
    let (_listener, address) = listener();
    if has_landlock(&pool).await {
        is_denied(&pool, &CONNECT, address).await;
    }
}

async fn executing() {
    let pool = with(unfiltered());
    if has_landlock(&pool).await {
        is_denied(&pool, &EXECUTE, ()).await;
    }
}
