//! The flags of the commands that send tasks and look at what lies in the broker.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::remote::seconds;

/// `call`.
#[derive(Args, Debug)]
pub struct CallArgs {
    /// The task's name
    pub name: String,
    /// Positional arguments, a JSON array
    #[arg(short = 'a', long, value_name = "JSON", default_value = "[]")]
    pub args: String,
    /// Keyword arguments, a JSON object
    #[arg(short = 'k', long, value_name = "JSON", default_value = "{}")]
    pub kwargs: String,
    /// When to run it, in ISO 8601; without an offset it is UTC
    #[arg(long, value_name = "TIME", conflicts_with = "countdown")]
    pub eta: Option<String>,
    /// In how many seconds to run it
    #[arg(long, value_name = "SECONDS")]
    pub countdown: Option<f64>,
    /// After which it is not run any more: seconds from now, or a time in ISO 8601
    #[arg(long, value_name = "SECONDS|TIME")]
    pub expires: Option<String>,
    /// json or msgpack
    #[arg(long, default_value = "json", value_parser = ["json", "msgpack"])]
    pub serializer: String,
    /// The queue [default: as the routes say]
    #[arg(long)]
    pub queue: Option<String>,
    /// The exchange
    #[arg(long)]
    pub exchange: Option<String>,
    /// The routing key
    #[arg(long)]
    pub routing_key: Option<String>,
    /// 0 is served first
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(i64).range(0..=9))]
    pub priority: Option<i64>,
    /// Wait for the result and print it instead of the id
    #[arg(long)]
    pub wait: bool,
    /// With --wait: how long
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "wait")]
    pub timeout: Option<Duration>,
}

/// `result`.
#[derive(Args, Debug)]
pub struct ResultArgs {
    /// The task's id
    pub task_id: String,
    /// Accepted for Celery's sake; results are all in one backend
    #[arg(short = 't', long, hide = true)]
    pub task: Option<String>,
    /// Print the traceback instead
    #[arg(long)]
    pub traceback: bool,
    /// How long to wait for it [default: for ever, as Celery]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// `purge`.
#[derive(Args, Debug)]
pub struct PurgeArgs {
    /// Do not ask
    #[arg(short = 'f', long, visible_alias = "yes")]
    pub force: bool,
    /// The queues, separated by commas [default: those a worker serves]
    #[arg(short = 'Q', long, value_name = "LIST")]
    pub queues: Option<String>,
    /// The queues to leave alone
    #[arg(short = 'X', long, value_name = "LIST")]
    pub exclude_queues: Option<String>,
}

/// `events`.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Print events as they come; the default here, where there is no screen of its own
    #[arg(short = 'd', long)]
    pub dump: bool,
}

/// `list`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ListCommand {
    /// Which queue is bound to which exchange under which routing key
    Bindings,
}
