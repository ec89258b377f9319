//! A user's own program: two tasks, and with them `worker` and all commands for those who operate it.
//!
//! ```text
//! cargo run --example worker -- worker -Q celery -c 4       # as celery -A proj worker
//! cargo run --example worker -- call proj.add -a '[2, 3]' --wait
//! cargo run --example worker -- inspect active
//! ```
//!
//! Where Redis is, and everything else, is said by flags, the environment (`CELERY_BROKER_URL`) or `celery_config.toml`.

use std::process::ExitCode;

use celeriac::app::AppBuilder;
use celeriac::pool::{Functions, Isolated, Setup};
use celeriac::task::{Context, TaskError};

async fn add(_: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
    Ok(x + y)
}

/// Runs in a child process: what may crash, or needs the processor for long, harms only its own call there.
const FIBONACCI: Isolated<(u32,), u64> = Isolated::new("proj.fibonacci");

fn fibonacci(n: u32) -> u64 {
    if n < 2 { n.into() } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

fn tasks(app: &mut AppBuilder) {
    app.task("proj.add", add);
    app.isolated_task(&FIBONACCI);
}

fn functions() -> Functions {
    Functions::new().with(&FIBONACCI, |_: &Setup| Ok(|(n,): (u32,)| Ok(fibonacci(n))))
}

fn main() -> ExitCode {
    celeriac::cli::Program::new(tasks).functions(functions).main()
}
