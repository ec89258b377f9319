//! What happens to all jobs, read once a process and handed to everybody in it who follows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use celeriac::data::{Redis, Reply};
use tokio::sync::{OnceCell, broadcast};
use tokio::task::JoinSet;

use super::super::event::{EventId, Told};
use super::super::failed;
use super::super::shelf::{FOLLOWER_LAG, Follower};
use crate::error::DocumentError;

/// How long one read waits; shorter than the time an answer may take.
const WAIT_MS: &str = "5000";
/// How many events one read takes.
const COUNT: &str = "500";
/// Between two tries to reach the server.
const PAUSE: Duration = Duration::from_millis(250);

/// The stream of all jobs' events.
#[derive(Debug)]
pub(super) struct News {
    server: Redis,
    sender: broadcast::Sender<Arc<Told>>,
    begun: OnceCell<()>,
    /// The reader; it ends with us.
    reader: Mutex<JoinSet<()>>,
}

impl News {
    /// Over a connection of its own, for reading waits.
    pub(super) fn new(server: Redis) -> Self {
        Self { server, sender: broadcast::Sender::new(FOLLOWER_LAG), begun: OnceCell::new(), reader: Mutex::default() }
    }

    pub(super) fn key(&self) -> String {
        self.server.key("celeriac:events")
    }

    /// Everything after this has answered.
    pub(super) async fn follow(&self) -> Result<Follower, DocumentError> {
        let follower = self.sender.subscribe();
        self.begun
            .get_or_try_init(|| async {
                let last = self.server.command("XREVRANGE", &[&self.key(), "+", "-", "COUNT", "1"]).await;
                let after = told(&last.map_err(|error| failed(&error))?).first().map(|told| told.id).unwrap_or_default();
                let (server, key, sender) = (self.server.clone(), self.key(), self.sender.clone());
                self.reader.lock().unwrap_or_else(PoisonError::into_inner).spawn(read(server, key, sender, after));
                Ok(())
            })
            .await?;
        Ok(follower)
    }
}

async fn read(server: Redis, key: String, sender: broadcast::Sender<Arc<Told>>, mut after: EventId) {
    loop {
        let found = server.command("XREAD", &["COUNT", COUNT, "BLOCK", WAIT_MS, "STREAMS", &key, &after.to_string()]).await;
        let Ok(found) = found else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        for news in streams(&found) {
            after = news.id;
            // Nobody listens: nobody is told.
            let _ = sender.send(Arc::new(news));
        }
    }
}

/// The entries of one stream: `[[id, [field, value]], …]`.
pub(super) fn told(reply: &Reply) -> Vec<Told> {
    let one = |entry: &Reply| {
        let [id, fields] = entry.list() else { return None };
        let (_, event) = fields.pairs().find(|(name, _)| *name == "e")?;
        Some(Told { id: id.text()?.parse().ok()?, event: serde_json::from_slice(event.bytes()?).ok()? })
    };
    reply.list().iter().filter_map(one).collect()
}

/// What XREAD gives: a stream's name before its entries, in a list of their own or not, as the protocol's version has it.
fn streams(reply: &Reply) -> Vec<Told> {
    match reply.list() {
        [Reply::Bytes(_), entries] => told(entries),
        [Reply::List(pair)] if pair.len() == 2 => told(&pair[1]),
        _ => Vec::new(),
    }
}
