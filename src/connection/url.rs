//! Redis URLs, as kombu reads them.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::tls::TlsOptions;
use crate::error::{Error, Result};

/// What a URL says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(super) address: Address,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// The database.
    pub(crate) db: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Tls(String, u16, TlsOptions),
    Unix(PathBuf),
}

impl Server {
    /// Reads a URL; an error names `setting` and never shows the URL, which may hold a password.
    pub(crate) fn parse(url: &str, setting: &str) -> Result<Self> {
        let wrong = |what: &str| Error::config(format!("{setting}: {what}"));
        if url.contains(';') {
            return Err(wrong("a list of servers is not supported yet; name one"));
        }
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if matches!(scheme, "sentinel" | "sentinels") {
            return Err(wrong("Redis Sentinel is not supported yet; name the master by redis://host:port/db"));
        }
        let parsed = Url::parse(url).map_err(|cause| wrong(&format!("this is not a URL ({cause})")))?;
        let query = |name: &str| parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let decode = |text: &str| {
            percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| wrong("it holds bytes that are not UTF-8"))
        };
        let number = |text: &str| match text {
            "" => Ok(0),
            text => text.parse().map_err(|_| wrong(&format!("the database must be a number, not {text:?}"))),
        };
        let place = || -> Result<(String, u16)> {
            let host = decode(parsed.host_str().unwrap_or_default())?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Ok((if host.is_empty() { "localhost" } else { host }.to_owned(), parsed.port().unwrap_or(6379)))
        };
        let (address, db) = match scheme {
            "redis" | "rediss" => {
                let (host, port) = place()?;
                let db = number(&decode(parsed.path().trim_start_matches('/'))?)?;
                let secure = scheme == "rediss";
                (
                    if secure {
                        Address::Tls(host, port, TlsOptions::from_query(query, setting)?)
                    } else {
                        Address::Tcp(host, port)
                    },
                    db,
                )
            }
            "redis+socket" => (
                Address::Unix(decode(parsed.path())?.into()),
                number(query("virtual_host").unwrap_or_default().trim_start_matches('/'))?,
            ),
            _ => return Err(wrong("its scheme is none of memory, redis, rediss, redis+socket")),
        };
        let username = Some(decode(parsed.username())?).filter(|name| !name.is_empty());
        let password = parsed.password().map(decode).transpose()?.filter(|word| !word.is_empty());
        Ok(Self { address, username, password, db })
    }

    /// Host and port, or the socket.
    pub(super) fn place(&self) -> String {
        match &self.address {
            Address::Tcp(host, port) | Address::Tls(host, port, _) => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// The server as it may be shown: without its password.
    pub(crate) fn redacted(&self) -> String {
        let user = match (&self.username, &self.password) {
            (None, None) => String::new(),
            (name, None) => format!("{}@", name.as_deref().unwrap_or_default()),
            (name, Some(_)) => format!("{}:***@", name.as_deref().unwrap_or_default()),
        };
        match &self.address {
            Address::Tcp(host, port) => format!("redis://{user}{host}:{port}/{}", self.db),
            Address::Tls(host, port, _) => format!("rediss://{user}{host}:{port}/{}", self.db),
            Address::Unix(path) => format!("redis+socket://{user}{}?virtual_host={}", path.display(), self.db),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server::parse(url, "broker_url").unwrap()
    }

    fn refused(url: &str) -> String {
        Server::parse(url, "broker_url").unwrap_err().to_string()
    }

    #[test]
    fn a_url_is_read_as_kombu_reads_it() {
        let tcp = |host: &str, port| Address::Tcp(host.to_owned(), port);
        for (url, address, db) in [
            ("redis://", tcp("localhost", 6379), 0),
            ("redis://h", tcp("h", 6379), 0),
            ("redis://h/", tcp("h", 6379), 0),
            ("redis://h:1/15", tcp("h", 1), 15),
            ("redis://[::1]:2/3", tcp("::1", 2), 3),
            ("redis://h:1//2", tcp("h", 1), 2),
            ("redis+socket:///run/redis%20a.sock?virtual_host=4", Address::Unix("/run/redis a.sock".into()), 4),
            ("redis+socket:///run/redis.sock", Address::Unix("/run/redis.sock".into()), 0),
        ] {
            let server = server(url);
            assert_eq!((server.address, server.db), (address, db), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded_and_never_shown() {
        let server = server("redis://me%40x:s%2Fec%3Aret@h:1/2");
        assert_eq!((server.username.as_deref(), server.password.as_deref()), (Some("me@x"), Some("s/ec:ret")));
        assert_eq!(format!("{server:?}"), "redis://me@x:***@h:1/2");
        assert_eq!(super::Server::parse("redis://:pw@h", "x").unwrap().redacted(), "redis://:***@h:6379/0");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name_and_without_the_password() {
        for (url, part) in [
            ("redis://:hunter2@h/seven", "database must be a number"),
            ("sentinel://:hunter2@h:26379/0", "Sentinel"),
            ("redis://:hunter2@a;redis://:hunter2@b", "list of servers"),
            ("amqp://me:hunter2@h", "none of memory, redis"),
            ("hunter2", "not a URL"),
            ("rediss://:hunter2@h?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ] {
            let message = refused(url);
            assert!(message.contains(part) && message.contains("broker_url") && !message.contains("hunter2"), "{message}");
        }
    }
}
