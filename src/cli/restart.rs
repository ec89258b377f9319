//! Restarting: the process becomes the program again, with the arguments, the environment and the folder it was started with.
//!
//! # Celery
//! `_reload_current_worker` of `apps/worker.py`. Differences: what was started with `--workdir` starts in the folder it came from; queues are
//! not purged again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::exit::{Exit, Failure};

/// What Linux puts behind the name of a running program whose file has gone or was replaced.
const DELETED: &[u8] = b" (deleted)";

/// What is done at a first start only.
const ONCE: [&str; 2] = ["--purge", "--discard"];

/// What a process is started again with.
#[derive(Debug)]
pub struct Again {
    folder: Option<PathBuf>,
}

impl Again {
    /// As it is now: before anything has changed the folder.
    pub fn here() -> Self {
        Self { folder: std::env::current_dir().ok() }
    }

    /// Becomes the program as its file is now; comes back only when that fails.
    pub fn run(&self) -> Failure {
        let error = match std::env::current_exe() {
            Ok(path) => self.command(file(path.as_os_str())).exec(),
            Err(error) => error,
        };
        tracing::warn!(%error, "cannot start the program's file; starting the program that runs");
        Failure::new(Exit::Failure, "cannot restart").why(self.command("/proc/self/exe".into()).exec())
    }

    fn command(&self, program: OsString) -> Command {
        let mut command = Command::new(program);
        let mut arguments = std::env::args_os();
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments.filter(|argument| !ONCE.iter().any(|once| argument == once)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}

/// The file a running program was started from, which may have been replaced by a newer one.
fn file(running: &OsStr) -> OsString {
    let bytes = running.as_bytes();
    OsString::from_vec(bytes.strip_suffix(DELETED).unwrap_or(bytes).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_starts_as_the_new_one() {
        for (running, expected) in [("/bin/worker", "/bin/worker"), ("/bin/worker (deleted)", "/bin/worker")] {
            assert_eq!(file(OsStr::new(running)), expected);
        }
    }
}
