//! Where results go that are too large for the backend: a store keeps the value, the backend a reference to it (a claim check).
//!
//! # Celery
//! Has nothing of the kind: there a result is as large as Redis allows, 512 MiB. What a Python client finds in the place of such a value is
//! plain JSON: `{"$celeriac": {"ref": "file:///…", "bytes": 41943040, "sha256": "…"}}`, and under `ref` the value as JSON.

mod directory;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

pub use self::directory::DirectoryStore;
use crate::error::{Error, Result};
use crate::protocol::serializer::Serializer;
use crate::protocol::value::{Map, Value};

/// The only key of a reference.
const MARK: &str = "$celeriac";

/// Keeps large results. A name says what lies under it, for it is the hash of that: who writes it twice changes nothing.
#[async_trait]
pub trait ResultStore: Debug + Send + Sync {
    /// Keeps `data` under `name`, safely when this returns; its URL, for those who read it without us.
    async fn put(&self, name: &str, data: Vec<u8>) -> Result<String>;

    /// What is kept under `name`, or an error that says where it was looked for.
    async fn get(&self, name: &str) -> Result<Vec<u8>>;

    /// Removes what was not put for so long, and returns how much that was.
    async fn expire(&self, age: Duration) -> Result<usize>;
}

/// What is stored in the place of a large value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where the value lies.
    pub url: String,
    /// How large it is.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal. Nobody reads a value through a forged reference who does not know it already.
    pub sha256: String,
}

impl Reference {
    /// As it is stored.
    pub fn to_value(&self) -> Value {
        let bytes = Value::Int(i64::try_from(self.bytes).unwrap_or(i64::MAX));
        let members = [("ref", Value::from(&self.url)), ("bytes", bytes), ("sha256", Value::from(&self.sha256))];
        let members: Map = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::Map(Map::from_iter([(MARK.to_owned(), Value::Map(members))]))
    }

    /// The reference that a stored value is, if it is one.
    pub fn from_value(value: &Value) -> Option<Self> {
        let members = value.as_map().filter(|map| map.len() == 1)?.get(MARK)?;
        let sha256 = members.get("sha256")?.as_str()?;
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let bytes = members.get("bytes")?.as_i64()?.try_into().ok()?;
        Some(Self { url: members.get("ref")?.as_str()?.to_owned(), bytes, sha256: sha256.to_ascii_lowercase() })
    }

    fn name(&self) -> String {
        format!("{}.json", self.sha256)
    }
}

/// Writes and reads large values. Clones share the store.
#[derive(Debug, Clone)]
pub(crate) struct Spill(Arc<dyn ResultStore>);

impl Spill {
    pub(crate) fn new(store: Arc<dyn ResultStore>) -> Self {
        Self(store)
    }

    /// Keeps a value; what is stored in its place.
    pub(crate) async fn write(&self, value: &Value) -> Result<Value> {
        let data = Serializer::Json.write(value)?;
        let mut reference = Reference { url: String::new(), bytes: data.len() as u64, sha256: sha256(&data) };
        reference.url = self.0.put(&reference.name(), data).await?;
        Ok(reference.to_value())
    }

    /// The value itself, whether it is stored or a reference to it.
    pub(crate) async fn read(&self, stored: Value) -> Result<Value> {
        let Some(reference) = Reference::from_value(&stored) else { return Ok(stored) };
        let data = self.0.get(&reference.name()).await?;
        if sha256(&data) != reference.sha256 {
            return Err(Error::protocol(format!("what lies at {} is not what was put there: it has another hash", reference.url)));
        }
        Serializer::Json.read(&data)
    }

    /// Removes what was not put for so long.
    pub(crate) async fn expire(&self, age: Duration) -> Result<usize> {
        self.0.expire(age).await
    }
}

/// The value itself, where there may be no store: a reference is an error then, which says what to do.
pub(crate) async fn resolve(spill: Option<&Spill>, stored: Value) -> Result<Value> {
    match (spill, Reference::from_value(&stored)) {
        (Some(spill), Some(_)) => spill.read(stored).await,
        (None, Some(Reference { url, bytes, .. })) => {
            let advice = "set celeriac.result_store to that directory";
            Err(Error::config(format!("the result has {bytes} bytes and lies at {url}: {advice}")))
        }
        (_, None) => Ok(stored),
    }
}

/// How old a large result is that has expired: it is kept an hour longer than what refers to it, which may have been stored later.
pub(crate) fn age(expires: u64) -> Duration {
    Duration::from_secs(expires.saturating_add(3600))
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_written_and_nothing_else_is_one() {
        let reference = Reference { url: "file:///r/x.json".to_owned(), bytes: 7, sha256: "0".repeat(64) };
        let stored = reference.to_value();
        assert_eq!(
            crate::protocol::json::write(&stored),
            format!(r#"{{"$celeriac": {{"ref": "file:///r/x.json", "bytes": 7, "sha256": "{}"}}}}"#, "0".repeat(64))
        );
        assert_eq!(Reference::from_value(&stored), Some(reference));
        let path = r#"{"$celeriac": {"ref": "file:///etc/passwd", "bytes": 7, "sha256": "../../../etc/passwd"}}"#;
        let more = format!(r#"{{"a": 1, "$celeriac": {{"ref": "x", "bytes": 7, "sha256": "{}"}}}}"#, "0".repeat(64));
        for text in ["1", "{}", r#"{"$celeriac": 5}"#, path, &more] {
            let value = crate::protocol::json::parse(text.as_bytes()).unwrap();
            assert_eq!(Reference::from_value(&value), None, "{text}");
        }
    }
}
