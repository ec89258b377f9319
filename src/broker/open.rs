//! Chooses a broker by its URL.

use std::sync::Arc;

use super::memory::MemoryBroker;
use super::redis::RedisBroker;
use super::{Broker, Options};
use crate::connection::Server;
use crate::error::Result;

/// The broker a URL names: `memory://` (a new, empty one), `redis://`, `rediss://`, `redis+socket://` or `sentinel://`, or a list
/// of one kind with `;` between them. Nothing is connected yet.
pub fn open(url: &str, options: Options) -> Result<Arc<dyn Broker>> {
    match url.split_once("://") {
        Some(("memory", _)) => Ok(Arc::new(MemoryBroker::new(options))),
        _ => Ok(Arc::new(RedisBroker::new(&Server::parse(url, "broker_url", &options.sentinel)?, options)?)),
    }
}
