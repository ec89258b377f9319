//! The group *callback*: tasks that leave a trace in Redis.

use celeriac::app::AppBuilder;
use celeriac::protocol::Value;
use celeriac::task::{Context, TaskError};
use serde::Deserialize;

use crate::{name, redis_client};

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("redis_echo"), redis_echo);
    app.task(&name("redis_count"), redis_count);
    app.task(&name("redis_echo_group_id"), redis_echo_group_id);
}

#[derive(Deserialize)]
struct RedisEcho {
    message: Value,
    #[serde(default = "echoes")]
    redis_key: String,
}

fn echoes() -> String {
    "redis-echo".to_owned()
}

async fn redis_echo(ctx: Context, RedisEcho { message, redis_key }: RedisEcho) -> Result<(), TaskError> {
    redis_client::push(&ctx, &redis_key, &message).await
}

#[derive(Deserialize)]
struct RedisCount {
    #[serde(default = "counts")]
    redis_key: String,
}

fn counts() -> String {
    "redis-count".to_owned()
}

async fn redis_count(ctx: Context, RedisCount { redis_key }: RedisCount) -> Result<(), TaskError> {
    redis_client::increment(&ctx, &redis_key).await
}

#[derive(Deserialize)]
struct RedisEchoGroupId {
    #[serde(rename = "_")]
    _previous: Value,
    #[serde(default = "group_ids")]
    redis_key: String,
}

fn group_ids() -> String {
    "redis-group-ids".to_owned()
}

async fn redis_echo_group_id(ctx: Context, RedisEchoGroupId { redis_key, .. }: RedisEchoGroupId) -> Result<(), TaskError> {
    let group = Value::from(ctx.request().group_id().map(str::to_owned));
    redis_client::push(&ctx, &redis_key, &group).await
}
