//! The runtime's own failures: what went wrong, as the decision a caller can take about it.
//!
//! A task's failure is not here: it is an outcome and goes on the wire (see [`crate::TaskError`]).

use std::error::Error as StdError;

type Cause = Box<dyn StdError + Send + Sync>;

/// Why the runtime could not do what it was asked. The cause, if there is one, is the `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing, unknown or has a value that cannot be used.
    #[error("configuration: {message}")]
    Config {
        /// What is wrong, and what to write instead.
        message: String,
    },
    /// The broker or backend cannot be reached, or the connection broke; trying again later may help.
    #[error("connection: {context}")]
    Connection {
        /// What was being done.
        context: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
    /// The server answered, but refused (wrong type, memory limit, ACL); trying again at once does not help.
    #[error("server refused: {context}")]
    Refused {
        /// What was being done.
        context: String,
        /// The driver's error.
        #[source]
        source: Option<Cause>,
    },
    /// Bytes from outside do not mean what the protocol says they must.
    #[error("protocol: {message}")]
    Protocol {
        /// What is wrong with them.
        message: String,
    },
    /// Something is larger than it may be; nothing of it was sent or stored.
    #[error("too large: {message}")]
    TooLarge {
        /// What, how large, how large it may be, and what to do.
        message: String,
    },
    /// No task of this name is registered here.
    #[error("not registered: {name}")]
    NotRegistered {
        /// The task's name.
        name: String,
    },
    /// A deadline passed.
    #[error("timed out: {context}")]
    Timeout {
        /// What was being waited for.
        context: String,
    },
    /// The runtime is stopping and does not begin new work.
    #[error("shutting down")]
    Shutdown,
}

impl Error {
    /// A [`Error::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config { message: message.into() }
    }

    /// A [`Error::Protocol`].
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol { message: message.into() }
    }

    /// A [`Error::TooLarge`].
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::TooLarge { message: message.into() }
    }

    /// A [`Error::Connection`] with its cause.
    pub fn connection(context: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Connection { context: context.into(), source: Some(source.into()) }
    }

    /// A [`Error::Refused`] with its cause.
    pub fn refused(context: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Refused { context: context.into(), source: Some(source.into()) }
    }

    /// True when the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::Timeout { .. })
    }
}

/// A result of the runtime.
pub type Result<T, E = Error> = std::result::Result<T, E>;
