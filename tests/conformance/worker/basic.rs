//! The group *basic*: arithmetic, echoes and naps.

use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::protocol::Value;
use celeriac::task::{Arguments, Context, TaskError};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::name;
use crate::python;

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("identity"), identity);
    app.task(&name("add"), add);
    app.task(&name("mul"), mul);
    app.task(&name("tsum"), tsum);
    app.task(&name("xsum"), xsum);
    app.task(&name("delayed_sum"), delayed_sum);
    app.task(&name("sleeping"), sleeping);
    app.task(&name("print_unicode"), print_unicode);
    app.task(&name("write_to_file_and_return_int"), write_to_file_and_return_int);
    app.task(&name("replaced_with_me"), replaced_with_me);
}

#[derive(Deserialize)]
struct Identity {
    x: Value,
}

async fn identity(_: Context, Identity { x }: Identity) -> Result<Value, TaskError> {
    Ok(x)
}

#[derive(Deserialize)]
pub(crate) struct Add {
    x: Value,
    y: Value,
    #[serde(default)]
    z: Value,
}

async fn add(_: Context, Add { x, y, z }: Add) -> Result<Value, TaskError> {
    let sum = python::add(x, y)?;
    if z.is_truthy() { python::add(sum, z) } else { Ok(sum) }
}

#[derive(Deserialize)]
pub(crate) struct Pair {
    pub(crate) x: Value,
    pub(crate) y: Value,
}

async fn mul(_: Context, Pair { x, y }: Pair) -> Result<Value, TaskError> {
    python::multiply(&x, &y)
}

#[derive(Deserialize)]
struct Numbers {
    nums: Value,
}

async fn tsum(_: Context, Numbers { nums }: Numbers) -> Result<Value, TaskError> {
    python::sum(python::iterate(nums)?)
}

async fn xsum(_: Context, Numbers { nums }: Numbers) -> Result<Value, TaskError> {
    let one = |num| match num {
        Value::List(nums) => python::sum(nums),
        other => Ok(other),
    };
    python::sum(python::iterate(nums)?.into_iter().map(one).collect::<Result<Vec<_>, _>>()?)
}

#[derive(Deserialize)]
pub(crate) struct DelayedSum {
    pub(crate) numbers: Vec<Value>,
    #[serde(default = "one")]
    pub(crate) pause_time: f64,
}

fn one() -> f64 {
    1.0
}

async fn delayed_sum(_: Context, DelayedSum { numbers, pause_time }: DelayedSum) -> Result<Value, TaskError> {
    tokio::time::sleep(Duration::try_from_secs_f64(pause_time)?).await;
    python::sum(numbers)
}

/// `sleeping(i, **_)`.
async fn sleeping(_: Context, mut call: Arguments) -> Result<(), TaskError> {
    let i = call.args.pop().or_else(|| call.kwargs.shift_remove("i")).and_then(|i| i.as_f64());
    let missing = || TaskError::builtin("TypeError", "sleeping() missing 1 required argument: 'i'");
    tokio::time::sleep(Duration::try_from_secs_f64(i.ok_or_else(missing)?)?).await;
    Ok(())
}

#[derive(Deserialize)]
struct PrintUnicode {
    #[serde(default = "log_message")]
    log_message: Value,
    #[serde(default = "print_message")]
    print_message: Value,
}

fn log_message() -> Value {
    "håå®ƒ valmuefrø".into()
}

fn print_message() -> Value {
    "hiöäüß".into()
}

#[allow(clippy::print_stdout, reason = "this is what the task is for")]
async fn print_unicode(_: Context, PrintUnicode { log_message, print_message }: PrintUnicode) -> Result<(), TaskError> {
    tracing::warn!("{log_message}");
    println!("{print_message}");
    Ok(())
}

#[derive(Deserialize)]
struct WriteToFile {
    file_name: String,
    i: Value,
}

async fn write_to_file_and_return_int(_: Context, WriteToFile { file_name, i }: WriteToFile) -> Result<Value, TaskError> {
    let mut file = tokio::fs::OpenOptions::new().append(true).create(true).open(file_name).await?;
    file.write_all(format!("{i}\n").as_bytes()).await?;
    file.flush().await?;
    Ok(i)
}

async fn replaced_with_me(_: Context, (): ()) -> Result<bool, TaskError> {
    Ok(true)
}
