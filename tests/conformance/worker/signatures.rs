//! The group *signatures*: tasks that return a nested signature, and the one that walks it.

use celeriac::app::AppBuilder;
use celeriac::protocol::{Signature, Value};
use celeriac::task::{Context, TaskError};
use serde::Deserialize;

use crate::name;
use crate::python::task;

pub(crate) fn register(app: &mut AppBuilder) {
    let outer: [(&str, Wrap); 3] = [("chain", in_chain), ("group", in_group), ("chord", in_chord)];
    for (whole, wrap) in outer {
        for (part, wrap_part) in outer {
            let nested = wrap(wrap_part(task("add")));
            app.task(&name(&format!("return_nested_signature_{whole}_{part}")), move |_: Context, (): ()| {
                let nested = nested.clone();
                async move { Ok::<_, TaskError>(nested) }
            });
        }
    }
    app.task(&name("rebuild_signature"), rebuild_signature);
}

/// Puts one signature into a canvas, as it is: the builders of [`celeriac::canvas`] would flatten it.
type Wrap = fn(Signature) -> Signature;

fn in_chain(part: Signature) -> Signature {
    composed("chain", [("tasks", Value::from(vec![part]))])
}

fn in_group(part: Signature) -> Signature {
    composed("group", [("tasks", Value::from(vec![part]))])
}

fn in_chord(part: Signature) -> Signature {
    composed("chord", [("header", in_group(part).into()), ("body", task("add").into())])
}

fn composed<const N: usize>(kind: &str, parts: [(&str, Value); N]) -> Signature {
    let kwargs = parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect();
    Signature { kwargs, subtask_type: Some(kind.to_owned()), ..Signature::new(format!("celery.{kind}")) }
}

#[derive(Deserialize)]
struct Rebuild {
    sig_dict: Value,
}

async fn rebuild_signature(_: Context, Rebuild { sig_dict }: Rebuild) -> Result<(), TaskError> {
    walk(&sig_dict)
}

/// Every member is a signature, down to the tasks.
fn walk(value: &Value) -> Result<(), TaskError> {
    let signature = Signature::from_value(value.clone())
        .map_err(|error| TaskError::builtin("TypeError", format!("{value} is not a signature object: {error}")))?;
    if signature.is_plain() {
        return Ok(());
    }
    let part = |name: &str| {
        let missing = || TaskError::builtin("TypeError", format!("a {} without {name}", signature.task));
        signature.kwargs.get(name).ok_or_else(missing)
    };
    if signature.is_chord() {
        walk(part("header")?)?;
        return walk(part("body")?);
    }
    let missing = || TaskError::builtin("TypeError", format!("the tasks of {} are no list", signature.task));
    part("tasks")?.as_list().ok_or_else(missing)?.iter().try_for_each(walk)
}
