//! `dev`: the API, a worker for all queues and upkeep in one process, on the Redis that is there or in memory.

use std::path::Path;
use std::time::Duration;

use celeriac::broker::{SentinelOptions, server_info};
use celeriac::cli::settings::Surroundings;
use celeriac::cli::terminal::tell;
use celeriac::cli::{Exit, Failure, GlobalArgs};
use celeriac::config::{Env, Origin, redact};

use crate::args::DevArgs;
use crate::serve;
use crate::settings::load;

/// Where variables are read from when no file is named.
const ENV_FILE: &str = ".env";
/// How long a Redis on this machine may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
const MEMORY: &str = "memory://";

pub(crate) fn run(args: &DevArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let mut around = Surroundings::read(global)?;
    let variables = read(args.env_file.as_deref())?;
    for (name, value) in variables {
        around.env.entry(name).or_insert(value);
    }
    let mut global = global.clone();
    let broker = broker(&around, &mut global)?;
    tell(&format!("API, worker and upkeep in one process; {broker}\nCtrl-C ends it; open this address:\n"))?;
    let mut all = args.serve.clone();
    all.with_worker = true;
    serve::run_in(&around, &all, &global)
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
