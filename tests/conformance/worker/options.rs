//! The group *options*: tasks that say how their results and arguments are treated.
//!
//! # Celery
//! `typing=False` and `pydantic=True` need nothing here: serde checks and converts arguments, in the worker, as both do.

use celeriac::app::AppBuilder;
use celeriac::protocol::Value;
use celeriac::task::{Context, TaskError};
use serde::{Deserialize, Serialize};

use crate::basic::Pair;
use crate::{name, python};

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("add_not_typed"), add);
    app.task(&name("add_ignore_result"), add).ignore_result();
    app.task(&name("add_with_result"), add).ignore_result = Some(false);
    app.task(&name("add_pydantic"), add_pydantic);
    app.task(&name("add_pydantic_string_annotations"), add_pydantic);
}

async fn add(_: Context, Pair { x, y }: Pair) -> Result<Value, TaskError> {
    python::add(x, y)
}

#[derive(Deserialize)]
struct AddPydantic {
    data: AddParameterModel,
}

#[derive(Deserialize)]
struct AddParameterModel {
    x: i64,
    y: i64,
}

#[derive(Serialize)]
struct AddResultModel {
    result: i64,
}

async fn add_pydantic(_: Context, AddPydantic { data }: AddPydantic) -> Result<AddResultModel, TaskError> {
    Ok(AddResultModel { result: data.x + data.y })
}
