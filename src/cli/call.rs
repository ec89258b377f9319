//! `call` and `result`: sends a task by its name, and prints what came of one.
//!
//! # Celery
//! `bin/call.py`, `bin/result.py`. Differences: `--priority`, `--wait` and `--timeout` are ours; a task that failed is told in one line,
//! not with our own stack.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::args::{CallArgs, GlobalArgs, ResultArgs};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::terminal::print;
use crate::protocol::serializer::Serializer;
use crate::protocol::state::State;
use crate::protocol::{Map, Signature, Timestamp, Value, json, repr};
use crate::result::{AsyncResult, GetError};

/// No task takes longer.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// `call`.
pub(super) fn call(program: &Program, args: &CallArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let signature = signature(args)?;
    let client = Client::open(program, global, Vec::new())?;
    client.block_on(async {
        let result = client.app.send(signature).await?;
        if args.wait {
            return value(&result, args.timeout, global.json).await;
        }
        let shown = if global.json { json::write(&object([("task_id", result.id().into())])) } else { result.id().to_owned() };
        print(&(shown + "\n"))?;
        Ok(Exit::Ok)
    })
}

/// `result`.
pub(super) fn result(program: &Program, args: &ResultArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(program, global, Vec::new())?;
    client.block_on(async {
        let result = client.app.async_result(&args.task_id);
        if args.traceback {
            let traceback = result.traceback().await?.unwrap_or_default();
            let shown = if global.json { json::write(&object([("traceback", traceback.into())])) } else { traceback };
            print(&(shown + "\n"))?;
            return Ok(Exit::Ok);
        }
        value(&result, args.timeout, global.json).await
    })
}

/// Waits for the value and prints it as Python's `print` would.
async fn value(result: &AsyncResult, timeout: Option<Duration>, json: bool) -> Result<Exit, Failure> {
    let value = match result.get_value(timeout.unwrap_or(FOR_EVER)).await {
        Ok(value) => value,
        Err(GetError::Failed(failure)) => {
            if json {
                let exception = failure.exception.to_string();
                let status = ("status", Value::from(failure.state.as_str()));
                print(
                    &(json::write(&object([("task_id", failure.task_id.into()), status, ("exception", exception.into())])) + "\n"),
                )?;
                return Ok(exit(&failure.state));
            }
            return Err(Failure::new(exit(&failure.state), failure.to_string()));
        }
        Err(GetError::Backend(error)) => return Err(error.into()),
        Err(timeout) => return Err(Failure::new(Exit::Timeout, timeout.to_string())),
    };
    let shown = match value {
        value if json => json::write(&object([("task_id", result.id().into()), ("status", "SUCCESS".into()), ("result", value)])),
        Value::Null => String::new(),
        value => repr::display(&value),
    };
    print(&(shown + "\n"))?;
    Ok(Exit::Ok)
}

fn exit(state: &State) -> Exit {
    if *state == State::Revoked { Exit::Cancelled } else { Exit::Failure }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn signature(args: &CallArgs) -> Result<Signature, Failure> {
    let positional = match parse("--args", &args.args)? {
        Value::List(values) => values,
        _ => return Err(Failure::usage(format!("--args: {} is no JSON array", args.args)).fix("write --args '[1, 2]'")),
    };
    let kwargs: Map = match parse("--kwargs", &args.kwargs)? {
        Value::Map(values) => values,
        _ => return Err(Failure::usage(format!("--kwargs: {} is no JSON object", args.kwargs)).fix("write --kwargs '{\"x\": 1}'")),
    };
    let mut signature = Signature { args: positional, kwargs, ..Signature::new(&args.name) };
    let texts = [("queue", &args.queue), ("exchange", &args.exchange), ("routing_key", &args.routing_key)];
    for (name, value) in texts {
        if let Some(value) = value {
            signature.set_option(name, value.as_str());
        }
    }
    if let Some(priority) = args.priority {
        signature.set_option("priority", priority);
    }
    if let Some(serializer) = Serializer::from_name(&args.serializer) {
        signature = signature.serializer(serializer);
    }
    if let Some(eta) = &args.eta {
        signature = signature.eta(moment("--eta", eta)?);
    }
    if let Some(countdown) = args.countdown {
        signature = signature.countdown(countdown);
    }
    Ok(match &args.expires {
        None => signature,
        Some(text) => match text.parse::<f64>() {
            Ok(seconds) => signature.expires_in(seconds),
            Err(_) => signature.expires(moment("--expires", text)?),
        },
    })
}

fn parse(flag: &str, text: &str) -> Result<Value, Failure> {
    json::parse(text.as_bytes()).map_err(|error| Failure::usage(format!("{flag}: {text} is no JSON")).why(error))
}

fn moment(flag: &str, text: &str) -> Result<DateTime<Utc>, Failure> {
    let time = Timestamp::parse(text).map_err(|error| Failure::usage(format!("{flag} {text}")).why(error))?;
    Ok(time.moment())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn called(line: &[&str]) -> Result<Signature, Failure> {
        let cli = Cli::try_parse_from(["celeriac", "call"].into_iter().chain(line.iter().copied())).unwrap();
        let Command::Call(args) = cli.command else { panic!("not a call") };
        signature(&args)
    }

    #[test]
    fn flags_become_the_options_of_a_call() {
        let signature = called(&[
            "proj.add",
            "-a",
            "[2, 3]",
            "-k",
            r#"{"z": "é"}"#,
            "--queue",
            "q",
            "--exchange",
            "e",
            "--routing-key",
            "k",
            "--priority",
            "6",
            "--countdown",
            "1.5",
            "--expires",
            "60",
        ])
        .unwrap();
        assert_eq!((signature.task.as_str(), signature.args.len()), ("proj.add", 2));
        assert_eq!(signature.kwargs.get("z"), Some(&"é".into()));
        for (name, value) in
            [("queue", Value::from("q")), ("exchange", "e".into()), ("routing_key", "k".into()), ("priority", 6.into())]
        {
            assert_eq!(signature.option(name), Some(&value), "{name}");
        }
        let timed = called(&["t", "--eta", "2030-01-02T03:04:05", "--expires", "2030-01-03T00:00:00+02:00"]).unwrap();
        let option = |name| timed.option(name).and_then(Value::as_str).unwrap().to_owned();
        assert!(option("eta").starts_with("2030-01-02T03:04:05"), "{}", option("eta"));
        assert!(option("expires").starts_with("2030-01-02T22:00:00"), "{}", option("expires"));
    }

    #[test]
    fn what_is_no_json_of_the_right_kind_is_wrong_usage() {
        for line in
            [["t", "-a", "{}"], ["t", "-k", "[]"], ["t", "-a", "[1"], ["t", "--eta", "tomorrow"], ["t", "--expires", "soon"]]
        {
            assert_eq!(called(&line).unwrap_err().exit, Exit::Usage, "{line:?}");
        }
    }
}
