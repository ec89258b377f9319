//! A Rust service that calls a fleet of Python workers: every kind of canvas, what it is waited for by, and what comes back.
//!
//! `client NAME` sends one of the canvases below and prints what came of it as JSON; `client` alone lists the names; `client restore ID`
//! waits for a group that was saved, by Python or by `client save`. The broker and the
//! backend are `CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND`; the tasks are those of `tests/interop/rust_calls.py`:
//!
//! `celery -A rust_calls worker` in that folder, and here `cargo run --example client -- chain_with_group`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example is a program, reads its environment and prints"
)]

use std::process::ExitCode;
use std::time::Duration;

use celeriac::app::App;
use celeriac::canvas::{StampingVisitor, chain, chord, group};
use celeriac::config::Settings;
use celeriac::protocol::{Compression, Map, Serializer, Signature, State, Value, json};
use celeriac::result::{AsyncResult, GetError};
use chrono::{TimeDelta, Utc};

type Answer = Result<Value, Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(30);

/// A call of a task of the Python application. Nothing of the task is needed here but its name.
fn call(name: &str) -> Signature {
    Signature::new(format!("calls.{name}"))
}

fn add(x: i64, y: i64) -> Signature {
    call("add").arg(x).arg(y)
}

/// Partial: its first argument is the value of the task before it.
fn mul(y: i64) -> Signature {
    call("mul").arg(y)
}

fn xsum() -> Signature {
    call("xsum")
}

/// Stamps every task with its own name, and the body of a chord as such.
struct Named;

impl StampingVisitor for Named {
    fn on_signature(&mut self, signature: &Signature, _: &Map) -> Map {
        Map::from_iter([("named".to_owned(), Value::from(&signature.task))])
    }

    fn on_chord_body(&mut self, _: &Signature, _: &Map) -> Map {
        Map::from_iter([("body".to_owned(), Value::Bool(true))])
    }
}

