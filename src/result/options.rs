//! How a task's state becomes what lies in the backend, and what is read there.
//!
//! # Celery
//! `backends/base.py: encode` and `decode`.

use std::time::Duration;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::protocol::compression::Compression;
use crate::protocol::meta::{self, Meta, ResultTuple, group_key, meta_key};
use crate::protocol::serializer::Serializer;
use crate::protocol::state::State;
use crate::settlement::Write;

/// No stored meta is larger than this once it is unpacked.
const MAX_META: usize = 256 << 20;

/// How states are written.
#[derive(Debug, Clone, Default)]
pub struct ResultOptions {
    /// `result_serializer`.
    pub serializer: Serializer,
    /// `result_compression`.
    pub compression: Option<Compression>,
    /// Seconds a result is kept; `None`: for ever.
    pub expires: Option<u64>,
    /// Seconds a failure is kept.
    pub failure_expires: Option<u64>,
    /// How many bytes a value or an exception may have in it; `None`: any number.
    pub max_bytes: Option<usize>,
}

/// So many bytes more a meta may have than its value: who sent it, what followed it.
const BESIDE: usize = 1 << 20;

impl ResultOptions {
    /// The write that stores a state.
    pub fn state(&self, meta: &Meta) -> Result<Write> {
        let ttl = if meta.status == State::Failure { self.failure_expires } else { self.expires };
        let value = self.encode(meta)?;
        if let Some(most) = self.max_bytes.filter(|most| value.len() > most.saturating_add(BESIDE)) {
            let (id, bytes) = (&meta.task_id, value.len());
            let message = format!("the state of {id} has {bytes} bytes; at most {most} are stored (celeriac.max_result_bytes)");
            return Err(Error::too_large(message));
        }
        Ok(Write::State { key: meta_key(&meta.task_id), value, ttl })
    }

    /// A meta as it is stored.
    pub fn encode(&self, meta: &Meta) -> Result<Vec<u8>> {
        meta.encode(self.serializer, self.compression)
    }

    /// A stored meta.
    pub fn decode(&self, data: &[u8]) -> Result<Meta> {
        Meta::decode(data, self.serializer, MAX_META)
    }

    /// The write that keeps a group's structure.
    pub fn group(&self, group: &ResultTuple) -> Result<Write> {
        let value = meta::encode_stored(&meta::group_meta(group), self.serializer, self.compression)?;
        Ok(Write::State { key: group_key(&group.id), value, ttl: self.expires })
    }

    /// A stored structure of a group.
    pub fn decode_group(&self, data: &[u8]) -> Result<ResultTuple> {
        let value = meta::decode_stored(data, self.serializer, MAX_META)?;
        meta::read_group_meta(&value).ok_or_else(|| Error::protocol("a saved group is [[id, parent], [results]]"))
    }

    /// The state of a task now; `None`: nothing is known of it (`PENDING`).
    pub async fn get(&self, backend: &dyn Backend, task_id: &str) -> Result<Option<Meta>> {
        let stored = backend.get(&[meta_key(task_id)]).await?.pop().flatten();
        stored.map(|data| self.decode(&data)).transpose()
    }

    /// Waits until a task has ended.
    pub async fn wait(&self, backend: &dyn Backend, task_id: &str, timeout: Duration) -> Result<Meta> {
        let options = self.clone();
        // What cannot be read is an answer, too: it will not become readable by waiting.
        let ended = move |data: &[u8]| options.decode(data).map_or(true, |meta| meta.status.is_ready());
        let data = backend.wait(&meta_key(task_id), timeout, &ended).await?;
        self.decode(&data).map_err(|error| Error::protocol(format!("the result of {task_id}: {error}")))
    }
}
