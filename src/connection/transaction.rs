//! A pipeline's answer, and of a refused transaction why it was refused.
//!
//! The driver reads only what EXEC answers, and of that only whether it is a list.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, Value};

/// Sends a pipeline, as a transaction if it was made so.
pub(super) async fn send<T: FromRedisValue>(pipeline: &Pipeline, connection: MultiplexedConnection) -> Result<T, RedisError> {
    pipeline.query_async(&mut Whole(connection)).await
}

/// A connection that looks at every answer of a transaction.
struct Whole(MultiplexedConnection);

impl ConnectionLike for Whole {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut answers = self.0.req_packed_commands(pipeline, 0, offset + count).await?;
            let refused = answers.iter().find(|answer| offset > 0 && matches!(answer, Value::ServerError(_)));
            refused.cloned().map(Value::extract_error).transpose()?;
            Ok(answers.split_off(offset.min(answers.len())))
        })
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
