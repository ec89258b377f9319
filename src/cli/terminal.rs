//! What kind of terminal there is, and writing to standard output.

use std::io::{self, BufRead, IsTerminal, Write};

use serde_json::Value;

use super::exit::{Exit, Failure};
use crate::config::Env;

/// Whether a person may watch standard error.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person may watch standard output.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person may type.
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether colours are welcome: `NO_COLOR` and `-C` forbid them, `CLICOLOR_FORCE` demands them.
pub fn colors(env: &Env, no_color: bool, terminal: bool) -> bool {
    let set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    let forced = set("CLICOLOR_FORCE") && env.get("CLICOLOR_FORCE").is_none_or(|value| value != "0");
    let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
    !no_color && !set("NO_COLOR") && (forced || (terminal && !dumb))
}

/// Whether bars can be drawn: on a terminal that can, and not in a CI job.
pub fn bars(env: &Env) -> bool {
    let ci = env.get("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
    stderr_is_terminal() && !ci && !dumb
}

/// Asks on standard error, so that standard output is only for what came of it.
pub fn confirmed(question: &str) -> Result<bool, Failure> {
    tell(question)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::new(Exit::Failure, "no answer").why(error))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Writes text to standard error.
pub fn tell(text: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).map_err(|error| Failure::write("standard error", &error))
}

/// Text of others, without what a terminal would obey.
pub fn safe(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Writes text to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::write("standard output", &error))
}

/// Writes one JSON document to standard output.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str, value: &str) -> Env {
        [(name.into(), value.into())].into()
    }

    #[test]
    fn colours_follow_the_usual_variables() {
        assert!(colors(&Env::new(), false, true));
        assert!(!colors(&Env::new(), true, true));
        assert!(!colors(&Env::new(), false, false));
        assert!(!colors(&env("NO_COLOR", "1"), false, true));
        assert!(!colors(&env("TERM", "dumb"), false, true));
        assert!(colors(&env("CLICOLOR_FORCE", "1"), false, false));
        assert!(!colors(&env("CLICOLOR_FORCE", "0"), false, false));
    }

    #[test]
    fn a_message_cannot_write_to_the_terminal_what_it_obeys() {
        assert_eq!(safe("a\u{1b}[2Jé\nb"), "a\\u{1b}[2Jé\\nb");
    }
}
