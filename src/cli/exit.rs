//! How the program ends: its exit codes, and the failures that lead to them.
//!
//! # Celery
//! 69 is Celery's code for "nobody answered"; 2 is click's and clap's for wrong usage. The others follow `sysexits.h` and the shell.

use std::fmt;
use std::process::ExitCode;

use crate::config::{Problems, redact};
use crate::error::Error;

/// Every way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It failed.
    Failure = 1,
    /// The command line, or a name in the configuration, is wrong.
    Usage = 2,
    /// Finished, but something is missing; the result says what.
    Partial = 3,
    /// The job failed.
    JobFailed = 4,
    /// The job was cancelled.
    Cancelled = 5,
    /// The job was stopped by its budget or its deadline.
    Limit = 6,
    /// Nobody answered.
    Unavailable = 69,
    /// The output cannot be written.
    CannotWrite = 73,
    /// The broker cannot be reached; later it may be.
    TryLater = 75,
    /// A value in the configuration is wrong.
    Config = 78,
    /// The time given to it is over.
    Timeout = 124,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program cannot do what it was asked: what, why, how to fix it, and the code it ends with.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    what: String,
    why: Option<String>,
    fix: Option<String>,
    /// Nobody reads any more; that is success.
    broken_pipe: bool,
}

impl Failure {
    /// What cannot be done.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: None, fix: None, broken_pipe: false }
    }

    /// Adds the reason.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Wrong usage.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// A file or stream that cannot be written.
    pub fn write(target: impl fmt::Display, error: &std::io::Error) -> Self {
        let mut failure = Self::new(Exit::CannotWrite, format!("cannot write {target}")).why(error);
        failure.broken_pipe = error.kind() == std::io::ErrorKind::BrokenPipe;
        failure
    }

    /// The code to end with, after saying why on standard error.
    #[allow(clippy::print_stderr)]
    pub fn report(self) -> Exit {
        if self.broken_pipe {
            return Exit::Ok;
        }
        eprintln!("{self}");
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for part in [&self.why, &self.fix].into_iter().flatten() {
            write!(f, " · {part}")?;
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Config { .. } => Exit::Config,
            Error::Connection { .. } => Exit::TryLater,
            Error::Timeout { .. } => Exit::Timeout,
            _ => Exit::Failure,
        };
        let fix = match exit {
            Exit::TryLater => Some("is Redis running there?".to_owned()),
            _ => None,
        };
        let why = std::error::Error::source(&error).map(|cause| redact::text(&chain(cause)));
        Self { exit, what: redact::text(&error.to_string()), why, fix, broken_pipe: false }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let exit = if problems.only_typos() { Exit::Usage } else { Exit::Config };
        let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        Self::new(exit, lines.join("\nerror: "))
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Many errors already contain their cause's text.
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_what_why_and_how_to_fix() {
        let failure = Failure::usage("no such queue").why("it is not declared").fix("declare it");
        assert_eq!(failure.to_string(), "error: no such queue · it is not declared · declare it");
    }

    #[test]
    fn nobody_listening_is_success() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::write("standard output", &gone).report(), Exit::Ok);
    }

    #[test]
    fn an_unreachable_broker_says_so_without_its_password() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = Failure::from(Error::connection("redis://:secret@host", refused));
        assert_eq!(failure.exit, Exit::TryLater);
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
}
