//! The flags of `beat`, and those of `worker` that speak of its scheduler.
//!
//! # Celery
//! Every flag of `celery beat` 5.7. A scheduler that keeps its entries elsewhere (django-celery-beat) is refused: its entries would be
//! missing without a word.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::Failure;

/// What `-S` may name, for it means what we do.
const SCHEDULERS: [&str; 4] =
    ["celery.beat:PersistentScheduler", "celery.beat.PersistentScheduler", "celery.beat:Scheduler", "celery.beat.Scheduler"];

/// `beat`.
#[derive(Args, Clone, Debug, Default)]
pub struct BeatArgs {
    /// Seconds to sleep at most [setting: beat_max_loop_interval]
    #[arg(long, value_name = "SECONDS")]
    pub max_interval: Option<String>,
    /// Answer `celery inspect ping`
    #[arg(long, overrides_with = "no_enable_remote_control")]
    pub enable_remote_control: bool,
    /// Answer nothing
    #[arg(long)]
    pub no_enable_remote_control: bool,
    /// Its name; %h is the host, %n its first part, %d its domain [default: celerybeat@%h]
    #[arg(short = 'n', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// debug, info, warning, error or critical
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub loglevel: Option<String>,
    /// The file to log to instead of standard error
    #[arg(short = 'f', long, value_name = "FILE")]
    pub logfile: Option<PathBuf>,
    /// Log one JSON object a line
    #[arg(long, value_name = "text|json")]
    pub log_format: Option<String>,
    /// Write the process id into this file while the scheduler runs
    #[arg(long, value_name = "FILE")]
    pub pidfile: Option<String>,
    /// Settings of this run: beat.max_loop_interval=60
    #[arg(value_name = "SETTING=VALUE")]
    pub overrides: Vec<String>,

    #[arg(short = 's', long, hide = true)]
    schedule: Option<PathBuf>,
    #[arg(short = 'S', long, hide = true)]
    scheduler: Option<String>,
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

/// The scheduler within a worker.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct EmbeddedArgs {
    /// Also send periodic tasks; any number of workers may
    #[arg(short = 'B', long)]
    pub(crate) beat: bool,
    #[arg(short = 's', long, hide = true, alias = "schedule-filename")]
    schedule: Option<PathBuf>,
    #[arg(long, hide = true)]
    scheduler: Option<String>,
}

impl BeatArgs {
    /// The settings that the flags and the overrides at the end set, by name.
    pub fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let remote_control =
            if self.no_enable_remote_control { Some("false") } else { self.enable_remote_control.then_some("true") };
        let flags = [
            ("celeriac.hostname", Some(self.hostname.clone().unwrap_or_else(|| "celerybeat@%h".into()))),
            ("beat_max_loop_interval", self.max_interval.clone()),
            ("beat_enable_remote_control", remote_control.map(Into::into)),
            ("celeriac.log_level", self.loglevel.clone()),
            ("celeriac.log_file", self.logfile.as_ref().map(|path| path.display().to_string())),
            ("celeriac.log_format", self.log_format.clone()),
        ];
        let mut settings: Vec<_> = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        settings.extend(super::overrides(&self.overrides)?);
        Ok(settings)
    }

    /// What a person should know about flags that change nothing.
    pub fn notes(&self) -> Vec<&'static str> {
        notes(self.schedule.is_some(), self.scheduler.is_some())
    }

    /// Refuses what must not be ignored.
    pub fn check(&self) -> Result<(), Failure> {
        let flags = [
            (self.detach, "--detach"),
            (self.uid.is_some(), "--uid"),
            (self.gid.is_some(), "--gid"),
            (self.umask.is_some(), "--umask"),
            (self.executable.is_some(), "--executable"),
        ];
        if let Some((_, flag)) = flags.into_iter().find(|(given, _)| *given) {
            return Err(Failure::usage(format!("{flag} is not supported")).fix("let systemd, Docker or your platform do it"));
        }
        check(self.scheduler.as_deref())
    }
}

impl EmbeddedArgs {
    pub(super) fn notes(&self) -> Vec<&'static str> {
        notes(self.schedule.is_some(), self.scheduler.is_some())
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        check(self.scheduler.as_deref())
    }
}

fn notes(schedule: bool, scheduler: bool) -> Vec<&'static str> {
    let notes = [
        (schedule, "--schedule: what ran when is kept with the broker, not in a file"),
        (scheduler, "--scheduler: there is one, which keeps what it knows with the broker"),
    ];
    notes.into_iter().filter_map(|(given, note)| given.then_some(note)).collect()
}

fn check(scheduler: Option<&str>) -> Result<(), Failure> {
    match scheduler {
        Some(other) if !SCHEDULERS.contains(&other) => Err(Failure::usage(format!("--scheduler {other} is not supported"))
            .fix("write its entries into beat_schedule, or run `celery beat` with it")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn beat(line: &str) -> BeatArgs {
        let cli = Cli::try_parse_from(["celeriac", "beat"].into_iter().chain(line.split_whitespace())).unwrap();
        let Command::Beat(args) = cli.command else { panic!("not beat") };
        *args
    }

    #[test]
    fn flags_become_settings() {
        let settings = beat("--max-interval 5 -l debug --enable-remote-control beat.cron_starting_deadline=30").settings().unwrap();
        let get = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("beat_max_loop_interval"), Some("5"));
        assert_eq!(get("celeriac.hostname"), Some("celerybeat@%h"));
        assert_eq!(get("beat_enable_remote_control"), Some("true"));
        assert_eq!(get("beat.cron_starting_deadline"), Some("30"));
    }

    #[test]
    fn every_flag_of_celery_is_parsed() {
        let args = beat(
            "--detach -s file -S celery.beat:PersistentScheduler --max-interval 5 --no-enable-remote-control -n b@%h -l info -f log \
             --pidfile p --uid 1 --gid 1 --umask 022 --executable x",
        );
        assert_eq!(args.notes().len(), 2);
        assert!(args.check().is_err());
    }

    #[test]
    fn a_scheduler_with_entries_of_its_own_is_refused() {
        assert!(beat("-S celery.beat:PersistentScheduler -s file").check().is_ok());
        for refused in ["-S django_celery_beat.schedulers:DatabaseScheduler", "--detach", "--uid 1"] {
            assert_eq!(beat(refused).check().unwrap_err().exit, crate::cli::exit::Exit::Usage, "{refused}");
        }
    }
}
