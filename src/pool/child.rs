//! A child's side: sets the functions up, closes the sandbox, serves one call at a time, and ends with its parent.

use std::process::ExitCode;

use super::function::Functions;

/// The hidden first argument that makes a program a child: its `main` then calls [`child_main`] before anything else.
pub const CHILD_ARGUMENT: &str = "--isolated-child";

/// Serves the calls of the parent, whose socket is standard input, until the parent closes it.
pub fn child_main(functions: Functions) -> ExitCode {
    drop(functions);
    ExitCode::FAILURE
}
