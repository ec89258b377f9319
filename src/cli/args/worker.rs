//! The flags of `worker`: which become settings, which are accepted with a note, which are refused with a hint.
//!
//! # Celery
//! Every flag of `celery worker` 5.7. What the platform does better (detaching, users) is refused instead of ignored; what has no
//! meaning here is accepted, so that a Procfile works unchanged.

use std::path::PathBuf;

use clap::Args;

use super::beat::EmbeddedArgs;
use crate::cli::exit::Failure;

/// `worker`.
#[derive(Args, Clone, Debug, Default)]
pub struct WorkerArgs {
    /// Its name: w1@%h; %h is the host, %n its first part, %d its domain [default: celery@%h]
    #[arg(short = 'n', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The queues to serve, separated by commas
    #[arg(short = 'Q', long, value_name = "LIST")]
    pub queues: Option<String>,
    /// The queues to leave out
    #[arg(short = 'X', long, value_name = "LIST")]
    pub exclude_queues: Option<String>,
    /// How many tasks run at once, or auto [default: the processors]
    #[arg(short = 'c', long, value_name = "N|auto")]
    pub concurrency: Option<String>,
    /// prefork, threads or solo; gevent and eventlet are taken as threads
    #[arg(short = 'P', long, value_name = "POOL")]
    pub pool: Option<String>,
    /// debug, info, warning, error or critical
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub loglevel: Option<String>,
    /// The file to log to instead of standard error; %n is the node's name
    #[arg(short = 'f', long, value_name = "FILE")]
    pub logfile: Option<PathBuf>,
    /// Log one JSON object a line
    #[arg(long, value_name = "text|json")]
    pub log_format: Option<String>,
    /// Write the process id into this file while the worker runs; %n is the node's name
    #[arg(long, value_name = "FILE", env = "CELERY_WORKER_PIDFILE")]
    pub pidfile: Option<String>,
    /// Answer /metrics (Prometheus), /livez and /readyz there
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_addr: Option<String>,
    /// Announce what tasks do; on by default
    #[arg(short = 'E', long, alias = "events", overrides_with = "no_task_events")]
    pub task_events: bool,
    /// Announce nothing
    #[arg(long)]
    pub no_task_events: bool,
    /// Bounds of a pool that sizes itself, in either order
    #[arg(long, value_name = "MAX,MIN")]
    pub autoscale: Option<String>,
    /// Messages fetched for each slot
    #[arg(long, value_name = "N")]
    pub prefetch_multiplier: Option<String>,
    /// Fetch only when a slot is free
    #[arg(long)]
    pub disable_prefetch: bool,
    /// Replace a child process after so many runs
    #[arg(long, value_name = "N")]
    pub max_tasks_per_child: Option<String>,
    /// Replace a child process above so much memory
    #[arg(long, value_name = "KIB")]
    pub max_memory_per_child: Option<String>,
    /// Kill a task after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<String>,
    /// Ask a task to stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub soft_time_limit: Option<String>,
    /// Throw away what waits in the queues first
    #[arg(long, visible_alias = "discard")]
    pub purge: bool,
    /// No signs of life to other tools
    #[arg(long)]
    pub without_heartbeat: bool,
    /// Seconds between signs of life
    #[arg(long, value_name = "SECONDS")]
    pub heartbeat_interval: Option<f64>,
    /// Settings of this run: worker.prefetch_multiplier=1
    #[arg(value_name = "SETTING=VALUE")]
    pub overrides: Vec<String>,

    #[command(flatten)]
    pub(crate) embedded: EmbeddedArgs,
    #[command(flatten)]
    accepted: AcceptedArgs,
    #[command(flatten)]
    refused: RefusedArgs,
}

/// Flags without meaning here.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AcceptedArgs {
    #[arg(short = 'I', long, hide = true)]
    include: Option<String>,
    #[arg(short = 'O', long, hide = true, value_parser = ["default", "fair"])]
    optimization: Option<String>,
    #[arg(long, hide = true)]
    without_gossip: bool,
    #[arg(long, hide = true)]
    without_mingle: bool,
    #[arg(short = 'S', long, hide = true)]
    statedb: Option<PathBuf>,
    #[arg(long, hide = true)]
    pool_start_method: Option<String>,
}

