//! Asking sentinels who the master is.
//!
//! # Celery
//! redis-py's `Sentinel.discover_master`. Differences: `SENTINEL GET-MASTER-ADDR-BY-NAME`, which names a promoted replica some time before
//! `SENTINEL MASTERS` does; and whom a sentinel names must say himself that he is a master (see [`super::route`]).

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, RedisError};

use super::client::client;
use super::server::SentinelOptions;
use super::tls::TlsOptions;
use super::url::Endpoint;
use crate::config::SentinelKwargs;
use crate::error::{Error, Result};

/// How long one sentinel has to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A master by its name, and who watches it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(super) master_name: String,
    /// How the master is spoken to, wherever it is.
    pub(super) master: Endpoint,
    /// Where the sentinels are and how they are spoken to.
    pub(super) sentinels: Vec<Endpoint>,
    min_other_sentinels: u32,
    patience: Duration,
}

impl Watch {
    /// As the URLs of the sentinels say, the first of which also has the master's login, and the options beside them.
    pub(super) fn new(master: &Endpoint, urls: &[Endpoint], options: &SentinelOptions, setting: &str) -> Result<Self> {
        let table = if setting == "result_backend" { "result_backend_transport_options" } else { "broker_transport_options" };
        let Some(master_name) = options.master_name.clone().filter(|name| !name.is_empty()) else {
            return Err(Error::config(format!(
                "{setting}: sentinels watch masters by name; write [{table}] master_name = \"mymaster\" (the name in `sentinel monitor`)"
            )));
        };
        let kwargs = &options.kwargs;
        let tls = tls(kwargs, &format!("{table}.sentinel_kwargs"))?;
        let sentinel = |url: &Endpoint| Endpoint {
            username: kwargs.username.clone(),
            password: kwargs.password.clone(),
            db: 0,
            ..url.with_tls(tls.clone())
        };
        let (master, sentinels) = (master.clone(), urls.iter().map(sentinel).collect());
        let patience = kwargs.socket_timeout.and_then(|timeout| timeout.limit()).unwrap_or(PATIENCE);
        Ok(Self { master_name, master, sentinels, min_other_sentinels: options.min_other_sentinels, patience })
    }

    /// Where the master is, as one sentinel says.
    pub(super) async fn ask(&self, sentinel: &Client) -> Result<Client, RedisError> {
        let asked = tokio::time::timeout(self.patience, self.address(sentinel)).await;
        let (host, port) = asked.map_err(|_| trouble(format!("no answer within {:?}", self.patience)))??;
        client(&self.master.at(host, port), ProtocolVersion::RESP3).map_err(|cause| trouble(cause.to_string()))
    }

    async fn address(&self, sentinel: &Client) -> Result<(String, u16), RedisError> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = sentinel.get_multiplexed_async_connection_with_config(&config).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master_name);
        let address: Option<(String, u16)> = ask.query_async(&mut connection).await?;
        let unknown = || trouble(format!("it watches no master of the name {:?}", self.master_name));
        let address = address.ok_or_else(unknown)?;
        self.is_to_be_believed(&mut connection).await?;
        Ok(address)
    }

    /// A sentinel that knows too few others may be cut off from them.
    async fn is_to_be_believed(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        if self.min_other_sentinels == 0 {
            return Ok(());
        }
        let state: HashMap<String, String> =
            redis::cmd("SENTINEL").arg("MASTER").arg(&self.master_name).query_async(connection).await?;
        let others = state.get("num-other-sentinels").and_then(|others| others.parse::<u32>().ok()).unwrap_or(0);
        if others < self.min_other_sentinels {
            let least = self.min_other_sentinels;
            return Err(trouble(format!("it knows {others} other sentinels, min_other_sentinels asks for {least}")));
        }
        Ok(())
    }

    /// The URLs as they may be shown, with the name of the master.
    pub(super) fn redacted(&self) -> String {
        let (login, db) = (self.master.login(), self.master.db);
        let mut places = self.sentinels.iter().map(Endpoint::place);
        let first = format!("sentinel://{login}{}/{db}", places.next().unwrap_or_default());
        let all = places.fold(first, |shown, place| format!("{shown};sentinel://{place}"));
        format!("{all} ({})", self.master_name)
    }
}

/// The TLS of the connections to the sentinels themselves.
fn tls(kwargs: &SentinelKwargs, setting: &str) -> Result<Option<TlsOptions>> {
    let option = |name: &str| match name {
        "ssl_cert_reqs" => kwargs.ssl_cert_reqs.clone(),
        "ssl_ca_certs" => kwargs.ssl_ca_certs.clone(),
        "ssl_certfile" => kwargs.ssl_certfile.clone(),
        "ssl_keyfile" => kwargs.ssl_keyfile.clone(),
        _ => None,
    };
    kwargs.ssl.then(|| TlsOptions::from_query(option, setting)).transpose()
}

/// A failure that may have passed at the next try.
pub(super) fn trouble(why: String) -> RedisError {
    io::Error::other(why).into()
}
