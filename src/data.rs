//! Redis for what a program keeps there beside its tasks: commands and scripts over a connection that comes back by itself.
//!
//! The server is that of the result backend, and keys bear the deployment's prefix, so that a program needs no URL, no TLS and no
//! reconnection of its own.
//!
//! # Celery
//! `app.backend.client` in a program's hands. Difference: none of the driver's types is shown.

use crate::backend;
use crate::config::Settings;
pub use crate::connection::Reply;
use crate::connection::{Link, Script, Server, command};
use crate::error::{Error, Result};

/// A connection to the result backend's Redis. Clones share it.
#[derive(Debug, Clone)]
pub struct Redis {
    link: Link,
    prefix: String,
}

impl Redis {
    /// The server of `result_backend`; `None` where results are kept in memory. Nothing is connected before the first command.
    pub fn open(settings: &Settings) -> Result<Option<Self>> {
        const SETTING: &str = "result_backend";
        let url = settings.result_backend.as_deref().ok_or_else(|| Error::config(format!("{SETTING} is not set")))?;
        if url.starts_with("memory:") {
            return Ok(None);
        }
        let asked = &settings.result_backend_transport_options;
        let options = backend::Options { global_keyprefix: asked.global_keyprefix.clone(), sentinel: asked.into() };
        let link = Link::new(&Server::parse_single(url, SETTING, &options.sentinel)?, None)?;
        Ok(Some(Self { link, prefix: options.key_prefix() }))
    }

    /// A connection of its own to the same server: for a command that waits, which would hold up the others.
    pub fn sibling(&self) -> Result<Self> {
        Ok(Self { link: self.link.sibling(None), prefix: self.prefix.clone() })
    }

    /// A key of this deployment.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sends one command. An answer has 8 seconds, a command that waits must wait for less.
    pub async fn command(&self, name: &'static str, arguments: &[&str]) -> Result<Reply> {
        self.link.query(name, &command(name, arguments)).await
    }

    /// Calls a script with these keys, which already are the deployment's own.
    pub async fn call(&self, script: &DataScript, keys: &[String], arguments: &[Vec<u8>]) -> Result<Reply> {
        self.link.call(script.name, &script.script.call(keys).arg(arguments)).await
    }
}

/// A Lua script with a name for error messages. It is loaded where the server does not know it.
#[derive(Debug)]
pub struct DataScript {
    name: &'static str,
    script: Script,
}

impl DataScript {
    /// From its text.
    pub fn new(name: &'static str, text: &str) -> Self {
        Self { name, script: Script::new(text) }
    }
}
