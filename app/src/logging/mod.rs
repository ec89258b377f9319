//! The log: in Celery's text form, or as JSON lines; on standard error beside any progress bars, or in a file.
//!
//! # Celery
//! `worker_log_format`: `[2026-11-22 00:34:31,065: INFO/MainProcess] message`, local time. A warning is a `WARNING`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

use crate::exit::{Exit, Failure};
use crate::terminal;

mod format;

use format::{Celery, Json};

/// How the log is written.
#[derive(Debug)]
pub(crate) struct LogOptions<'a> {
    /// The level, by Celery's words.
    pub(crate) level: &'a str,
    /// `text` or `json`.
    pub(crate) format: &'a str,
    /// The file; none: standard error.
    pub(crate) file: Option<&'a Path>,
    /// Whether text may be coloured.
    pub(crate) color: bool,
    /// `RUST_LOG`: levels of single modules.
    pub(crate) directives: Option<&'a str>,
    /// Bars that must not be broken by log lines.
    pub(crate) bars: MultiProgress,
}

/// Installs the log for the rest of the process's life.
pub(crate) fn install(options: &LogOptions<'_>) -> Result<(), Failure> {
    let sink = match options.file {
        None => Sink::Stderr(options.bars.clone()),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file =
                file.map_err(|error| Failure::new(Exit::CannotWrite, format!("cannot write {}", path.display())).why(error))?;
            Sink::File(Arc::new(file))
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter(options.level, options.directives)).with_writer(sink);
    let color = options.color && options.file.is_none() && terminal::stderr_is_terminal();
    let installed = match options.format {
        "json" => builder.fmt_fields(JsonFields::new()).event_format(Json).try_init(),
        _ => builder.with_ansi(color).event_format(Celery { color }).try_init(),
    };
    installed.map_err(|error| Failure::new(Exit::Failure, "cannot install the log").why(error))
}

/// Our own crates at the level asked for, everybody else no more talkative than `warn` (at `debug`: `info`).
fn filter(level: &str, directives: Option<&str>) -> EnvFilter {
    let (ours, others) = match level {
        "trace" => ("trace", "debug"),
        "debug" => ("debug", "info"),
        "info" => ("info", "warn"),
        "warning" | "warn" => ("warn", "warn"),
        _ => ("error", "error"),
    };
    let base = format!("{others},celeriac={ours},celeriac_tasks={ours},celeriac_app={ours}");
    match directives {
        Some(directives) => EnvFilter::builder().parse_lossy(format!("{base},{directives}")),
        None => EnvFilter::builder().parse_lossy(base),
    }
}

/// Where lines go.
enum Sink {
    Stderr(MultiProgress),
    File(Arc<File>),
}

/// One line on its way, written whole.
enum Line<'a> {
    Stderr(&'a MultiProgress),
    File(&'a File),
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        match self {
            Self::Stderr(bars) => Line::Stderr(bars),
            Self::File(file) => Line::File(file),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr(bars) => bars.suspend(|| io::stderr().lock().write_all(line))?,
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

    #[test]
    fn others_are_quieter_than_we_are_and_rust_log_adds_to_it() {
        assert_eq!(filter("info", None).to_string(), "celeriac_tasks=info,celeriac_app=info,celeriac=info,warn");
        assert!(filter("warning", Some("celeriac::broker=trace")).to_string().contains("celeriac::broker=trace"));
        assert!(filter("critical", None).to_string().ends_with("error"));
    }
}
