//! The tasks every worker knows, because canvases on the wire call them.
//!
//! # Celery
//! `app/builtins.py`. Differences: `celery.chord_unlock` is not here, because it serves result backends that cannot count chords;
//! `celery.group` and `celery.chord`, which no Celery since 3 sends, are not here either.

use serde::Deserialize;

use super::arguments::Arguments;
use super::context::Context;
use super::outcome::TaskError;
use super::registry::Registry;
use crate::protocol::meta::ResultTuple;
use crate::protocol::signature::Signature;
use crate::protocol::value::{Map, Value};
use crate::task::handler::AsyncFn;

/// Registers all of them.
pub(crate) fn register(registry: &mut Registry) {
    use std::sync::Arc;
    registry.add("celery.accumulate", Arc::new(AsyncFn::new("celery.accumulate", accumulate)));
    registry.add("celery.map", Arc::new(AsyncFn::new("celery.map", map)));
    registry.add("celery.starmap", Arc::new(AsyncFn::new("celery.starmap", starmap)));
    registry.add("celery.chunks", Arc::new(AsyncFn::new("celery.chunks", chunks)));
    registry.add("celery.chain", Arc::new(AsyncFn::new("celery.chain", chain)));
    registry.add("celery.backend_cleanup", Arc::new(AsyncFn::new("celery.backend_cleanup", backend_cleanup)));
}

/// `celery.accumulate(*args, index=None)`: its arguments as a list, or the one at `index`. It ends a group that takes a task's place.
async fn accumulate(_: Context, call: Arguments) -> Result<Value, TaskError> {
    let Some(index) = call.kwargs.get("index").filter(|index| !index.is_null()) else {
        return Ok(Value::List(call.args));
    };
    let place = index.as_i64().and_then(|index| {
        let from_end = if index < 0 { call.args.len() } else { 0 };
        usize::try_from(index.checked_add(i64::try_from(from_end).ok()?)?).ok()
    });
    let found = place.and_then(|place| call.args.into_iter().nth(place));
    found.ok_or_else(|| TaskError::builtin("IndexError", "tuple index out of range"))
}

/// What `celery.map` and `celery.starmap` are called with.
#[derive(Deserialize)]
struct Mapped {
    /// The task to call: its name counts, its own arguments do not, as in Celery.
    task: Signature,
    it: Vec<Value>,
}

/// `celery.map(task, it)`: the task's values for each item, one after the other.
async fn map(ctx: Context, Mapped { task, it }: Mapped) -> Result<Vec<Value>, TaskError> {
    let mut values = Vec::with_capacity(it.len());
    for item in it {
        values.push(ctx.call_directly(&task.task, Arguments { args: vec![item], kwargs: Map::default() }).await?);
    }
    Ok(values)
}

/// `celery.starmap(task, it)`: the same with each item as the list of arguments.
async fn starmap(ctx: Context, Mapped { task, it }: Mapped) -> Result<Vec<Value>, TaskError> {
    let mut values = Vec::with_capacity(it.len());
    for item in it {
        let Value::List(args) = item else {
            return Err(TaskError::builtin("TypeError", format!("argument after * must be an iterable, not {}", item.type_name())));
        };
        values.push(ctx.call_directly(&task.task, Arguments { args, kwargs: Map::default() }).await?);
    }
    Ok(values)
}

/// `celery.chunks(task, it, n)`: a group of `celery.starmap` over so many items each; its result.
async fn chunks(ctx: Context, call: Arguments) -> Result<ResultTuple, TaskError> {
    let named = ["task", "it", "n"].into_iter().map(str::to_owned).zip(call.args).chain(call.kwargs).collect();
    let chunks = Signature { kwargs: named, subtask_type: Some("chunks".to_owned()), ..Signature::new("celery.chunks") };
    Ok(ctx.send_canvas(chunks).await?.result)
}

/// `celery.chain` is the type of a signature; nothing can be called under its name.
async fn chain(_: Context, _: Arguments) -> Result<(), TaskError> {
    Err(TaskError::builtin("NotImplementedError", "chain is not a real task"))
}

/// `celery.backend_cleanup`: Redis lets results expire by itself, and a memory backend ends with its process; of large results the store has to
/// be told. Workers do so by themselves every hour.
async fn backend_cleanup(ctx: Context, (): ()) -> Result<(), TaskError> {
    ctx.expire_results().await?;
    Ok(())
}
