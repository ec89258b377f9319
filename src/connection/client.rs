//! The driver's description of a server: address, TLS, login, and how its TCP connection behaves.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError};

use super::url::{Address, Endpoint};
use crate::error::{Error, Result};

/// A client of one server; nothing is connected yet.
pub(super) fn client(server: &Endpoint, protocol: ProtocolVersion) -> Result<Client> {
    let wrong = |cause: RedisError| Error::config(format!("Redis: {cause}"));
    let address = match &server.address {
        Address::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
        Address::Tls(host, port, tls) => {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: tls.insecure, tls_params: None }
        }
        Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
    };
    let mut settings = RedisConnectionInfo::default().set_db(server.db).set_protocol(protocol);
    if let Some(name) = &server.username {
        settings = settings.set_username(name);
    }
    if let Some(word) = &server.password {
        settings = settings.set_password(word);
    }
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(Duration::from_secs(20));
    let info = address.into_connection_info().map_err(wrong)?.set_redis_settings(settings).set_tcp_settings(tcp);
    match &server.address {
        Address::Tls(_, _, tls) => tls.client(info),
        _ => Client::open(info).map_err(wrong),
    }
}
