//! The way to a server: which one the next connection is made to, and whether it is the one that takes writes.
//!
//! Where there is a choice, each is tried in turn, beginning with the one that led to the last connection, and only a master is taken: a
//! server that was one before a failover says so only when it is asked, and its clients would wait at it for ever.
//!
//! # Celery
//! kombu's `failover_strategy` `round-robin`, and redis-py's `SentinelManagedConnection`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, ErrorKind, ProtocolVersion, RedisError, ServerErrorKind};

use super::client::client;
use super::dial::{Dialed, Dialer};
use super::sentinel::{Watch, trouble};
use super::url::Endpoint;
use super::{Server, failure};
use crate::error::Result;

/// How long one server of several has to let us in and say what it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// All ways to one server.
pub(super) struct Route {
    ways: Vec<Way>,
    /// The one that led to the last connection.
    first: AtomicUsize,
}

struct Way {
    place: Arc<str>,
    client: Client,
    /// It is a sentinel's, who is asked for the server.
    watch: Option<Arc<Watch>>,
}

impl Route {
    /// Every client is made now, so that a certificate that cannot be read is told at once.
    pub(super) fn new(server: &Server) -> Result<Self> {
        let direct = |server: &Endpoint| Way::new(server, ProtocolVersion::RESP3, None);
        let ways = match server {
            Server::One(server) => vec![direct(server)?],
            Server::Several(servers) => servers.iter().map(direct).collect::<Result<_>>()?,
            Server::Master(watch) => {
                client(&watch.master, ProtocolVersion::RESP3)?;
                let shared = Arc::new(watch.clone());
                // Sentinels older than 6.2 know no HELLO.
                let asked = |sentinel| Way::new(sentinel, ProtocolVersion::RESP2, Some(Arc::clone(&shared)));
                watch.sentinels.iter().map(asked).collect::<Result<_>>()?
            }
        };
        Ok(Self { ways, first: AtomicUsize::new(0) })
    }

    /// A connection to the server as it is now.
    pub(super) async fn connect(&self, dialer: &Dialer) -> Result<Dialed, RedisError> {
        if let [Way { place, client, watch: None }] = &self.ways[..] {
            return dialer.dial(client, Arc::clone(place)).await;
        }
        let first = self.first.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for at in (first..first + self.ways.len()).map(|at| at % self.ways.len()) {
            let Some(way) = self.ways.get(at) else { continue };
            match way.connect(dialer).await {
                Ok(dialed) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(dialed);
                }
                Err(cause) => failures.push((&way.place, cause)),
            }
        }
        Err(sum(failures))
    }
}

impl Way {
    fn new(server: &Endpoint, protocol: ProtocolVersion, watch: Option<Arc<Watch>>) -> Result<Self> {
        Ok(Self { place: server.place().into(), client: client(server, protocol)?, watch })
    }

    async fn connect(&self, dialer: &Dialer) -> Result<Dialed, RedisError> {
        let client = match &self.watch {
            Some(watch) => watch.ask(&self.client).await?,
            None => self.client.clone(),
        };
        let place: Arc<str> = client.get_connection_info().addr().to_string().into();
        let arrive = async {
            let mut dialed = dialer.dial(&client, Arc::clone(&place)).await?;
            is_master(&mut dialed.connection).await?;
            Ok(dialed)
        };
        match tokio::time::timeout(PATIENCE, arrive).await {
            Ok(Err(cause)) if !failure::lasts(&cause) => Err(trouble(format!("{place}: {cause}"))),
            Ok(answer) => answer,
            Err(_) => Err(trouble(format!("{place}: no answer within {PATIENCE:?}"))),
        }
    }
}

/// Refuses a replica. A server that does not speak of itself to us is believed: its first refusal to write gives the connection up.
async fn is_master(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    match redis::cmd("INFO").arg("replication").query_async::<String>(connection).await {
        Ok(info) if info.lines().any(|line| line.trim() == "role:slave") => Err(trouble("it is a replica".to_owned())),
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// What is to be done about all these failures: nothing but waiting, unless each of them is there to stay.
fn sum(failures: Vec<(&Arc<str>, RedisError)>) -> RedisError {
    let told: Vec<String> = failures.iter().map(|(place, cause)| format!("{place}: {cause}")).collect();
    let lasting = failures.into_iter().map(|(_, cause)| cause).reduce(|one, other| if failure::lasts(&one) { other } else { one });
    match lasting {
        Some(cause) if failure::lasts(&cause) => cause,
        _ => trouble(told.join("; ")),
    }
}
