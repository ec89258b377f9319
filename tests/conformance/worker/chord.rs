//! The group *chord*: tasks of headers and bodies.

use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::canvas::{chain, group};
use celeriac::protocol::{ResultTuple, Value};
use celeriac::task::{Context, TaskError};
use serde::Deserialize;

use crate::basic::DelayedSum;
use crate::python::{self, task};
use crate::{name, redis_client};

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("add_to_all_to_chord"), add_to_all_to_chord);
    app.task(&name("add_chord_to_chord"), add_chord_to_chord);
    app.task(&name("sum_and_record"), sum_and_record);
    app.task(&name("build_chain_inside_task"), build_chain_inside_task);
    app.task(&name("delayed_sum_with_soft_guard"), delayed_sum_with_soft_guard);
}

/// What each of many numbers is added to.
#[derive(Deserialize)]
pub(crate) struct AddToAll {
    pub(crate) nums: Vec<Value>,
    pub(crate) val: Value,
}

async fn add_to_all_to_chord(ctx: Context, AddToAll { nums, val }: AddToAll) -> Result<i64, TaskError> {
    for num in nums {
        ctx.add_to_chord(task("add").arg(num).arg(val.clone()))?;
    }
    Ok(0)
}

async fn add_chord_to_chord(ctx: Context, AddToAll { nums, val }: AddToAll) -> Result<i64, TaskError> {
    let header = group(nums.into_iter().map(|num| task("add").arg(num).arg(val.clone())));
    ctx.add_to_chord(header.then(task("tsum")))?;
    Ok(0)
}

#[derive(Deserialize)]
struct SumAndRecord {
    values: Value,
    redis_key: String,
}

async fn sum_and_record(ctx: Context, SumAndRecord { values, redis_key }: SumAndRecord) -> Result<Value, TaskError> {
    let sum = python::sum(python::iterate(values)?)?;
    redis_client::push(&ctx, &redis_key, &Value::from(ctx.request().id())).await?;
    Ok(sum)
}

async fn build_chain_inside_task(ctx: Context, (): ()) -> Result<ResultTuple, TaskError> {
    let add = |number: i64| task("add").arg(number);
    let canvas = chain([add(1).arg(1), add(2), group([add(3), add(4)]), add(5)]);
    Ok(ctx.send_canvas(canvas).await?.result)
}

async fn delayed_sum_with_soft_guard(ctx: Context, DelayedSum { numbers, pause_time }: DelayedSum) -> Result<Value, TaskError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::try_from_secs_f64(pause_time)?) => python::sum(numbers),
        () = ctx.cancelled().cancelled() => Ok(Value::Int(0)),
    }
}
