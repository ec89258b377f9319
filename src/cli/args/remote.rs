//! The flags of `inspect`, `control` and `status`.

use std::time::Duration;

use clap::Args;

/// `inspect` and `control`.
#[derive(Args, Debug)]
pub struct RemoteArgs {
    /// What to ask or to do; --list tells all of it
    #[arg(value_name = "COMMAND", required_unless_present = "list")]
    pub command: Option<String>,
    /// The command's arguments
    #[arg(value_name = "ARGUMENT")]
    pub arguments: Vec<String>,
    /// List the commands and their arguments
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub(crate) asked: AskedArgs,
}

/// Who is asked, and how long the answers are waited for.
#[derive(Args, Debug)]
pub struct AskedArgs {
    /// Seconds to wait for replies; it is over sooner when everybody has answered
    #[arg(short = 't', long, value_name = "SECONDS", default_value = "1.0", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Ask these nodes only, separated by commas
    #[arg(short = 'd', long, value_name = "NODES", value_delimiter = ',')]
    pub(crate) destination: Vec<String>,
}

/// A number of seconds, 0 or more.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.trim().parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
