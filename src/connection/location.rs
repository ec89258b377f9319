//! Which server a link leads to, and whether a script there may change two of its databases in one step.

use redis::{Cmd, cmd};

use super::info::{info, refuse_cluster};
use super::{Link, Script};
use crate::error::{Error, Result};
use crate::settlement::Location;

/// The location of `db` behind `link`. Where a script may not SELECT (an ACL, some hosted services), each database counts as a
/// server of its own, so that nobody tries to change two in one step.
pub(crate) async fn locate(link: &Link, db: i64, key_prefix: &str) -> Result<Location> {
    let info = info(link, &["server"]).await?;
    refuse_cluster(&info)?;
    let server = link.server().identity(info.get("run_id").cloned());
    let probe = Script::new("return redis.call('SELECT', ARGV[1])");
    let server = match link.call::<()>("probing SELECT", &probe.call::<&str>(&[]).arg(db)).await {
        Ok(()) => format!("redis:{server}"),
        Err(refused @ Error::Refused { .. }) => {
            tracing::info!(error = %refused, "scripts may not change the database: results are stored apart from settling");
            format!("redis:{server}/{db}")
        }
        Err(cause) => return Err(cause),
    };
    Ok(Location { server, db, key_prefix: key_prefix.to_owned() })
}

/// A command with its arguments.
pub(crate) fn command(name: &str, arguments: &[&str]) -> Cmd {
    let mut command = cmd(name);
    command.arg(arguments);
    command
}
