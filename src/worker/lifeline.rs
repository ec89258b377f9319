//! The lifeline is responsible for what must go on whatever tasks do: remote control, heartbeats, events and leases run on a thread of their
//! own, over connections of their own.
//!
//! A task that computes without ever awaiting holds a thread of the program's runtime; as many of them as it has threads stop everything
//! on it. The worker would look dead to its monitors, and its messages would go to others while it works on them. That one such task
//! holds up no more than its own thread is seen to from there, too.
//!
//! # Celery
//! The main process of the prefork pool, which runs no task; its `threads`, `gevent` and `solo` pools have nothing of the kind.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// For how long at most a task that computes holds up more than its thread.
const STIR: Duration = Duration::from_millis(50);

/// Where those loops run.
#[derive(Debug)]
pub(super) struct Lifeline {
    /// `None` in a program of one thread, such as a test with paused time: there they run where everything runs.
    runtime: Option<Runtime>,
}

impl Lifeline {
    /// A thread of its own, if the program has several.
    pub(super) fn new() -> Self {
        if Handle::current().runtime_flavor() != RuntimeFlavor::MultiThread {
            return Self { runtime: None };
        }
        let built = Builder::new_multi_thread().worker_threads(1).thread_name("lifeline").enable_all().build();
        if let Err(error) = &built {
            tracing::warn!(%error, "no thread for remote control and leases: a task that never awaits can hold them up");
        }
        Self { runtime: built.ok() }
    }

    /// Starts a loop there, which `loops` owns.
    pub(super) fn spawn(&self, loops: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) {
        match &self.runtime {
            Some(runtime) => loops.spawn_on(task, runtime.handle()),
            None => loops.spawn(task),
        };
    }

    /// Stirs the program's runtime while it is `busy`: one of its threads waits for sockets and timers, and where that one wakes up to a
    /// task that computes without ever awaiting, nobody waits for them until another has run something and goes to sleep again
    /// (<https://github.com/tokio-rs/tokio/issues/4730>).
    pub(super) fn stir(&self, loops: &mut JoinSet<()>, busy: impl Fn() -> bool + Send + 'static, ended: CancellationToken) {
        let Some(runtime) = &self.runtime else { return };
        let program = Handle::current();
        let stirring = async move {
            let mut turns = JoinSet::new();
            loop {
                tokio::time::sleep(STIR).await;
                if busy() {
                    turns.spawn_on(std::future::ready(()), &program);
                    turns.join_next().await;
                }
            }
        };
        let until_the_end = async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = stirring => {}
            }
        };
        loops.spawn_on(until_the_end, runtime.handle());
    }

    /// Does something there and waits for it: a connection belongs to the runtime on which it was made. `None`: it panicked.
    pub(super) async fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let mut tasks = JoinSet::new();
        match &self.runtime {
            Some(runtime) => tasks.spawn_on(task, runtime.handle()),
            None => tasks.spawn(task),
        };
        tasks.join_next().await?.ok()
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        // Its loops have ended, or nobody waits for them any more; a runtime must not be waited for within another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
