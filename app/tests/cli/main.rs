//! The program from outside: what it prints, and the codes it ends with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

mod config;
mod doctor;
mod operate;
mod process;
mod queues;
#[path = "../../../tests/support/redis_server.rs"]
mod redis_server;
mod usage;

/// The URL of a broker where nobody listens.
const NOWHERE: &str = "redis://127.0.0.1:1/0";

/// A folder to work in, and the program started there with nothing of our environment but the way to its neighbours.
struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn with(name: &str, text: &str) -> Self {
        let house = Self::new();
        std::fs::write(house.path().join(name), text).unwrap();
        house
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "CELERIAC_PDFIUM"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::new(self.command(line).output().unwrap())
    }
}

/// How it went.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
