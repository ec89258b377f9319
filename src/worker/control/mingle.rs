//! Mingling: a worker that starts, or that was cut off for a while, asks the others what was revoked and where their clocks are.
//!
//! # Celery
//! `worker/consumer/mingle.py`. Difference: the broker says how many heard the question, so that a worker that is alone waits for nobody,
//! and one that has all answers waits no longer; Celery's waits a second always.

use std::sync::Arc;
use std::time::Duration;

use crate::control::{CallOptions, Control};
use crate::protocol::value::{Map, Value};
use crate::revocations::texts;
use crate::worker::state::WorkerState;

/// How long the others have to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the other workers. Who asks listens to remote control already: nothing is said between the answers and its first word.
#[derive(Debug)]
pub(in crate::worker) struct Mingle {
    pub(in crate::worker) control: Control,
    /// Whether it takes over what others say is revoked: an answer bears no signature.
    pub(in crate::worker) believes: bool,
    pub(in crate::worker) nodename: String,
    pub(in crate::worker) state: Arc<WorkerState>,
}

impl Mingle {
    /// Asks, and learns from every answer; that nobody can be asked is no reason not to start.
    pub(in crate::worker) async fn sync(&self) {
        tracing::debug!("mingle: searching for neighbors");
        let revoked = self.state.revoked().ids();
        let arguments = [("from_node", Value::from(&self.nodename)), ("revoked", revoked.into())];
        let arguments = arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let options = CallOptions { timeout: PATIENCE, ..CallOptions::default() };
        match self.control.call("hello", arguments, &options).await {
            Ok(answers) => match self.learn(&answers) {
                0 => tracing::info!("mingle: all alone"),
                nodes => tracing::info!("mingle: sync with {nodes} nodes"),
            },
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "mingle: cannot ask the other workers"),
        }
    }

    /// Takes over what the others know; their clocks came with the replies. How many they are: our own answer is null.
    fn learn(&self, answers: &Map) -> usize {
        let others = answers.iter().filter(|(node, known)| **node != self.nodename && !known.is_null());
        let others = others.inspect(|(_, known)| {
            let clock = known.get("clock").and_then(Value::as_i64).and_then(|clock| u64::try_from(clock).ok());
            self.state.clock.adjust(clock.unwrap_or_default());
            if self.believes {
                self.state.revoked().add_unknown(known.get("revoked").map(listed_ids).unwrap_or_default());
            }
        });
        others.count()
    }
}

/// The ids that a `hello` says or is answered with: a list, or the map that older versions of Celery send.
pub(super) fn listed_ids(revoked: &Value) -> Vec<String> {
    match revoked {
        Value::Map(stamped) => stamped.keys().cloned().collect(),
        listed => texts(listed),
    }
}
