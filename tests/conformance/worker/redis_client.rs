//! The Redis that some tasks write to themselves, at `REDIS_HOST` and `REDIS_PORT`.
//!
//! # Celery
//! `get_redis_connection` of the suite.

use celeriac::protocol::{Exception, Value, repr, special};
use celeriac::task::{Context, TaskError};
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError};

/// The address; a connection is made by who needs one, as the suite does.
pub(crate) fn connect() -> Result<Client, RedisError> {
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    Client::open(format!("redis://{}:{}", variable("REDIS_HOST", "localhost"), variable("REDIS_PORT", "6379")))
}

/// A connection of the running task.
pub(crate) async fn connection(ctx: &Context) -> Result<MultiplexedConnection, TaskError> {
    Ok(ctx.state::<Client>()?.get_multiplexed_async_connection().await?)
}

/// RPUSHes a value to a list.
pub(crate) async fn push(ctx: &Context, key: &str, value: &Value) -> Result<(), TaskError> {
    let value = encoded(value)?;
    Ok(redis::cmd("RPUSH").arg(key).arg(value).exec_async(&mut connection(ctx).await?).await?)
}

/// INCRs a key.
pub(crate) async fn increment(ctx: &Context, key: &str) -> Result<(), TaskError> {
    Ok(redis::cmd("INCR").arg(key).exec_async(&mut connection(ctx).await?).await?)
}

/// As redis-py sends a value: bytes, texts and numbers, and nothing else.
fn encoded(value: &Value) -> Result<Vec<u8>, TaskError> {
    if let Some(bytes) = special::as_bytes(value) {
        return Ok(bytes?);
    }
    match value {
        Value::String(text) => Ok(text.clone().into_bytes()),
        Value::Int(_) | Value::BigInt(_) | Value::Float(_) => Ok(repr::value(value, repr::MAX_LENGTH).into_bytes()),
        other => {
            let message =
                format!("Invalid input of type: '{}'. Convert to a bytes, string, int or float first.", other.type_name());
            Err(TaskError::failure(Exception::new("redis.exceptions", "DataError", vec![message.into()])))
        }
    }
}
