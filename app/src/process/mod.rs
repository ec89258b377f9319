//! `process`: documents from the command line to results, here in one process or over the queues.
//!
//! By default everything runs in this process, on a broker and a backend in memory, with children of the same program for what may
//! crash. With `--submit` the same task goes over Redis to workers elsewhere.

mod asked;
mod deliver;
mod ended;
mod output;
mod progress;
mod run;
mod sources;
mod watch;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use celeriac::cli::logging::{self, LogOptions};
use celeriac::cli::settings::Surroundings;
use celeriac::cli::{Exit, Failure, GlobalArgs, terminal};
use celeriac::config::Loaded;
use celeriac_tasks::job::ProcessDocument;
use indicatif::MultiProgress;
use serde_json::json;

pub(crate) use self::progress::Display;
pub(crate) use self::sources::{From, Input, expand};
pub(crate) use self::watch::snapshot;
use crate::args::ProcessArgs;
use crate::jobs::Form;
use crate::scratch::Scratch;
use crate::settings::load;

use ended::Ended;
use output::Target;
use run::Runner;

/// What is to be done, with every flag understood.
struct Plan<'a> {
    args: &'a ProcessArgs,
    global: &'a GlobalArgs,
    around: &'a Surroundings,
    loaded: &'a Loaded,
    asked: ProcessDocument,
    /// How urgent it is; none: as usual.
    step: Option<i64>,
    inputs: Vec<Input>,
    target: Target,
    formats: Vec<Form>,
    bars: MultiProgress,
}

/// Processes all documents; the worst of them decides the code.
pub(crate) fn run(args: &ProcessArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let around = Surroundings::read(global)?;
    let loaded = load(&around, global, settings(args))?;
    let bars = MultiProgress::new();
    log(&loaded, &around, global, &bars)?;
    let (asked, step) = (asked::of(args)?, asked::step(args)?);
    let scratch =
        Scratch::new("process").map_err(|error| Failure::new(Exit::CannotWrite, "cannot make a temporary folder").why(error))?;
    let inputs = sources::expand(&args.sources, scratch.path())?;
    if args.job_id.is_some() && inputs.len() > 1 {
        return Err(Failure::usage(format!("--job-id names one job, and there are {} documents", inputs.len())));
    }
    let target = Target::parse(args.output.as_deref(), inputs.len(), &args.format)?;
    let formats = target.formats(&args.format);
    if !args.no_wait {
        for folder in inputs.iter().filter_map(|input| target.folder(input, inputs.len())) {
            output::prepare(&folder)?;
        }
    }
    let plan = Plan { args, global, around: &around, loaded: &loaded, asked, step, inputs, target, formats, bars };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let exit = runtime.block_on(all(&plan));
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}

fn settings(args: &ProcessArgs) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    settings.extend(args.concurrency.clone().map(|concurrency| ("worker_concurrency".into(), concurrency)));
    settings.extend(args.model.clone().map(|model| ("celeriac.analysis.model".into(), model)));
    if !args.submit {
        settings.push(("broker_url".into(), "memory://".into()));
        settings.push(("result_backend".into(), "memory://".into()));
    }
    settings
}

/// A person watches bars, not log lines: only what is wrong is logged, unless more is asked for.
fn log(loaded: &Loaded, around: &Surroundings, global: &GlobalArgs, bars: &MultiProgress) -> Result<(), Failure> {
    let drawn = bars.clone();
    logging::install(&LogOptions {
        level: logging::quiet_level(global),
        file: None,
        stderr: Arc::new(move |line| drawn.suspend(|| std::io::stderr().lock().write_all(line))),
        ..logging::options(loaded, around, global, &["celeriac"])
    })
}

async fn all(plan: &Plan<'_>) -> Result<Exit, Failure> {
    let mut runner = Runner::start(plan)?;
    let mut ended = Vec::new();
    let mut stopped = None;
    for input in &plan.inputs {
        match runner.process(plan, input).await {
            Ok(one) => ended.push(one),
            Err(failure) => {
                stopped = Some(failure);
                break;
            }
        }
    }
    runner.stop().await;
    if let Some(failure) = stopped {
        return Err(failure);
    }
    report(plan, &ended)?;
    Ok(ended.iter().map(Ended::exit).max_by_key(|exit| *exit as u8).unwrap_or(Exit::Ok))
}

/// What came of everything, on standard output; nothing when a result is there already.
fn report(plan: &Plan<'_>, ended: &[Ended]) -> Result<(), Failure> {
    if plan.global.json {
        if plan.target == Target::Stdout {
            return Ok(());
        }
        let jobs: Vec<_> = ended.iter().map(Ended::to_json).collect();
        return terminal::print_json(&json!({"jobs": jobs}));
    }
    if plan.target == Target::Stdout || plan.global.quiet {
        return Ok(());
    }
    terminal::print(&ended.iter().map(Ended::to_text).collect::<String>())
}
