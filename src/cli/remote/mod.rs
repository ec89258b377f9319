//! `inspect`, `control` and `status`: asks workers of either language, and shows what each answers.
//!
//! # Celery
//! `bin/control.py`. Differences: `--json` prints nothing but the JSON; when everybody has answered, nobody waits for the time to be
//! over; a broker that cannot be reached ends with 75, not with the 69 of nobody answering.

mod commands;
mod show;

use std::fmt::Write as _;

use self::commands::{CONTROL, INSPECT, RemoteCommand};
use self::show::{Show, online};
use super::args::{AskedArgs, GlobalArgs, RemoteArgs};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::terminal::{colors, print, stdout_is_terminal};
use crate::control::CallOptions;
use crate::protocol::{Map, Value, json};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inspect,
    Control,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Control => "control",
        }
    }

    fn commands(self) -> &'static [RemoteCommand] {
        match self {
            Self::Inspect => INSPECT,
            Self::Control => CONTROL,
        }
    }
}

/// `inspect` or `control`.
pub(super) fn run(side: Side, program: &Program, args: &RemoteArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let Some(name) = args.command.as_deref().filter(|_| !args.list) else {
        print(&list(side))?;
        return Ok(Exit::Ok);
    };
    let known = side.commands().iter().find(|command| command.name == name);
    let arguments = known.map(|command| command.arguments(&args.arguments)).transpose()?;
    let client = Client::open(program, global, Vec::new())?;
    let arguments = match arguments {
        Some(arguments) => arguments,
        None if client.has_command(name) => own_arguments(&args.arguments)?,
        None => return Err(unknown(side, name)),
    };
    let replies = ask(&client, name, arguments, &args.asked, global, true)?;
    if global.json {
        // Celery's control.broadcast gives a list, its inspect a map.
        let value = match side {
            Side::Inspect => Value::Map(replies),
            Side::Control => replies.into_iter().map(|(node, reply)| Value::Map(Map::from_iter([(node, reply)]))).collect(),
        };
        print(&(json::write(&value) + "\n"))?;
    } else if side == Side::Inspect && !global.quiet {
        print(&online(replies.len()))?;
    }
    Ok(Exit::Ok)
}

/// `status`.
pub(super) fn status(program: &Program, asked: &AskedArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(program, global, Vec::new())?;
    let replies = ask(&client, "ping", Map::default(), asked, global, false)?;
    if global.json {
        print(&(json::write(&Value::Map(replies)) + "\n"))?;
    } else if !global.quiet {
        print(&online(replies.len()))?;
    }
    Ok(Exit::Ok)
}

/// Asks, and shows each answer when it comes.
fn ask(
    client: &Client<'_>,
    method: &str,
    arguments: Map,
    asked: &AskedArgs,
    global: &GlobalArgs,
    body: bool,
) -> Result<Map, Failure> {
    let options = CallOptions { destination: asked.destination.clone(), timeout: asked.timeout, ..CallOptions::default() };
    let show = Show { color: colors(&client.around.env, global.no_color, stdout_is_terminal()), quiet: global.quiet };
    let mut printed = Ok(());
    let each = |node: &str, reply: &Value| {
        if !global.json && printed.is_ok() {
            printed = print(&show.reply(node, reply, body));
        }
    };
    let replies = client.block_on(async { Ok(client.app.control().call_each(method, arguments, &options, each).await?) })?;
    printed?;
    if replies.is_empty() {
        return Err(Failure::new(Exit::Unavailable, "No nodes replied within time constraint"));
    }
    Ok(replies)
}

fn list(side: Side) -> String {
    let mut text = String::new();
    for command in side.commands() {
        let _ = writeln!(text, "{}\n    {}", format!("{} {}", command.name, command.signature).trim_end(), command.help);
    }
    text
}

fn unknown(side: Side, name: &str) -> Failure {
    let names: Vec<&str> = side.commands().iter().map(|command| command.name).collect();
    let side = side.name();
    Failure::usage(format!("Command {name} not recognized. Available {side} commands: {}", names.join(", ")))
}

/// The arguments of a command that the program has added itself: `name=value`, where a value that is no JSON is text.
fn own_arguments(words: &[String]) -> Result<Map, Failure> {
    let argument = |word: &String| {
        let (name, value) = word.split_once('=')?;
        Some((name.to_owned(), json::parse(value.as_bytes()).unwrap_or_else(|_| value.into())))
    };
    let argument =
        |word| argument(word).ok_or_else(|| Failure::usage(format!("unexpected argument {word:?}")).fix("write name=value"));
    words.iter().map(argument).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_ones_own_takes_names_and_values() {
        let words = ["n=2", "who=me", "list=[1]"].map(str::to_owned);
        let arguments = own_arguments(&words).unwrap();
        assert_eq!(json::write(&Value::Map(arguments)), r#"{"n": 2, "who": "me", "list": [1]}"#);
        assert_eq!(own_arguments(&["n".to_owned()]).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn an_unknown_command_is_told_which_there_are() {
        let text = unknown(Side::Inspect, "nonsense").to_string();
        assert!(
            text.contains("Command nonsense not recognized. Available inspect commands: active, active_queues, clock"),
            "{text}"
        );
    }
}
