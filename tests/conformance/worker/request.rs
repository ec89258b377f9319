//! The group *request*: tasks that tell what they know about their call.

use celeriac::app::AppBuilder;
use celeriac::protocol::{Map, Value};
use celeriac::task::{Context, TaskError};
use serde::Serialize;

use crate::name;
use crate::python::Args;

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("return_priority"), return_priority);
    app.task(&name("return_request_eta"), return_request_eta);
    app.task(&name("return_properties"), return_properties);
    app.task(&name("return_request_time_limits"), return_request_time_limits);
    let declared = app.task(&name("task_with_declared_time_limits"), return_request_time_limits);
    declared.time_limit(std::time::Duration::from_secs(60)).soft_time_limit(std::time::Duration::from_secs(45));
}

async fn return_priority(ctx: Context, _: Args) -> Result<String, TaskError> {
    Ok(format!("Priority: {}", ctx.request().priority()))
}

async fn return_request_eta(ctx: Context, (): ()) -> Result<Option<String>, TaskError> {
    Ok(ctx.request().headers().eta.map(|eta| eta.to_string()))
}

/// The properties as Python's message has them, with those that the caller made up.
async fn return_properties(ctx: Context, (): ()) -> Result<Map, TaskError> {
    let properties = ctx.request().properties();
    let info = &properties.delivery_info;
    let info = [("exchange", Value::from(&info.exchange)), ("routing_key", Value::from(&info.routing_key))];
    let known = [
        ("correlation_id", Value::from(properties.correlation_id.clone())),
        ("reply_to", Value::from(properties.reply_to.clone())),
        ("delivery_mode", Value::from(properties.delivery_mode)),
        ("priority", Value::from(properties.priority)),
        ("delivery_info", Value::Map(info.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
    ];
    Ok(known.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(properties.extra.clone()).collect())
}

#[derive(Serialize)]
struct TimeLimits {
    time_limit: Option<f64>,
    soft_time_limit: Option<f64>,
}

async fn return_request_time_limits(ctx: Context, (): ()) -> Result<TimeLimits, TaskError> {
    let limits = ctx.request().timelimit;
    Ok(TimeLimits { time_limit: limits.hard, soft_time_limit: limits.soft })
}
