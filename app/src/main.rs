//! The celeriac program: reads the command line and the environment, runs one command, and ends with a code that says how it went.

mod args;
mod config_cmd;
mod doctor;
mod exit;
mod logging;
mod model;
mod pipeline;
mod process;
mod report;
mod resources;
mod scratch;
mod settings;
mod signals;
mod terminal;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command, SchemaOf};
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    let first = std::env::args_os().nth(1);
    if first.is_some_and(|argument| argument == celeriac::pool::CHILD_ARGUMENT) {
        return celeriac::pool::child_main(celeriac_tasks::render::functions(celeriac::pool::Functions::new()));
    }
    // Usage errors end here, with code 2; help and version with 0.
    let cli = Cli::parse();
    run(&cli).unwrap_or_else(Failure::report).into()
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Worker(args) => worker::run(args, global),
        Command::Process(args) => process::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Config { command } => config_cmd::run(command, global),
        Command::Schema { of: SchemaOf::Result } => {
            terminal::print_json(&celeriac_tasks::result::schema())?;
            Ok(Exit::Ok)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "celeriac", &mut script);
            terminal::print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Ok)
        }
        Command::Report => report::run(global),
    }
}
