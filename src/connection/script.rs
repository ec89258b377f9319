//! A Lua script, sent by its hash and loaded where the server does not know it.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, ToRedisArgs, Value};

/// A script's text and hash.
#[derive(Debug)]
pub(crate) struct Script(redis::Script);

impl Script {
    pub(crate) fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }

    /// Begins a call with these keys.
    pub(crate) fn call<K: ToRedisArgs>(&self, keys: &[K]) -> Call<'_> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(keys.len()).arg(keys);
        Call { script: &self.0, command }
    }
}

/// One call, ready to be sent.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    script: &'a redis::Script,
    command: Cmd,
}

impl Call<'_> {
    pub(crate) fn arg<A: ToRedisArgs>(mut self, argument: A) -> Self {
        self.command.arg(argument);
        self
    }

    /// Sends it; a server that does not know the script did nothing yet, so it is loaded and called again.
    pub(super) async fn send(&self, connection: &mut MultiplexedConnection) -> Result<Value, RedisError> {
        match connection.send_packed_command(&self.command).await.and_then(Value::extract_error) {
            Err(cause) if cause.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(connection).await?;
                connection.send_packed_command(&self.command).await.and_then(Value::extract_error)
            }
            answer => answer,
        }
    }
}
