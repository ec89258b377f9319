//! `dev`.

use std::path::PathBuf;

use clap::Args;

use super::ServeArgs;

/// How everything is started in one place.
#[derive(Args, Clone, Debug)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Variables for this run, a line each; what the environment says is stronger [default: .env, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}
