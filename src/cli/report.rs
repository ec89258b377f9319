//! `report`: versions, for bug reports.
//!
//! # Celery
//! `celery report`, in its form: software, then platform.

use serde_json::json;

use super::args::GlobalArgs;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::settings::Surroundings;
use super::terminal::{print, print_json};

pub(super) fn run(program: &Program, global: &GlobalArgs) -> Result<Exit, Failure> {
    let loaded = program.load(&Surroundings::read(global)?, global, Vec::new())?;
    let shown = |name: &str| loaded.get(name).map(|value| value.shown()).unwrap_or_default();
    let (broker, results) = (shown("broker_url"), shown("result_backend"));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    if global.json {
        print_json(&json!({
            "celeriac": version, "protocol": "Celery 5.7", "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
            "kernel": kernel.trim(), "processors": processors, "broker_url": broker, "result_backend": results,
        }))?;
        return Ok(Exit::Ok);
    }
    print(&format!(
        "software -> celeriac:{version} protocol:Celery 5.7\n\
         platform -> system:{} arch:{} kernel:{} processors:{processors}\n\
         settings -> broker_url:{broker} result_backend:{results}\n",
        std::env::consts::OS,
        std::env::consts::ARCH,
        kernel.trim(),
    ))?;
    Ok(Exit::Ok)
}
