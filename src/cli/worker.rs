//! `worker`: from settings to a running worker, and from its end to an exit code.
//!
//! # Celery
//! `celery worker` (`bin/worker.py`, `apps/worker.py`), without detaching.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::args::{GlobalArgs, WorkerArgs};
use super::exit::{Exit, Failure};
use super::program::Program;
use super::restart::Again;
use super::settings::{self, Surroundings};
use super::spans::Spans;
use super::{beat, logging, names, signals, terminal};
use crate::app::App;
use crate::config::{Loaded, Seconds, Settings};
use crate::pool::ChildPool;
use crate::worker::{Shutdown, StopReason, Worker, WorkerOptions};

/// How long children may take to end when the worker does.
const CHILDREN_GRACE: Duration = Duration::from_secs(2);

/// Runs a worker until a signal stops it.
pub(super) fn run(program: &Program, args: &WorkerArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    args.check()?;
    let again = Again::here();
    let around = Surroundings::read(global)?;
    let mut loaded = program.load(&around, global, args.settings()?)?;
    let nodename = names::apply(&mut loaded.settings.celeriac, "celery")?;
    logging::install(&logging::options(&loaded, &around, global, &program.crates()))?;
    tell(&loaded, &args.notes(), global);
    let pidfile = args.pidfile.as_deref().map(|path| PidFile::of(path, &nodename)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let shutdown = Shutdown::new();
    let signals = signals::listen(told(&shutdown, &loaded, program, args, global), &around.env)?;
    let ended = runtime.block_on(serve(program, args, &around, &loaded, shutdown));
    drop(pidfile);
    // Whatever still waits for an answer from outside must not hold the process.
    match ended {
        Ok(StopReason::Hard) => runtime.shutdown_background(),
        _ => runtime.shutdown_timeout(Duration::from_secs(1)),
    }
    drop(signals);
    exit(ended?, &again)
}

/// From why a worker ended to what becomes of the process.
fn exit(reason: StopReason, again: &Again) -> Result<Exit, Failure> {
    match reason {
        StopReason::Warm => tracing::info!("stopped"),
        StopReason::Cold => tracing::warn!("stopped, with tasks cut off"),
        StopReason::Hard => return Ok(Exit::Failure),
        StopReason::Restart => {
            tracing::info!("restarting");
            return Err(again.run());
        }
    }
    Ok(Exit::Ok)
}

/// What signals act on.
fn told(shutdown: &Shutdown, loaded: &Loaded, program: &Program, args: &WorkerArgs, global: &GlobalArgs) -> signals::Told {
    // The folder is already that of --workdir.
    let (args, global) = (args.clone(), GlobalArgs { workdir: None, ..global.clone() });
    let tables = program.own_tables();
    let check = move || {
        let around = Surroundings::read(&global)?;
        settings::load(&around, &global, args.settings()?, tables).map(drop)
    };
    signals::Told {
        shutdown: shutdown.clone(),
        grace: loaded.settings.celeriac.shutdown_grace.and_then(Seconds::limit),
        check: Box::new(check),
        terminal: terminal::stderr_is_terminal(),
    }
}

/// What a person should know before it starts.
pub(super) fn tell(loaded: &Loaded, notes: &[&str], global: &GlobalArgs) {
    for note in notes {
        tracing::info!("{note}");
    }
    if global.app.is_some() {
        tracing::debug!("--app: the tasks are part of this program");
    }
    let (inert, others): (Vec<&String>, Vec<&String>) = loaded.notes.iter().partition(|note| note.contains("has no effect"));
    for note in others {
        tracing::warn!("{note}");
    }
    for note in &inert {
        tracing::debug!("{note}");
    }
    if !inert.is_empty() {
        tracing::info!("{} settings have no effect here: -v names them", inert.len());
    }
}

async fn serve(
    program: &Program,
    args: &WorkerArgs,
    around: &Surroundings,
    loaded: &Loaded,
    shutdown: Shutdown,
) -> Result<StopReason, Failure> {
    let settings = &loaded.settings;
    let concurrency = concurrency(settings);
    let queues = queues(settings, program.default_queues())?;
    let nodename = settings.celeriac.hostname.clone().unwrap_or_default();

    let (mut app, children) = program.start(loaded, &around.env, concurrency)?;
    let spans = Spans::begin(&mut app, &around.env)?;
    let children = children.map(|options| Arc::new(ChildPool::new(options)));
    let app = app.connect()?;
    if !reach(&app, &shutdown).await? {
        return Ok(if shutdown.restarts() { StopReason::Restart } else { StopReason::Warm });
    }
    if args.purge {
        let mut removed = 0;
        for queue in &queues {
            removed += app.broker().purge(queue).await?;
        }
        tracing::warn!(removed, "purged");
    }
    let mut beside = JoinSet::new();
    if args.embedded.beat {
        beside.spawn(beat::scheduler(&app, Some(&nodename)).run(shutdown.stopping().clone()));
    }
    let options = WorkerOptions { queues, concurrency, nodename, children: children.clone() };
    let reason = Worker::new(app, options).run(shutdown).await;
    if !matches!(reason, Ok(StopReason::Hard)) {
        // It ends when the worker begins to; a server that is away must not keep it.
        drop(tokio::time::timeout(CHILDREN_GRACE, beside.join_all()).await);
    }
    // When it is to leave at once, dropping them kills them.
    if let Some(children) = children.filter(|_| !matches!(reason, Ok(StopReason::Hard))) {
        children.close(CHILDREN_GRACE).await;
    }
    if !matches!(reason, Ok(StopReason::Hard)) {
        spans.end().await;
    }
    Ok(reason?)
}

/// Waits for a broker that is away at the start, as `broker_connection_retry_on_startup` and `broker_connection_max_retries` say.
/// False when it was told to stop meanwhile. Each try waits for its turn, so this does not spin.
pub(super) async fn reach(app: &App, shutdown: &Shutdown) -> Result<bool, Failure> {
    let settings = app.settings();
    let retry = settings.broker_connection_retry_on_startup.unwrap_or(true);
    let most = settings.broker_connection_max_retries.filter(|most| *most > 0).unwrap_or(u64::MAX);
    for attempt in 0_u64.. {
        let tried = tokio::select! {
            tried = app.broker().location() => tried,
            () = shutdown.stopping().cancelled() => return Ok(false),
        };
        match tried {
            Ok(_) => break,
            Err(error) if error.is_transient() && retry && attempt < most => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// The slots: as the settings say, `solo` has one.
fn concurrency(settings: &Settings) -> usize {
    if settings.worker_pool == "solo" {
        return 1;
    }
    settings.concurrency(std::thread::available_parallelism().map_or(1, usize::from))
}

/// The queues to serve: those named, else those declared, else the program's, else the default queue; without those left out.
pub(super) fn queues(settings: &Settings, defaults: &[String]) -> Result<Vec<String>, Failure> {
    let ours = &settings.celeriac;
    let mut queues = ours.queues.clone();
    if queues.is_empty() {
        queues = settings.task_queues.iter().map(|(name, _)| name.to_owned()).collect();
    }
    if queues.is_empty() {
        queues = defaults.to_vec();
    }
    if queues.is_empty() {
        queues.push(settings.task_default_queue.clone());
    }
    queues.retain(|queue| !ours.exclude_queues.contains(queue));
    if queues.is_empty() {
        return Err(Failure::usage("no queue is left to serve").fix("name some with -Q, or leave out fewer with -X"));
    }
    Ok(queues)
}

/// A file with the process id that goes away with the worker.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// The file of a node, in whose name the node's stands (`%n`).
    pub(super) fn of(path: &str, nodename: &str) -> Result<Self, Failure> {
        Self::write(names::file(path, nodename)?.into())
    }

    /// Refuses when another worker that still runs has written it.
    fn write(path: PathBuf) -> Result<Self, Failure> {
        if let Some(pid) = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok())
            && Path::new(&format!("/proc/{pid}")).exists()
            && pid != std::process::id()
        {
            let what = format!("{} belongs to process {pid}, which runs", path.display());
            return Err(Failure::new(Exit::CannotWrite, what).fix("stop it, or name another --pidfile"));
        }
        let written = std::fs::File::create(&path).and_then(|mut file| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| Failure::write(path.display(), &error))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_the_named_ones_without_the_excluded() {
        let mut settings = Settings::default();
        assert_eq!(queues(&settings, &[]).unwrap(), ["celery"]);
        assert_eq!(queues(&settings, &["pages".to_owned()]).unwrap(), ["pages"]);
        settings.celeriac.queues = vec!["a".into(), "b".into()];
        settings.celeriac.exclude_queues = vec!["a".into()];
        assert_eq!(queues(&settings, &[]).unwrap(), ["b"]);
        settings.celeriac.exclude_queues.push("b".into());
        assert_eq!(queues(&settings, &[]).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn solo_is_one_slot() {
        let settings = Settings { worker_pool: "solo".into(), ..Settings::default() };
        assert_eq!(concurrency(&settings), 1);
    }

    #[test]
    fn a_pid_file_of_a_running_process_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        std::fs::write(&path, "1").unwrap();
        assert_eq!(PidFile::write(path.clone()).err().unwrap().exit, Exit::CannotWrite);
        std::fs::write(&path, "4294967295").unwrap();
        let held = PidFile::write(path.clone()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), std::process::id().to_string());
        drop(held);
        assert!(!path.exists());
    }
}
