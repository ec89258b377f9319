//! `dev`: the API, a worker for all queues and upkeep in one process, on the Redis that is there or in memory. It starts again when its
//! configuration changes.

mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use celeriac::broker::{SentinelOptions, server_info};
use celeriac::cli::restart::Again;
use celeriac::cli::settings::{DEFAULT_FILE, Surroundings};
use celeriac::cli::terminal::tell;
use celeriac::cli::{Exit, Failure, GlobalArgs};
use celeriac::config::{Env, Origin, redact};

use self::watch::Files;
use crate::args::DevArgs;
use crate::serve;
use crate::settings::load;

/// Where variables are read from when no file is named.
const ENV_FILE: &str = ".env";
/// How long a Redis on this machine may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
const MEMORY: &str = "memory://";
/// How long a stop may take: who has changed his configuration waits for the start with it.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &DevArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let again = Again::here();
    let around = surroundings(args, global)?;
    let mut chosen = global.clone();
    let broker = broker(&around, &mut chosen)?;
    tell(&format!("API, worker and upkeep in one process; {broker}\nCtrl-C ends it; open this address:\n"))?;
    let mut all = args.serve.clone();
    all.with_worker = true;

    let changed = Arc::new(AtomicBool::new(false));
    let stop = until_changed(args, global, Arc::clone(&changed));
    let exit = serve::run_until(&around, &all, &chosen, stop, Some(GRACE))?;
    if changed.load(Ordering::Relaxed) { Err(again.run()) } else { Ok(exit) }
}

/// The environment and the configuration file, with the variables of the file beside it.
fn surroundings(args: &DevArgs, global: &GlobalArgs) -> Result<Surroundings, Failure> {
    let mut around = Surroundings::read(global)?;
    for (name, value) in read(args.env_file.as_deref())? {
        around.env.entry(name).or_insert(value);
    }
    Ok(around)
}

/// Waits for another configuration that can be used; one that cannot is told of, and what runs goes on as it was started.
fn until_changed(args: &DevArgs, global: &GlobalArgs, changed: Arc<AtomicBool>) -> impl Future<Output = ()> + Send + use<> {
    let config = global.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let env = args.env_file.clone().unwrap_or_else(|| ENV_FILE.into());
    let mut files = Files::read(vec![config, env]);
    // We are in its --workdir already.
    let (args, global) = (args.clone(), GlobalArgs { workdir: None, ..global.clone() });
    async move {
        loop {
            let file = files.changed().await;
            let usable = surroundings(&args, &global).and_then(|around| load(&around, &global, args.serve.settings()));
            let text = match &usable {
                Ok(_) => format!("{} has changed: starting again\n", file.display()),
                Err(failure) => format!("{failure}\nnothing changes until this is mended\n"),
            };
            // Where nobody reads it, it goes on as well.
            let _ = tell(&text);
            if usable.is_ok() {
                changed.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// Which broker is used, in words; where nobody said which, that of this machine, or memory.
fn broker(around: &Surroundings, global: &mut GlobalArgs) -> Result<String, Failure> {
    let loaded = load(around, global, Vec::new())?;
    let url = loaded.settings.broker_url.clone().unwrap_or_default();
    if loaded.get("broker_url").is_some_and(|value| value.origin != Origin::Default) {
        return Ok(format!("messages are on {}", redact::text(&url)));
    }
    if answers(&url)? {
        return Ok(format!("messages are on the Redis of this machine, {}", redact::text(&url)));
    }
    global.broker = Some(MEMORY.to_owned());
    if loaded.get("result_backend").is_none_or(|value| value.origin == Origin::Default) {
        global.result_backend = Some(MEMORY.to_owned());
    }
    Ok(format!("no Redis answers at {}: jobs are in memory, and gone when this ends", redact::text(&url)))
}

fn answers(url: &str) -> Result<bool, Failure> {
    if url.is_empty() {
        return Ok(false);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let answered = runtime.block_on(async { tokio::time::timeout(PATIENCE, server_info(url, &SentinelOptions::default())).await });
    Ok(matches!(answered, Ok(Ok(_))))
}

fn read(named: Option<&Path>) -> Result<Env, Failure> {
    let path = named.unwrap_or_else(|| Path::new(ENV_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(Env::new()),
        Err(error) => return Err(Failure::new(Exit::Config, format!("cannot read {}", path.display())).why(error)),
    };
    let wrong = |error: dotenvy::Error| {
        // The line may hold a secret: only that it is wrong is said.
        let line = match &error {
            // A part of the line, from somewhere in it on.
            dotenvy::Error::LineParse(rest, _) => text.lines().position(|line| line.contains(rest.trim())).map(|at| at + 1),
            _ => None,
        };
        let place = line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()));
        Failure::new(Exit::Config, format!("{place} cannot be read"))
            .fix("each line is NAME=value, or NAME=\"a value with spaces\"")
    };
    dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read_and_its_mistakes_are_told_without_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dev.env");
        std::fs::write(&file, "# ours\nexport A=1\nB=\"two words\"\nC='$A' # not expanded\n\nD=\n").unwrap();
        let env = read(Some(&file)).unwrap();
        let get = |name: &str| env.get(name).map(String::as_str);
        assert_eq!((get("A"), get("B"), get("C"), get("D")), (Some("1"), Some("two words"), Some("$A"), Some("")));
        std::fs::write(&file, "A=1\nSECRET=hunter2 and more\n").unwrap();
        let failure = read(Some(&file)).unwrap_err().to_string();
        assert!(failure.contains("dev.env:2") && !failure.contains("hunter2"), "{failure}");
        assert!(read(Some(&folder.path().join("none"))).is_err());
    }
}
