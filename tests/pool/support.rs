//! Pools for the tests, and the beacon by which a test learns what a child is doing without waiting for a time to pass.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use celeriac::pool::{CallError, CallOptions, ChildPool, ChildPoolOptions, Failure, Sandbox, Settings};

use crate::functions::PID;

/// As many children as `size`, strictly sandboxed.
pub fn options(size: usize) -> ChildPoolOptions {
    ChildPoolOptions::this_program(size)
}

pub fn pool(size: usize) -> ChildPool {
    ChildPool::new(options(size))
}

/// A pool whose children are not restricted.
pub fn unrestricted(size: usize) -> ChildPool {
    let mut options = options(size);
    options.sandbox = Sandbox::none();
    ChildPool::new(options)
}

/// The child that serves a call now.
pub async fn pid(pool: &ChildPool) -> u32 {
    pool.call(&PID, (), CallOptions::default()).await.unwrap()
}

pub fn failure(error: CallError) -> Failure {
    match error {
        CallError::Failed(failure) => failure,
        other => panic!("not the function's failure: {other:?}"),
    }
}

/// Whether a process exists, a zombie included.
pub fn exists(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// A socket to which a child connects before its sandbox closes; a function says there that it has begun, and the end of the
/// connection is the end of the child.
pub struct Beacon {
    pub path: PathBuf,
    listener: UnixListener,
    _folder: tempfile::TempDir,
}

impl Beacon {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beacon");
        Self { listener: UnixListener::bind(&path).unwrap(), path, _folder: folder }
    }

    /// Settings by which [`crate::functions::SPIN`] (`"spin"`) or [`crate::functions::WAIT`] (`"wait"`) knows this beacon.
    pub fn settings(&self, of: &str) -> Settings {
        Settings::default().with(of, &self.path).unwrap()
    }

    /// Waits for a function that has begun: its child's process id, and the connection.
    pub async fn begun(&self) -> (u32, UnixStream) {
        let listener = self.listener.try_clone().unwrap();
        let wait = move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (line.trim().parse().unwrap(), stream)
        };
        tokio::task::spawn_blocking(wait).await.unwrap()
    }
}

/// Returns when the child at the other end has ended.
pub async fn ended(mut connection: UnixStream) {
    let wait = move || connection.read_to_end(&mut Vec::new()).unwrap();
    tokio::task::spawn_blocking(wait).await.unwrap();
}