/// Canvases that are sent and waited for.
fn canvases() -> Vec<(&'static str, Signature)> {
    let sums = || (1..=3).map(|n| add(n, n));
    vec![
        ("task", add(2, 3)),
        ("kwargs", call("sub").kwarg("y", 3).kwarg("x", 10)),
        ("partial", call("sub").arg(3).partial([10.into()], Map::default(), Map::default())),
        ("chain", add(1, 1) | mul(10) | call("ident")),
        ("immutable", chain([add(1, 1), add(2, 2).immutable()])),
        ("group", group(sums())),
        ("nested_group", group([add(1, 1), group([add(2, 2), add(3, 3)])])),
        ("group_of_chains", group([add(1, 1) | mul(2), add(2, 2) | mul(3)])),
        ("chord", chord(sums(), xsum())),
        ("empty_chord", chord([], xsum())),
        ("chord_of_chains", chord([add(1, 1) | mul(2), add(2, 2) | mul(3)], xsum())),
        ("chord_of_groups", chord([group([add(1, 1), add(2, 2)]), add(3, 3)], xsum())),
        ("chord_of_chains_that_end_in_groups", chord([add(1, 1) | group([mul(2), mul(3)]), add(5, 5)], call("ident"))),
        ("chord_with_a_chain_as_body", chord(sums(), xsum() | mul(10))),
        ("chord_with_a_group_as_body", chord(sums(), group([xsum(), call("ident")]))),
        ("nested_chords", chord([chord(sums(), xsum()), chord(sums(), xsum() | mul(2)), add(1, 1)], xsum()) | mul(100)),
        ("chain_with_group", add(1, 1) | group([mul(2), mul(3)]) | xsum() | mul(10)),
        ("chain_that_ends_in_a_group", add(1, 1) | group([mul(2), mul(3)])),
        ("two_groups_in_a_chain", add(1, 1) | group([mul(2), mul(3)]) | xsum() | group([mul(1), mul(2)]) | xsum()),
        ("map", call("ident").map([3, 1, 2])),
        ("starmap", call("add").starmap([[1, 2], [3, 4]])),
        ("chunks", call("add").chunks((0..5).map(|n| [n, n]), 2)),
        ("skewed_chunks", call("add").chunks((0..4).map(|n| [n, n]), 2).skew(0.1, None, 0.1)),
        ("chunks_in_a_chain", call("add").chunks((0..4).map(|n| [n, n]), 2) | call("ident")),
        ("link", add(2, 2).link(call("noted")).link(call("ident") | call("noted"))),
        ("link_of_a_chord", chord(sums(), xsum()).link(call("noted"))),
        ("link_error", call("print_page").arg(7).link_error(call("told"))),
        ("link_error_of_a_chord", chord([add(1, 1), call("print_page").arg(7)], xsum()).link_error(call("told"))),
        ("stamps", call("request").stamp([("tenant", Value::from("t1")), ("tags", Value::from(["a", "b"]))])),
        ("stamps_of_links", (add(1, 1) | mul(2)).link(call("noted_stamps")).stamp([("tenant", "t2")])),
        ("stamps_of_a_chord", chord([call("request")], call("ident").link(call("noted_stamps"))).stamp_with(&mut Named, false)),
        ("countdown", call("request").countdown(1.0)),
        ("eta", call("request").eta(Utc::now() + TimeDelta::seconds(1)).expires(Utc::now() + TimeDelta::hours(1))),
        ("expired", add(1, 1).expires_in(-5.0)),
        ("priority", call("request").priority(6)),
        ("limits", call("request").time_limit(30.0).soft_time_limit(20.0)),
        ("shown", call("request").arg("secret").shown_as("('***',)", "{}").shadow("a secret call").header("custom", [1, 2])),
        ("msgpack", call("ident").arg(vec!["a", "é", "😀"]).serializer(Serializer::Msgpack)),
        ("zlib", call("ident").arg("compressed").compression(Compression::Zlib)),
        ("bzip2", call("ident").arg("compressed").compression(Compression::Bzip2)),
        ("lzma", call("ident").arg("compressed").compression(Compression::Xz)),
        ("zstd", (add(1, 1) | mul(2)).compression(Compression::Zstd)),
        ("replaced", call("replaced").arg(1).arg(2) | mul(2)),
        ("ignored", add(1, 1).ignore_result(true)),
        ("failed_chain", call("print_page").arg(7) | mul(2) | mul(3)),
        ("failed_group", group([add(1, 1), call("print_page").arg(7)])),
        ("unknown", call("no_such_task")),
    ]
}

/// What a caller gets: the value, or why there is none, told apart by kind.
fn told(answer: Result<Value, GetError>) -> Value {
    let failed = match answer {
        Ok(value) => return Map::from_iter([("result".to_owned(), value)]).into(),
        Err(GetError::Failed(failure)) => [
            ("state".to_owned(), failure.state.as_str().into()),
            ("task_id".to_owned(), failure.task_id.into()),
            ("type".to_owned(), failure.exception.exc_type.into()),
            ("module".to_owned(), failure.exception.exc_module.into()),
            ("args".to_owned(), Value::List(failure.exception.exc_message)),
            ("traceback".to_owned(), failure.traceback.is_some().into()),
        ],
        Err(other) => return Map::from_iter([("other".to_owned(), Value::from(other.to_string()))]).into(),
    };
    Map::from_iter([("failure".to_owned(), Value::Map(Map::from_iter(failed)))]).into()
}

/// Waits in vain, then asks what is known.
async fn time_out(app: &App) -> Answer {
    let result = app.send(call("sleep").arg(2)).await?;
    let early = result.get::<i64>(Duration::from_millis(200)).await;
    let late: i64 = result.get(PATIENCE).await?;
    Ok(Value::List(vec![early.is_err_and(|error| error.is_timeout()).into(), late.into(), result.successful().await?.into()]))
}

