//! Chooses a backend by its URL.

use std::sync::Arc;

use super::Backend;
use super::memory::MemoryBackend;
use super::redis::RedisBackend;
pub use crate::connection::SentinelOptions;
use crate::connection::Server;
use crate::error::Result;

/// Settings of a backend (`result_backend_transport_options`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Put before every key and channel; an underscore is added unless it ends in one of `: _ - .`.
    pub global_keyprefix: String,
    /// For a `sentinel://` URL.
    pub sentinel: SentinelOptions,
}

impl Options {
    /// What really stands before each key.
    pub(crate) fn key_prefix(&self) -> String {
        match self.global_keyprefix.as_str() {
            "" => String::new(),
            prefix if prefix.ends_with([':', '_', '-', '.']) => prefix.to_owned(),
            prefix => format!("{prefix}_"),
        }
    }
}

/// The backend a URL names: `memory://` (a new, empty one; see [`crate::broker::memory::pair`]), `redis://`, `rediss://`,
/// `redis+socket://` or `sentinel://` (one, or several with `;` between them). Nothing is connected yet.
pub fn open(url: &str, options: Options) -> Result<Arc<dyn Backend>> {
    match url.split_once("://") {
        Some(("memory", _)) => Ok(Arc::new(MemoryBackend::new())),
        _ => Ok(Arc::new(RedisBackend::new(&Server::parse_single(url, "result_backend", &options.sentinel)?, &options)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prefix_gets_its_underscore_unless_it_ends_in_a_mark() {
        for (given, expected) in [("", ""), ("pfx", "pfx_"), ("pfx:", "pfx:"), ("a.", "a."), ("a-", "a-"), ("a_", "a_")] {
            assert_eq!(Options { global_keyprefix: given.to_owned(), ..Options::default() }.key_prefix(), expected);
        }
    }
}
