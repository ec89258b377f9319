//! The group *retries*: tasks that ask for another try.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::protocol::{Map, Timestamp, Value};
use celeriac::task::{Arguments, Backoff, Context, TaskError};
use chrono::{TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::{expected, unpickleable};
use crate::{name, python};

pub(crate) fn register(app: &mut AppBuilder) {
    app.state(Attempts::default());
    app.task(&name("retry"), retry).default_retry_delay(Duration::from_secs(1));
    app.task(&name("retry_once"), retry_once).max_retries(1);
    app.task(&name("retry_once_priority"), retry_once_priority).max_retries(1);
    app.task(&name("retry_once_headers"), retry_once_headers).max_retries(1);
    app.task(&name("retry_once_ignore_result"), retry_at_once).ignore_result();
    app.task(&name("retry_once_with_result"), retry_at_once).ignore_result = Some(false);
    app.task(&name("retry_with_args_after_kwargs"), retry_with_args_after_kwargs).max_retries(1);
    app.task(&name("retry_with_kwargs_after_args"), retry_with_kwargs_after_args).max_retries(1);
    app.task(&name("retry_unpickleable"), retry_unpickleable).default_retry_delay(Duration::from_secs(1));
    app.task("auto_retry_class_task", auto_retry).autoretry_for(["ValueError"]).retries(1, Backoff::default());
}

/// How often [`retry`] ran, in this process.
#[derive(Debug, Default)]
struct Attempts(AtomicU32);

#[derive(Deserialize)]
struct Retry {
    #[serde(default)]
    return_value: Value,
}

async fn retry(ctx: Context, Retry { return_value }: Retry) -> Result<Value, TaskError> {
    if return_value.is_truthy() {
        let attempts = &ctx.state::<Attempts>()?.0;
        if attempts.fetch_add(1, Ordering::Relaxed) >= 3 {
            attempts.store(0, Ordering::Relaxed);
            return Ok(return_value);
        }
    }
    Err(ctx.retry(expected(Vec::new())).countdown(Duration::from_secs(5)))
}

/// The keywords of the tasks that retry once.
#[derive(Deserialize)]
struct Once {
    #[serde(default)]
    expires: Option<f64>,
    #[serde(default = "once")]
    max_retries: u32,
    #[serde(default = "soon")]
    countdown: f64,
}

fn once() -> u32 {
    1
}

fn soon() -> f64 {
    0.1
}

/// The retry of a task that has not been retried yet.
fn again(ctx: &Context, call: Arguments) -> Result<Once, TaskError> {
    let once: Once = python::keywords(call.kwargs)?;
    if ctx.request().retries() > 0 {
        return Ok(once);
    }
    Err(ctx.retry_later().countdown(Duration::try_from_secs_f64(once.countdown)?).max_retries(once.max_retries))
}

async fn retry_once(ctx: Context, call: Arguments) -> Result<u32, TaskError> {
    let expires = python::keywords::<Once>(call.kwargs.clone())?.expires;
    #[allow(clippy::cast_possible_truncation, reason = "whole milliseconds are enough")]
    let moment = |seconds: f64| Timestamp::utc(Utc::now() + TimeDelta::milliseconds((seconds * 1000.0) as i64));
    again(&ctx, call).map_err(|retry| retry.expires(expires.map(moment)))?;
    Ok(ctx.request().retries())
}

async fn retry_once_priority(ctx: Context, call: Arguments) -> Result<i64, TaskError> {
    again(&ctx, call)?;
    Ok(ctx.request().priority())
}

async fn retry_once_headers(ctx: Context, call: Arguments) -> Result<Map, TaskError> {
    again(&ctx, call)?;
    Ok(ctx.request().custom_headers().clone())
}

async fn retry_at_once(ctx: Context, (): ()) -> Result<u32, TaskError> {
    match ctx.request().retries() {
        0 => Err(ctx.retry_later().countdown(Duration::ZERO)),
        retries => Ok(retries),
    }
}

#[derive(Deserialize)]
struct FooBarLabel {
    foo: i64,
    bar: i64,
    #[serde(default)]
    label: Value,
}

/// What the tasks tell that retry with other arguments. Nothing runs eagerly here.
#[derive(Serialize)]
struct Told {
    foo: i64,
    bar: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Value>,
    retries: u32,
    is_eager: bool,
}

async fn retry_with_args_after_kwargs(ctx: Context, FooBarLabel { foo, bar, label }: FooBarLabel) -> Result<Told, TaskError> {
    match ctx.request().retries() {
        0 => Err(ctx.retry_later().args([Value::from(foo + 1), Value::from(bar + 1)]).countdown(Duration::ZERO)),
        retries => Ok(Told { foo, bar, label: Some(label), retries, is_eager: false }),
    }
}

#[derive(Deserialize)]
struct FooBar {
    foo: i64,
    bar: i64,
}

async fn retry_with_kwargs_after_args(ctx: Context, FooBar { foo, bar }: FooBar) -> Result<Told, TaskError> {
    match ctx.request().retries() {
        0 => Err(ctx.retry_later().kwargs([("foo".to_owned(), Value::from(foo + 1))]).countdown(Duration::ZERO)),
        retries => Ok(Told { foo, bar, label: None, retries, is_eager: false }),
    }
}

#[derive(Deserialize)]
struct RetryUnpickleable {
    foo: Value,
    #[serde(rename = "bar")]
    _bar: Value,
    retry_kwargs: RetryKwargs,
}

#[derive(Deserialize)]
struct RetryKwargs {
    countdown: Option<f64>,
    max_retries: Option<u32>,
}

async fn retry_unpickleable(ctx: Context, RetryUnpickleable { foo, retry_kwargs, .. }: RetryUnpickleable) -> Result<(), TaskError> {
    let mut retry = ctx.retry(unpickleable(foo));
    if let Some(countdown) = retry_kwargs.countdown {
        retry = retry.countdown(Duration::try_from_secs_f64(countdown)?);
    }
    if let Some(limit) = retry_kwargs.max_retries {
        retry = retry.max_retries(limit);
    }
    Err(retry)
}

async fn auto_retry(ctx: Context, (): ()) -> Result<u32, TaskError> {
    match ctx.request().retries() {
        0 => Err(TaskError::builtin("ValueError", "")),
        retries => Ok(retries),
    }
}