/// A group is saved, restored by its id as another process would, asked, and forgotten.
async fn group_result(app: &App) -> Answer {
    let sent = app.send(group((1..=4).map(|n| add(n, n)))).await?.group().ok_or("a group's result has members")?;
    sent.save().await?;
    let restored = app.restore_group(sent.id()).await?.ok_or("it was saved")?;
    let values: Vec<i64> = restored.get(PATIENCE).await?;
    let count = restored.completed_count().await?;
    restored.forget().await?;
    restored.delete().await?;
    let left = restored.completed_count().await? + usize::from(app.restore_group(sent.id()).await?.is_some());
    Ok(Value::List(vec![values.into(), count.into(), left.into()]))
}

/// From the last step of a chain back to the first, and from the first on to what it sent.
async fn relatives(app: &App) -> Answer {
    let last = app.send(add(1, 1) | mul(2) | mul(3)).await?;
    let mut values = vec![last.get_value(PATIENCE).await?];
    let mut result = last.clone();
    while let Some(parent) = result.parent() {
        values.push(parent.get_value(PATIENCE).await?);
        result = parent;
    }
    let children = result.children().await?;
    let next = children.first().map(AsyncResult::id).map(str::to_owned);
    let middle = last.parent().map(|parent| parent.id().to_owned());
    values.push((next.is_some() && next == middle).into());
    last.forget().await?;
    values.push(result.meta().await?.is_none().into());
    Ok(Value::List(values))
}

/// Revokes one task before it is begun, kills another that runs, and one by its stamp.
async fn revoke(app: &App) -> Answer {
    let waiting = app.send(add(1, 1).countdown(60.0)).await?;
    waiting.revoke().await?;
    let stamped = app.send(call("sleep").arg(60).stamp([("job", "old")])).await?;
    let running = app.send(call("sleep").arg(60)).await?;
    // Each notes that it has begun; nobody can kill what is not there yet.
    for result in [&stamped, &running] {
        while result.state().await? != State::Started {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    running.terminate("SIGTERM").await?;
    app.control().revoke_by_stamped_headers(Map::from_iter([("job".to_owned(), "old".into())]), Some("SIGKILL")).await?;
    let mut ended = Vec::new();
    for result in [waiting, running, stamped] {
        ended.push(told(result.get_value(PATIENCE).await));
    }
    Ok(Value::List(ended))
}

/// Leaves the structure of a group in the backend; its id.
async fn save(app: &App) -> Answer {
    let sent = app.send(group([add(1, 1), add(2, 2)])).await?.group().ok_or("a group's result has members")?;
    sent.save().await?;
    Ok(sent.id().into())
}

async fn restore(app: &App, id: &str) -> Answer {
    let group = app.restore_group(id).await?.ok_or_else(|| format!("no group was saved as {id:?}"))?;
    Ok(Value::List(group.join(PATIENCE).await?))
}

async fn run(name: &str, argument: &str) -> Answer {
    let mut settings = Settings::default();
    settings.broker_url = std::env::var("CELERY_BROKER_URL").ok();
    settings.result_backend = std::env::var("CELERY_RESULT_BACKEND").ok();
    let app = App::builder(settings).connect()?;
    match name {
        "time_out" => return time_out(&app).await,
        "group_result" => return group_result(&app).await,
        "relatives" => return relatives(&app).await,
        "revoke" => return revoke(&app).await,
        "save" => return save(&app).await,
        "restore" => return restore(&app, argument).await,
        "by_name" => return Ok(app.send_task("calls.sub", [10], [("y", 3.into())]).await?.get_value(PATIENCE).await?),
        _ => {}
    }
    let found = canvases().into_iter().find(|(known, _)| *known == name);
    let (_, canvas) = found.ok_or_else(|| format!("no canvas of the name {name}; without a name all are listed"))?;
    let result = app.send(canvas).await?;
    Ok(told(result.get_value(PATIENCE).await))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        let special = ["time_out", "group_result", "relatives", "by_name", "revoke", "save"];
        canvases().iter().map(|(name, _)| *name).chain(special).for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    match run(&name, &std::env::args().nth(2).unwrap_or_default()).await {
        Ok(answer) => {
            println!("{}", json::write(&answer));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
