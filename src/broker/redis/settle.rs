//! One settlement as the values `settle.lua` takes, and its answer.

use redis::Value;

use super::Shared;
use super::dead::written;
use crate::broker::envelope::{self, Entry};
use crate::connection::results::{chord_key, encode_part, encode_write, results_script};
use crate::error::{Error, Result};
use crate::settlement::{Disposal, Location, Settled, Settlement, Write};

/// The script, with what it shares with the backend's.
pub(super) const SCRIPT: &str = results_script!("settle.lua");

/// One settlement, ready to be sent.
#[derive(Debug)]
pub(super) enum Encoded {
    /// An ack of this tag and nothing else, for `ack.lua`.
    Ack(String),
    /// For `settle.lua`.
    Whole(Whole),
}

impl Encoded {
    /// The size of its values.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Ack(tag) => tag.len(),
            Self::Whole(whole) => whole.bytes,
        }
    }
}

/// A settlement as `settle.lua` takes it.
#[derive(Debug)]
pub(super) struct Whole {
    /// The database its results lie in, if it has any.
    pub(super) database: Option<i64>,
    /// Its values, the number of them first.
    pub(super) values: Vec<Vec<u8>>,
    /// Their size.
    pub(super) bytes: usize,
}

impl Shared {
    /// Encodes a settlement; `None` if it requeues a message that is not ours any more.
    pub(super) async fn encode(&self, settlement: &Settlement, backend: Option<&Location>) -> Result<Option<Encoded>> {
        if let Some(tag) = settlement.plain_ack() {
            return Ok(Some(Encoded::Ack(tag.to_owned())));
        }
        let (how, place, text) = match (&settlement.tag, &settlement.disposal) {
            (Some(tag), Disposal::Requeue { raise_count }) => match self.requeued(tag, *raise_count).await? {
                Some((list, text)) => ("requeue", list, text),
                None => return Ok(None),
            },
            (_, Disposal::DeadLetter(dead)) => ("bury", dead.id.clone(), written(dead).into_bytes()),
            _ => Default::default(),
        };
        let mut values = vec![Vec::new(), settlement.tag.clone().unwrap_or_default().into_bytes()];
        let prefix = backend.map_or("", |backend| &backend.key_prefix);
        let (closes, writes): (Vec<_>, Vec<_>) =
            backend.map(|_| settlement.writes.iter().partition(|write| write.closes().is_some())).unwrap_or_default();
        push_count(&mut values, writes.len());
        writes.into_iter().for_each(|write| encode_write(&mut values, prefix, write));
        let part = settlement.chord_part.as_ref().filter(|_| backend.is_some());
        push_count(&mut values, usize::from(part.is_some()));
        part.into_iter().for_each(|part| encode_part(&mut values, prefix, part));
        push_count(&mut values, closes.len());
        for close in closes {
            if let Some((group_id, token)) = close.closes() {
                let how = if matches!(close, Write::ChordFail { .. }) { "fail" } else { "close" };
                values.extend([how.into(), chord_key(prefix, group_id).into_bytes(), token.into()]);
            }
        }
        push_count(&mut values, settlement.publish.len());
        for message in &settlement.publish {
            let list = self.keys.list(&message.queue, message.priority);
            values.extend([list.into_bytes(), message.envelope.clone().into_bytes()]);
        }
        values.extend([how.into(), place.into_bytes(), text]);
        push_count(&mut values, usize::from(settlement.key.is_some()));
        settlement.key.iter().for_each(|key| values.extend(self.encode_key(key)));
        values[0] = (values.len() - 1).to_string().into_bytes();
        let bytes = values.iter().map(Vec::len).sum();
        Ok(Some(Encoded::Whole(Whole { database: backend.map(|backend| backend.db), values, bytes })))
    }

    /// A leased message as it goes to the tail of its queue.
    async fn requeued(&self, tag: &str, raise_count: bool) -> Result<Option<(String, Vec<u8>)>> {
        let entry = self.entries(&[tag.to_owned()]).await?.into_iter().next().flatten();
        let entry = entry.as_deref().and_then(envelope::entry);
        Ok(entry.map(|Entry { envelope, routing_key, .. }| {
            let text = envelope::requeued(&envelope, raise_count);
            (self.keys.list(&routing_key, envelope::priority(&text)), text)
        }))
    }
}

fn push_count(values: &mut Vec<Vec<u8>>, count: usize) {
    values.push(count.to_string().into_bytes());
}

/// What the script answered for one settlement.
pub(super) fn settled(answer: &Value) -> Result<Settled> {
    match answer {
        Value::Int(0) => Ok(Settled::Lost),
        Value::Int(1) => Ok(Settled::Done),
        Value::Int(2) => Ok(Settled::ChordComplete),
        Value::Int(3) => Ok(Settled::ChordBusy),
        Value::BulkString(text) if text.starts_with(b"+") => {
            let lists = String::from_utf8_lossy(&text[1..]);
            tracing::error!(%lists, "a message was refused, because its queue is no queue: made a dead letter");
            Ok(Settled::Done)
        }
        Value::BulkString(text) => {
            let reason = String::from_utf8_lossy(text);
            Err(Error::Refused { context: format!("settling: {}", reason.trim_start_matches('!')), source: None })
        }
        other => Err(Error::protocol(format!("settle.lua answered {other:?}"))),
    }
}
