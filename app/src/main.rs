//! The celeriac program: reads the command line and the environment, runs one command, and ends with a code that says how it went.

mod archive;
mod args;
mod config_cmd;
mod dev;
mod doctor;
mod healthcheck;
mod jobs;
mod jobs_cmd;
mod metrics;
mod model;
mod pipeline;
mod process;
mod resources;
mod schema;
mod scratch;
mod serve;
mod settings;
mod upkeep;
mod worker;

use std::process::ExitCode;

use celeriac::cli::{Exit, Failure, Program, terminal};
use celeriac_tasks::pipeline::QUEUES;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let program = Program::preparing(pipeline::start)
        .functions(|| celeriac_tasks::render::functions(celeriac::pool::Functions::new()))
        .tables(settings::TABLES)
        .adjusted(settings::apply)
        .queues(QUEUES);
    if let Some(ended) = program.child() {
        return ended;
    }
    // Usage errors end here, with code 2; help and version with 0.
    let cli = Cli::parse();
    run(&program, &cli).unwrap_or_else(Failure::report).into()
}

fn run(program: &Program, cli: &Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Runtime(command) => program.run(command, global),
        Command::Process(args) => process::run(args, global),
        Command::Serve(args) => serve::run(args, global),
        Command::Dev(args) => dev::run(args, global),
        Command::Jobs { command } => jobs_cmd::jobs(command, global),
        Command::Monitor { command } => jobs_cmd::monitor(command, global),
        Command::Stats(args) => jobs_cmd::stats(args, global),
        Command::Healthcheck(args) => healthcheck::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Config { command } => config_cmd::run(command, global),
        Command::Schema { of } => schema::run(*of),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "celeriac", &mut script);
            terminal::print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Ok)
        }
    }
}
