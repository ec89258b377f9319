//! Unique keys: taken here, freed by `settle.lua`.
//!
//! # Celery
//! Has no such thing.

use redis::Value;

use super::Shared;
use crate::broker::{KeyTaken, UniqueKey};
use crate::error::{Error, Result};
use crate::settlement::{HeldKey, KeyFate};

impl Shared {
    pub(super) async fn take_key(&self, tag: &str, key: &UniqueKey<'_>) -> Result<KeyTaken> {
        let keys = [&self.keys.unacked, &self.keys.unacked_index, &self.keys.unique(key.name)];
        let lasts = u64::try_from(key.lasts.as_millis()).unwrap_or(u64::MAX);
        let call = self.scripts.unique.call(&keys).arg(tag).arg(key.holder).arg(lasts).arg(key.lease.as_secs_f64());
        let call = call.arg(key.revoked.unwrap_or_default());
        match self.link.call("taking a unique key", &call).await? {
            Value::Int(1) => Ok(KeyTaken::Ours),
            Value::Int(2) => Ok(KeyTaken::Copy),
            Value::Int(_) => Ok(KeyTaken::Lost),
            Value::BulkString(id) => Ok(KeyTaken::Held(String::from_utf8_lossy(&id).into_owned())),
            other => Err(Error::protocol(format!("unique.lua answered {other:?}"))),
        }
    }

    /// The values `settle.lua` takes for a key.
    pub(super) fn encode_key(&self, key: &HeldKey) -> [Vec<u8>; 4] {
        let fate = match key.fate {
            KeyFate::Run => "run",
            KeyFate::Keep => "keep",
            KeyFate::Free => "free",
        };
        [self.keys.unique(&key.name), key.holder.clone(), key.tag.clone(), fate.to_owned()].map(String::into_bytes)
    }
}
