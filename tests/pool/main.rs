//! Isolated functions, tried with real child processes: this binary is its own child.
//!
//! `harness = false`, because the program must be able to become a child before a test harness reads its arguments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]
#![allow(clippy::disallowed_methods, unreachable_pub)]

mod calls;
mod deaths;
mod figures;
mod functions;
mod recycling;
mod sandbox;
mod support;

use std::process::ExitCode;
use std::time::Duration;

use celeriac::pool::{CHILD_ARGUMENT, child_main};
use libtest_mimic::{Arguments, Trial};

/// Nothing here takes long; what hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(CHILD_ARGUMENT) => child_main(functions::all()),
        Some(deaths::DOOMED_WORKER) => deaths::doomed_worker(),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    [calls::trials(), deaths::trials(), recycling::trials(), sandbox::trials(), figures::trials()].into_iter().flatten().collect()
}

/// A test on a runtime of its own.
pub fn trial(name: &str, test: impl AsyncFnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, test()).await })?;
        Ok(())
    })
}
