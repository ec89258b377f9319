//! Opens the broker and backend that the settings name.

use std::sync::Arc;

use crate::backend::{self, Backend};
use crate::broker::{self, Broker, memory};
use crate::config::{FanoutPrefix, Settings};
use crate::error::{Error, Result};
use crate::spill::{DirectoryStore, Spill};

/// Both, by their URLs. Nothing is connected yet.
pub(super) fn open(settings: &Settings) -> Result<(Arc<dyn Broker>, Arc<dyn Backend>)> {
    let broker_url = settings.broker_url.as_deref().ok_or_else(|| Error::config("broker_url is not set"))?;
    let backend_url = settings.result_backend.as_deref();
    let backend_url =
        backend_url.ok_or_else(|| Error::config("result_backend is not set: the worker keeps states and counts chords there"))?;
    if broker_url.starts_with("memory:") && backend_url.starts_with("memory:") {
        let (broker, backend) = memory::pair();
        return Ok((Arc::new(broker), Arc::new(backend)));
    }
    Ok((broker::open(broker_url, broker_options(settings))?, backend::open(backend_url, backend_options(settings))?))
}

/// Where large results are kept, as the settings say.
pub(super) fn result_store(settings: &Settings) -> Result<Option<Spill>> {
    let settings = &settings.celeriac;
    match &settings.result_store {
        Some(place) => Ok(Some(Spill::new(Arc::new(DirectoryStore::open(place)?)))),
        None if settings.large_results == "spill" => {
            Err(Error::config("celeriac.large_results is \"spill\", but celeriac.result_store names no directory"))
        }
        None => Ok(None),
    }
}

fn broker_options(settings: &Settings) -> broker::Options {
    let asked = &settings.broker_transport_options;
    broker::Options {
        priority_steps: asked.priority_steps.clone(),
        sep: asked.sep.clone(),
        global_keyprefix: asked.global_keyprefix.clone(),
        unacked_key: asked.unacked_key.clone(),
        unacked_index_key: asked.unacked_index_key.clone(),
        fanout_prefix: match &asked.fanout_prefix {
            FanoutPrefix::Enabled(true) => broker::Options::default().fanout_prefix,
            FanoutPrefix::Enabled(false) => String::new(),
            FanoutPrefix::Text(prefix) => prefix.clone(),
        },
        fanout_patterns: asked.fanout_patterns,
        queue_order_strategy: asked.queue_order_strategy,
        queue_weights: settings.celeriac.queue_weights.clone(),
        priority_ageing: settings.celeriac.priority_ageing.duration(),
        sentinel: asked.into(),
    }
}

fn backend_options(settings: &Settings) -> backend::Options {
    let asked = &settings.result_backend_transport_options;
    backend::Options { global_keyprefix: asked.global_keyprefix.clone(), sentinel: asked.into() }
}
