//! Large results are responsible for what a value may come to in the backend: one that is larger is kept in a store and a reference in its
//! place, or the task has failed.
//!
//! # Celery
//! Has no such limit: Redis refuses what has more than 512 MiB, and cuts off who waits for more than 32.

use crate::app::App;
use crate::canvas::limits;
use crate::protocol::Exception;
use crate::protocol::compression::Compression;
use crate::protocol::meta::{ChordEntry, encode_stored};
use crate::protocol::serializer::Serializer;
use crate::protocol::value::Value;
use crate::result::ResultOptions;
use crate::spill::Spill;
use crate::task::outcome::{Failure, Outcome};

/// What a character of a text takes as JSON at most, in bytes: `\u0000`.
const ESCAPED: u64 = 6;

/// What becomes of them.
#[derive(Debug)]
pub(super) struct LargeResults {
    most: usize,
    serializer: Serializer,
    compression: Option<Compression>,
    /// Where they are kept, if they are.
    spill: Option<Spill>,
    /// Where those of others are read.
    read: Option<Spill>,
}

impl LargeResults {
    pub(super) fn new(app: &App) -> Self {
        let ResultOptions { serializer, compression, .. } = app.result_options();
        let settings = &app.settings().celeriac;
        let read = app.spill().cloned();
        let spill = read.clone().filter(|_| settings.large_results == "spill");
        Self { most: settings.max_result_bytes, serializer, compression, spill, read }
    }

    /// The outcome as it can be stored, and what is stored in the place of its value.
    pub(super) async fn bound(&self, outcome: Outcome) -> (Outcome, Option<Value>) {
        let Outcome::Success(value) = &outcome else { return (outcome, None) };
        let Some(bytes) = self.excess(value) else { return (outcome, None) };
        let most = self.most;
        let failed = |why: String| {
            let message = format!("a result of {bytes} bytes; at most {most} are stored (celeriac.max_result_bytes): {why}");
            (Outcome::Failure(Failure::new(Exception::too_large(message))), None)
        };
        let Some(spill) = &self.spill else {
            return failed("return a reference to the data, or set celeriac.large_results = \"spill\"".to_owned());
        };
        match spill.write(value).await {
            Ok(reference) => (outcome, Some(reference)),
            Err(error) => failed(format!("it could not be put into celeriac.result_store: {error}")),
        }
    }

    /// How large a value is, if it is too large.
    fn excess(&self, value: &Value) -> Option<usize> {
        if limits::size(value).saturating_mul(ESCAPED) <= self.most as u64 {
            return None;
        }
        // What cannot be written at all fails when it is stored.
        let bytes = encode_stored(value, self.serializer, self.compression).ok()?.len();
        (bytes > self.most).then_some(bytes)
    }

    /// The value that was stored, or to which a reference was.
    pub(super) async fn value(&self, stored: Value) -> crate::error::Result<Value> {
        match &self.read {
            Some(spill) => spill.read(stored).await,
            None => Ok(stored),
        }
    }

    /// The parts of a chord with their values. Without a store a body gets references, as from a Python worker.
    pub(super) async fn parts(&self, mut entries: Vec<ChordEntry>) -> crate::error::Result<Vec<ChordEntry>> {
        for entry in &mut entries {
            entry.result = self.value(std::mem::take(&mut entry.result)).await?;
        }
        Ok(entries)
    }
}
