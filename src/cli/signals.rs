//! Signals are responsible for what an operator or a platform tells a worker, on a thread of their own: a worker whose every thread is busy
//! hears them, and leaves in time even so.
//!
//! # Celery
//! `apps/worker.py`. TERM and INT are a warm stop, a second one a cold one, QUIT a cold one; `REMAP_SIGTERM=SIGQUIT` makes TERM cold, for
//! platforms that send nothing else. HUP begins anew, or is a TERM where a terminal has gone. USR1 writes the state to the log. Differences:
//! a second TERM is not ignored; one more during a cold stop leaves at once; TSTP is quiet, as Sidekiq's; USR2 changes nothing.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use crate::config::Env;
use crate::worker::{Shutdown, Stage, last_moment};

/// The same signal within so short a time is one: process managers send it to a whole group, and shells pass it on.
const ONCE: Duration = Duration::from_millis(200);
/// How long the process may take to leave at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What signals act on.
pub(super) struct Told {
    pub(super) shutdown: Shutdown,
    /// How long a stop may take.
    pub(super) grace: Option<Duration>,
    /// Looks whether the configuration as it is now could be started with.
    pub(super) check: Box<dyn Fn() -> Result<(), Failure> + Send>,
    /// Whether the log goes to a terminal.
    pub(super) terminal: bool,
}

/// Listens until it is dropped.
pub(super) struct Listener {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts to listen.
pub(super) fn listen(told: Told, env: &Env) -> Result<Listener, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failure, "cannot listen for signals").why(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new(remapped(env)).map_err(failed)?
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let listen = move || block_on(&runtime, &mut signals, &told, &stopped);
    let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(failed)?;
    Ok(Listener { stop, thread: Some(thread) })
}

fn block_on(runtime: &Runtime, signals: &mut Signals, told: &Told, stop: &CancellationToken) {
    runtime.block_on(async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = signals.listen(told) => {}
            () = overdue(told) => leave(),
        }
    });
}

fn remapped(env: &Env) -> bool {
    let Some(name) = env.get("REMAP_SIGTERM") else { return false };
    let known = name == "SIGQUIT";
    if !known {
        tracing::warn!("REMAP_SIGTERM={name} has no effect: only SIGQUIT is known");
    }
    known
}

/// Ends when the process should have left already: the stop is longer than its grace, or slower than at once.
async fn overdue(told: &Told) {
    let grace = async {
        told.shutdown.stopping().cancelled().await;
        match told.grace {
            Some(grace) => sleep(last_moment(grace)).await,
            None => std::future::pending().await,
        }
    };
    let at_once = async {
        told.shutdown.leaving().cancelled().await;
        sleep(AT_ONCE).await;
    };
    tokio::select! {
        () = grace => {}
        () = at_once => {}
    }
}

/// Ends the process, whatever its other threads do.
#[allow(clippy::exit, clippy::disallowed_methods, reason = "the threads that could end it may all be busy")]
fn leave() {
    tracing::error!("leaving at once, what keeps it has not ended: what is held comes back when its leases have run out");
    std::process::exit(Exit::Failure as i32);
}

/// The signals that are listened to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    stop: Signal,
    user1: Signal,
    user2: Signal,
    /// TERM is QUIT.
    remapped: bool,
    /// What stopped it last, and when.
    last: Option<(&'static str, Instant)>,
}

impl Signals {
    fn new(remapped: bool) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            remapped,
            last: None,
        })
    }

    async fn listen(&mut self, told: &Told) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.quit.recv() => "SIGQUIT",
                _ = self.hangup.recv() => "SIGHUP",
                _ = self.stop.recv() => "SIGTSTP",
                _ = self.user1.recv() => "SIGUSR1",
                _ = self.user2.recv() => "SIGUSR2",
            };
            self.act(name, told);
        }
    }

    fn act(&mut self, name: &'static str, told: &Told) {
        match name {
            "SIGUSR1" => told.shutdown.dump(),
            "SIGUSR2" => tracing::info!("SIGUSR2: ignored"),
            "SIGTSTP" => {
                tracing::info!("SIGTSTP: quiet, fetching nothing more until it is stopped");
                told.shutdown.quiet();
            }
            "SIGHUP" if !told.terminal => restart(told),
            _ => self.stop(name, told),
        }
    }

    fn stop(&mut self, name: &'static str, told: &Told) {
        let again = self.last.is_some_and(|(last, when)| last == name && when.elapsed() < ONCE);
        self.last = Some((name, Instant::now()));
        if again {
            return tracing::info!("{name}: the same once more");
        }
        let cold = name == "SIGQUIT" || (name == "SIGTERM" && self.remapped);
        let shutdown = &told.shutdown;
        let stage = if cold && shutdown.stage() < Stage::Cold {
            shutdown.cold();
            shutdown.stage()
        } else {
            shutdown.escalate()
        };
        match stage {
            Stage::Warm => tracing::info!("{name}: warm shutdown; again for a cold one"),
            Stage::Soft => tracing::warn!("{name}: cold shutdown; again to wait no longer"),
            Stage::Cold => tracing::warn!("{name}: cold shutdown, waiting no longer; again to leave at once"),
            _ => tracing::error!("{name}: leaving at once"),
        }
    }
}

/// Begins anew, if that can succeed.
fn restart(told: &Told) {
    match (told.check)() {
        Ok(()) => {
            tracing::info!("SIGHUP: restarting, with the configuration read anew, when what runs is finished");
            told.shutdown.restart();
        }
        Err(failure) => tracing::error!("SIGHUP: the configuration is wrong, going on with the one before: {failure}"),
    }
}
