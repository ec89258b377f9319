//! `beat`: the scheduler alone, until a signal ends it.
//!
//! # Celery
//! `celery beat` (`bin/beat.py`, `apps/beat.py`), without detaching. TERM, INT and QUIT end it; what it knows is written already.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::args::{BeatArgs, GlobalArgs};
use super::exit::{Exit, Failure};
use super::program::Program;
use super::settings::Surroundings;
use super::spans::Spans;
use super::worker::{PidFile, reach, tell};
use super::{logging, names};
use crate::app::App;
use crate::beat::{Beat, BeatOptions};
use crate::config::Loaded;
use crate::worker::Shutdown;

/// Runs a scheduler until a signal stops it.
pub(super) fn run(program: &Program, args: &BeatArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    args.check()?;
    let around = Surroundings::read(global)?;
    let mut loaded = program.load(&around, global, args.settings()?)?;
    let nodename = names::apply(&mut loaded.settings.celeriac, "celerybeat")?;
    logging::install(&logging::options(&loaded, &around, global, &program.crates()))?;
    tell(&loaded, &args.notes(), global);
    let pidfile = args.pidfile.as_deref().map(|path| PidFile::of(path, &nodename)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let ended = runtime.block_on(serve(program, &around, &loaded));
    drop(pidfile);
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(program: &Program, around: &Surroundings, loaded: &Loaded) -> Result<Exit, Failure> {
    let shutdown = Shutdown::new();
    let signals = listen(&shutdown)?;
    let (mut app, _) = program.start(loaded, &around.env, 1)?;
    let spans = Spans::begin(&mut app, &around.env)?;
    let app = app.connect()?;
    if reach(&app, &shutdown).await? {
        scheduler(&app, None).run(shutdown.stopping().clone()).await;
    }
    spans.end().await;
    drop(signals);
    Ok(Exit::Ok)
}

/// The scheduler of this process; within a worker, `nodename` is the worker's, which answers for both.
pub(super) fn scheduler(app: &App, worker: Option<&str>) -> Beat {
    let own = || app.settings().celeriac.hostname.clone().unwrap_or_default();
    let remote_control = worker.map(|_| false);
    Beat::new(app.clone(), BeatOptions { nodename: worker.map_or_else(own, str::to_owned), max_interval: None, remote_control })
}

/// Listens until it is dropped.
fn listen(shutdown: &Shutdown) -> Result<JoinSet<()>, Failure> {
    let mut listener = JoinSet::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()] {
        let shutdown = shutdown.clone();
        let mut signal = signal(kind).map_err(|error| Failure::new(Exit::Failure, "cannot listen for signals").why(error))?;
        listener.spawn(async move {
            signal.recv().await;
            shutdown.warm();
        });
    }
    Ok(listener)
}
