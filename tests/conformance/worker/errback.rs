//! The group *errback*: what is called when a task has failed.
//!
//! # Celery
//! An errback of one argument is of the old style: a message with the failed task's id. One of more is of the new style: it is called in
//! the worker that saw the failure, with the failed request, its exception and traceback.

use celeriac::app::AppBuilder;
use celeriac::protocol::Value;
use celeriac::task::{Context, FailedCall, TaskError};
use serde::Deserialize;

use crate::{name, redis_client};

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("errback_old_style"), errback_old_style);
    app.task(&name("errback_old_style_with_args"), errback_old_style_with_args);
    app.errback(&name("errback_new_style"), errback_new_style);
    app.errback(&name("errback_new_style_with_args"), errback_new_style_with_args);
}

#[derive(Deserialize)]
struct OldStyle {
    request_id: String,
}

async fn errback_old_style(ctx: Context, OldStyle { request_id }: OldStyle) -> Result<String, TaskError> {
    redis_client::increment(&ctx, &request_id).await?;
    Ok(request_id)
}

#[derive(Deserialize)]
struct OldStyleWithArgs {
    request_id: String,
    label: Value,
}

async fn errback_old_style_with_args(ctx: Context, args: OldStyleWithArgs) -> Result<(), TaskError> {
    redis_client::push(&ctx, &args.request_id, &args.label).await
}

async fn errback_new_style(ctx: Context, failed: FailedCall, (): ()) -> Result<String, TaskError> {
    redis_client::increment(&ctx, failed.request.id()).await?;
    Ok(failed.request.id().to_owned())
}

#[derive(Deserialize)]
struct Label {
    label: Value,
}

async fn errback_new_style_with_args(ctx: Context, failed: FailedCall, Label { label }: Label) -> Result<(), TaskError> {
    redis_client::push(&ctx, failed.request.id(), &label).await
}
