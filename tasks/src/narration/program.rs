//! Running a program that reads its standard input and writes its standard output, within a time limit.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why there is no output.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such program.
    Absent,
    /// It is there but cannot be started, or its output cannot be read.
    Broken(io::Error),
    /// It ended with an error, and said this.
    Failed(String),
    /// It took too long.
    TimedOut,
}

/// What `program` writes when it reads `input`. Dropping the future ends it.
pub(super) async fn run(program: &Path, args: &[&str], input: &[u8], limit: Duration) -> Result<Vec<u8>, Failure> {
    tokio::time::timeout(limit, pipe(program, args, input)).await.unwrap_or(Err(Failure::TimedOut))
}

async fn pipe(program: &Path, args: &[&str], input: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut command = Command::new(program);
    // Nothing of this process's environment: it holds keys.
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin").env("LC_ALL", "C.UTF-8");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Absent,
        _ => Failure::Broken(error),
    })?;
    let stdin = child.stdin.take();
    let feed = async {
        // A program that ends early closes the pipe; its exit status and words say more than that.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(Failure::Broken)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    Err(Failure::Failed(format!("{}: {}", output.status, said.trim())))
}