/// Flags that would be dangerous to ignore.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RefusedArgs {
    #[arg(short = 'D', long, hide = true)]
    detach: bool,
    #[arg(long, hide = true)]
    uid: Option<String>,
    #[arg(long, hide = true)]
    gid: Option<String>,
    #[arg(long, hide = true)]
    umask: Option<String>,
    #[arg(long, hide = true)]
    executable: Option<String>,
}

impl WorkerArgs {
    /// The settings that the flags and the overrides at the end set, by name.
    pub fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let events = if self.no_task_events { Some("false") } else { self.task_events.then_some("true") };
        let flags = [
            ("celeriac.hostname", self.hostname.clone()),
            ("celeriac.queues", self.queues.clone()),
            ("celeriac.exclude_queues", self.exclude_queues.clone()),
            ("worker_concurrency", self.concurrency.clone()),
            ("worker_pool", self.pool.clone()),
            ("celeriac.log_level", self.loglevel.clone()),
            ("celeriac.log_file", text(&self.logfile)),
            ("celeriac.log_format", self.log_format.clone()),
            ("celeriac.metrics_addr", self.metrics_addr.clone()),
            ("worker_send_task_events", events.map(Into::into)),
            ("celeriac.autoscale", self.autoscale.clone()),
            ("celeriac.mingle", self.accepted.without_mingle.then(|| "false".into())),
            ("celeriac.gossip", self.accepted.without_gossip.then(|| "false".into())),
            ("celeriac.heartbeat", self.without_heartbeat.then(|| "false".into())),
            ("celeriac.heartbeat_interval", self.heartbeat_interval.map(|seconds| seconds.to_string())),
            ("worker_prefetch_multiplier", self.prefetch_multiplier.clone()),
            ("worker_disable_prefetch", self.disable_prefetch.then(|| "true".into())),
            ("worker_max_tasks_per_child", self.max_tasks_per_child.clone()),
            ("worker_max_memory_per_child", self.max_memory_per_child.clone()),
            ("task_time_limit", self.time_limit.clone()),
            ("task_soft_time_limit", self.soft_time_limit.clone()),
        ];
        let mut settings: Vec<_> = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        settings.extend(super::overrides(&self.overrides)?);
        Ok(settings)
    }

    /// What a person should know about flags that change nothing.
    pub fn notes(&self) -> Vec<&'static str> {
        let accepted = &self.accepted;
        let notes = [
            (accepted.include.is_some(), "--include: the tasks are part of this program"),
            (accepted.optimization.is_some(), "-O: always fair, a child gets a task only when it is idle"),
            (accepted.statedb.is_some(), "--statedb: what is revoked is kept on the broker, for all workers"),
            (accepted.pool_start_method.is_some(), "--pool-start-method: children are always started anew"),
        ];
        let notes = notes.into_iter().filter_map(|(given, note)| given.then_some(note));
        notes.chain(self.embedded.notes()).collect()
    }

    /// Refuses what must not be ignored.
    pub fn check(&self) -> Result<(), Failure> {
        let refused = &self.refused;
        let platform = "let systemd, Docker or your platform do it";
        let flags = [
            (refused.detach, "--detach", platform),
            (refused.uid.is_some(), "--uid", platform),
            (refused.gid.is_some(), "--gid", platform),
            (refused.umask.is_some(), "--umask", platform),
            (refused.executable.is_some(), "--executable", platform),
        ];
        match flags.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, hint)) => Err(Failure::usage(format!("{flag} is not supported")).fix(hint)),
            None => self.embedded.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use crate::config::{self, Env, Origin, Sources};
    use clap::Parser;
    use serde_json::json;

    fn worker(line: &str) -> WorkerArgs {
        let cli = Cli::try_parse_from(["celeriac", "worker"].into_iter().chain(line.split_whitespace())).unwrap();
        let Command::Worker(args) = cli.command else { panic!("not the worker") };
        *args
    }

    #[test]
    fn flags_become_settings_and_overrides_come_last() {
        let args = worker("-Q a,b -c 4 -n w@%h -l INFO -E --max-tasks-per-child=100 worker.prefetch_multiplier=1");
        let settings = args.settings().unwrap();
        let get = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("celeriac.queues"), Some("a,b"));
        assert_eq!(get("worker_concurrency"), Some("4"));
        assert_eq!(get("celeriac.hostname"), Some("w@%h"));
        assert_eq!(get("worker_send_task_events"), Some("true"));
        assert_eq!(get("worker_max_tasks_per_child"), Some("100"));
        assert_eq!(settings.last().unwrap(), &("worker.prefetch_multiplier".to_owned(), "1".to_owned()));
    }

    #[test]
    fn every_flag_that_is_a_setting_has_its_effect() {
        for (flag, setting, value) in [
            ("-n w@%h", "celeriac.hostname", json!("w@%h")),
            ("--hostname=w@%h", "celeriac.hostname", json!("w@%h")),
            ("-Q a,b", "celeriac.queues", json!(["a", "b"])),
            ("--exclude-queues a", "celeriac.exclude_queues", json!(["a"])),
            ("-c 4", "worker_concurrency", json!(4)),
            ("--concurrency=auto", "worker_concurrency", json!("auto")),
            ("-P solo", "worker_pool", json!("solo")),
            ("-P gevent", "worker_pool", json!("gevent")),
            ("-l INFO", "celeriac.log_level", json!("info")),
            ("-f w.log", "celeriac.log_file", json!("w.log")),
            ("--log-format json", "celeriac.log_format", json!("json")),
            ("-E", "worker_send_task_events", json!(true)),
            ("--events", "worker_send_task_events", json!(true)),
            ("--task-events --no-task-events", "worker_send_task_events", json!(false)),
            ("--autoscale=10,3", "celeriac.autoscale", json!("10,3")),
            ("--autoscale 3,10", "celeriac.autoscale", json!("3,10")),
            ("--autoscale 10", "celeriac.autoscale", json!("10")),
            ("--prefetch-multiplier 2", "worker_prefetch_multiplier", json!(2)),
            ("--disable-prefetch", "worker_disable_prefetch", json!(true)),
            ("--max-tasks-per-child 5", "worker_max_tasks_per_child", json!(5)),
            ("--max-memory-per-child 1000", "worker_max_memory_per_child", json!(1000)),
            ("--time-limit 1.5", "task_time_limit", json!(1.5)),
            ("--soft-time-limit 1", "task_soft_time_limit", json!(1)),
            ("--without-mingle", "celeriac.mingle", json!(false)),
            ("--without-gossip", "celeriac.gossip", json!(false)),
            ("--without-heartbeat", "celeriac.heartbeat", json!(false)),
            ("--heartbeat-interval 5", "celeriac.heartbeat_interval", json!(5)),
            ("worker.prefetch_multiplier=3", "worker_prefetch_multiplier", json!(3)),
            ("prefetch_multiplier=3", "worker_prefetch_multiplier", json!(3)),
            ("task_acks_late=true", "task_acks_late", json!(true)),
        ] {
            let env = Env::from([("CELERY_TASK_ACKS_LATE".into(), "false".into())]);
            let overrides = worker(flag).settings().unwrap();
            let loaded = config::load(&Sources { file: None, env: &env, overrides, tables: &[] }).unwrap();
            let found = loaded.get(setting).unwrap();
            assert_eq!((found.shown(), &found.origin), (value, &Origin::CommandLine), "{flag}");
        }
    }

    #[test]
    fn every_flag_of_celery_is_parsed() {
        let args = worker(
            "-n x -D -S db -l info -O fair --prefetch-multiplier 1 --disable-prefetch -c auto -P prefork -E --time-limit 1 \
             --soft-time-limit 1 --max-tasks-per-child 1 --max-memory-per-child 1 --purge -Q a -X b -I m --without-gossip \
             --without-mingle --without-heartbeat --heartbeat-interval 2 --autoscale 8,2 -B -s f --scheduler s -f log --pidfile p \
             --uid 1 --gid 1 --umask 022 --executable x",
        );
        assert_eq!(args.notes().len(), 5);
        assert!(worker("--discard").purge);
    }

    #[test]
    fn what_must_not_be_ignored_is_refused_with_a_hint() {
        for flag in ["--detach", "-D", "--uid 1", "--gid 1", "--umask 0", "--executable x", "--scheduler x"] {
            assert_eq!(worker(flag).check().unwrap_err().exit, crate::cli::exit::Exit::Usage, "{flag}");
        }
        assert!(worker("-c 1").check().is_ok());
        assert!(worker("-B -s file --scheduler celery.beat:PersistentScheduler").check().is_ok());
    }

    #[test]
    fn a_stray_word_is_wrong_usage() {
        assert!(worker("stray").settings().unwrap_err().to_string().contains("stray"));
    }
}
