//! The document pipeline on the memory broker, with real PDFium in real children: this binary is its own child.
//!
//! `harness = false`, because the program must be able to become a child before a test harness reads its arguments.
#![allow(clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::exit)]
#![allow(clippy::disallowed_methods, unreachable_pub)]

mod endings;
#[allow(dead_code, reason = "other tests ask more of it")]
#[path = "../analysis/fake.rs"]
mod fake;
mod house;
mod pages;
mod providers;
mod sources;
mod stopping;

use std::process::ExitCode;
use std::time::Duration;

use celeriac::pool::{CHILD_ARGUMENT, child_main};
use libtest_mimic::{Arguments, Trial};

/// What hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(CHILD_ARGUMENT) => child_main(house::functions()),
        _ => {
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .init();
            libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
        }
    }
}

fn trials() -> Vec<Trial> {
    if house::pdfium().is_some() {
        let all = [endings::trials(), pages::trials(), providers::trials(), sources::trials(), stopping::trials()];
        return all.into_iter().flatten().collect();
    }
    let absent = || {
        let message = "PDFium is not here; scripts/get-pdfium fetches it";
        if std::env::var("CI").is_ok() {
            return Err(message.into());
        }
        eprintln!("skipped: {message}");
        Ok(())
    };
    vec![Trial::test("pdfium_is_here", absent)]
}

/// A test on a runtime of its own.
pub fn trial(name: &str, test: impl AsyncFnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, test()).await })?;
        Ok(())
    })
}
