//! Commands that a worker does not obey, because its settings say so: whoever can write to the broker could send them.
//!
//! # Celery
//! None: a Python worker obeys every command, or none (`worker_enable_remote_control`).

use crate::app::App;
use crate::error::{Error, Result};
use crate::protocol::exception::Exception;

/// Every command there is; where one has two names, the shorter first.
const COMMANDS: &[&[&str]] = &[
    &["ping"],
    &["clock"],
    &["registered", "dump_tasks"],
    &["active", "dump_active"],
    &["reserved", "dump_reserved"],
    &["scheduled", "dump_schedule"],
    &["query_task"],
    &["active_queues"],
    &["revoked", "dump_revoked"],
    &["hello"],
    &["stats"],
    &["memsample"],
    &["memdump"],
    &["objgraph"],
    &["conf", "dump_conf"],
    &["report"],
    &["revoke"],
    &["terminate"],
    &["revoke_by_stamped_headers"],
    &["rate_limit"],
    &["time_limit"],
    &["enable_events"],
    &["disable_events"],
    &["heartbeat"],
    &["election"],
    &["pool_grow"],
    &["pool_shrink"],
    &["pool_restart"],
    &["autoscale"],
    &["add_consumer"],
    &["cancel_consumer"],
    &["shutdown"],
];

/// Refuses a command that is switched off, by whichever of its names.
pub(super) fn refuse(disabled: &[String], method: &str) -> std::result::Result<(), Exception> {
    let own = [method];
    let names = COMMANDS.iter().find(|names| names.contains(&method)).copied().unwrap_or(&own);
    if disabled.iter().any(|name| names.contains(&name.as_str())) {
        let text = format!("the command {method} is switched off on this worker (celeriac.control_disabled)");
        return Err(Exception::builtin("PermissionError", text));
    }
    Ok(())
}

/// Whether the setting names commands: one that is misspelt would stay on unnoticed.
pub(crate) fn check(app: &App) -> Result<()> {
    let known = |name: &str| COMMANDS.iter().any(|names| names.contains(&name)) || app.commands().contains(name);
    match app.settings().celeriac.control_disabled.iter().find(|name| !known(name)) {
        Some(name) => Err(Error::config(format!("celeriac.control_disabled: there is no remote control command {name:?}"))),
        None => Ok(()),
    }
}
