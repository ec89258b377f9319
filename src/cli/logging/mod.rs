//! The log: in Celery's text form, or as JSON lines; on standard error beside any progress bars, or in a file.
//!
//! # Celery
//! `worker_log_format`: `[2026-11-22 00:34:31,065: INFO/MainProcess] message`, local time. A warning is a `WARNING`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

use super::args::GlobalArgs;
use super::exit::{Exit, Failure};
use super::settings::Surroundings;
use super::terminal;
use crate::config::Loaded;

mod format;

use format::{Celery, Json};

/// Writes a line to standard error; a program that draws there keeps its picture whole.
pub type Stderr = Arc<dyn Fn(&[u8]) -> io::Result<()> + Send + Sync>;

/// How the log is written.
pub struct LogOptions<'a> {
    /// The level, by Celery's words.
    pub level: &'a str,
    /// `text` or `json`.
    pub format: &'a str,
    /// The file; none: standard error.
    pub file: Option<&'a Path>,
    /// Whether text may be coloured.
    pub color: bool,
    /// `RUST_LOG`: levels of single modules.
    pub directives: Option<&'a str>,
    /// The crates that are logged at this level; others are quieter.
    pub crates: &'a [&'a str],
    /// What writes to standard error.
    pub stderr: Stderr,
}

impl fmt::Debug for LogOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogOptions").field("level", &self.level).field("format", &self.format).finish_non_exhaustive()
    }
}

/// Standard error as it is.
pub fn plain_stderr() -> Stderr {
    Arc::new(|line| io::stderr().lock().write_all(line))
}

/// As a person who watches answers wants it, and not a log: only what is wrong is said, unless more is asked for.
pub fn for_answers(loaded: &Loaded, around: &Surroundings, global: &GlobalArgs, crates: &[&str]) -> Result<(), Failure> {
    // That a server cannot be reached is the command's own answer.
    let directives = ["celeriac::connection=error"].into_iter().chain(around.env.get("RUST_LOG").map(String::as_str));
    install(&LogOptions {
        level: quiet_level(global),
        file: None,
        directives: Some(&directives.collect::<Vec<_>>().join(",")),
        ..options(loaded, around, global, crates)
    })
}

/// The level where only what is wrong is said, unless more is asked for.
pub fn quiet_level(global: &GlobalArgs) -> &'static str {
    match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warning",
        (false, 1) => "info",
        (false, _) => "debug",
    }
}

/// How the settings, the flags and the environment of a long-running command have it.
pub fn options<'a>(loaded: &'a Loaded, around: &'a Surroundings, global: &GlobalArgs, crates: &'a [&'a str]) -> LogOptions<'a> {
    let settings = &loaded.settings.celeriac;
    let level = match global.verbose {
        _ if global.quiet => "warning",
        0 => settings.log_level.as_str(),
        1 => "debug",
        _ => "trace",
    };
    LogOptions {
        level,
        format: &settings.log_format,
        file: settings.log_file.as_deref().map(Path::new),
        color: terminal::colors(&around.env, global.no_color, terminal::stderr_is_terminal()),
        directives: around.env.get("RUST_LOG").map(String::as_str),
        crates,
        stderr: plain_stderr(),
    }
}

/// Installs the log for the rest of the process's life.
pub fn install(options: &LogOptions<'_>) -> Result<(), Failure> {
    let sink = match options.file {
        None => Sink::Stderr(Arc::clone(&options.stderr)),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file =
                file.map_err(|error| Failure::new(Exit::CannotWrite, format!("cannot write {}", path.display())).why(error))?;
            Sink::File(Arc::new(file))
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter(options)).with_writer(sink);
    let color = options.color && options.file.is_none() && terminal::stderr_is_terminal();
    let installed = match options.format {
        "json" => builder.fmt_fields(JsonFields::new()).event_format(Json).try_init(),
        _ => builder.with_ansi(color).event_format(Celery { color }).try_init(),
    };
    installed.map_err(|error| Failure::new(Exit::Failure, "cannot install the log").why(error))
}

/// The crates named at the level asked for, everybody else no more talkative than `warn` (at `debug`: `info`).
fn filter(options: &LogOptions<'_>) -> EnvFilter {
    let (ours, others) = match options.level {
        "trace" => ("trace", "debug"),
        "debug" => ("debug", "info"),
        "info" => ("info", "warn"),
        "warning" | "warn" => ("warn", "warn"),
        _ => ("error", "error"),
    };
    let ours = options.crates.iter().map(|name| format!("{name}={ours}"));
    let directives = ours.chain(options.directives.map(str::to_owned));
    EnvFilter::builder().parse_lossy([others.to_owned()].into_iter().chain(directives).collect::<Vec<_>>().join(","))
}

/// Where lines go.
enum Sink {
    Stderr(Stderr),
    File(Arc<File>),
}

/// One line on its way, written whole.
enum Line<'a> {
    Stderr(&'a Stderr),
    File(&'a File),
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        match self {
            Self::Stderr(write) => Line::Stderr(write),
            Self::File(file) => Line::File(file),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr(write) => write(line)?,
            Self::File(file) => file.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'a>(level: &'a str, directives: Option<&'a str>) -> String {
        let crates = &["celeriac", "proj"];
        filter(&LogOptions { level, format: "text", file: None, color: false, directives, crates, stderr: plain_stderr() })
            .to_string()
    }

    #[test]
    fn others_are_quieter_than_we_are_and_rust_log_adds_to_it() {
        assert_eq!(shown("info", None), "celeriac=info,proj=info,warn");
        assert!(shown("warning", Some("celeriac::broker=trace")).contains("celeriac::broker=trace"));
        assert!(shown("critical", None).ends_with("error"));
    }
}
