//! Redis URLs, as kombu reads them.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::tls::TlsOptions;
use crate::error::{Error, Result};

/// What one URL says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(super) address: Address,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// The database.
    pub(super) db: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Tls(String, u16, TlsOptions),
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads a URL; an error names `setting` and never shows the URL, which may hold a password.
    pub(super) fn parse(url: &str, setting: &str) -> Result<Self> {
        let wrong = |what: &str| Error::config(format!("{setting}: {what}"));
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        refused(scheme, url).map_or(Ok(()), |why| Err(wrong(why)))?;
        let parsed = Url::parse(url).map_err(|cause| wrong(&format!("this is not a URL ({cause})")))?;
        let query = |name: &str| parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let decode = |text: &str| {
            percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| wrong("it holds bytes that are not UTF-8"))
        };
        let number = |text: &str| match text {
            "" => Ok(0),
            text => text.parse().map_err(|_| wrong(&format!("the database must be a number, not {text:?}"))),
        };
        let (port, secure) = match scheme {
            "redis" => (6379, false),
            "rediss" => (6379, true),
            "sentinel" => (26379, parsed.query_pairs().any(|(key, _)| key.starts_with("ssl_"))),
            "redis+socket" => (0, false),
            _ => return Err(wrong("its scheme is none of memory, redis, rediss, redis+socket, sentinel")),
        };
        let (address, db) = if scheme == "redis+socket" {
            (Address::Unix(decode(parsed.path())?.into()), query("virtual_host").unwrap_or_default())
        } else {
            let host = decode(parsed.host_str().unwrap_or_default())?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = if host.is_empty() { "localhost" } else { host }.to_owned();
            let port = parsed.port().unwrap_or(port);
            let tls = secure.then(|| TlsOptions::from_query(query, setting)).transpose()?;
            (Address::tcp(host, port, tls), decode(parsed.path())?)
        };
        let db = number(db.trim_start_matches('/'))?;
        let username = Some(decode(parsed.username())?).filter(|name| !name.is_empty());
        let password = parsed.password().map(decode).transpose()?.filter(|word| !word.is_empty());
        Ok(Self { address, username, password, db })
    }

    /// The same at another place.
    pub(super) fn at(&self, host: String, port: u16) -> Self {
        let tls = match &self.address {
            Address::Tls(_, _, tls) => Some(tls.clone()),
            Address::Tcp(..) | Address::Unix(_) => None,
        };
        Self { address: Address::tcp(host, port, tls), ..self.clone() }
    }

    /// The same with this TLS, or none.
    pub(super) fn with_tls(&self, tls: Option<TlsOptions>) -> Self {
        let address = match self.address.clone() {
            Address::Tcp(host, port) | Address::Tls(host, port, _) => Address::tcp(host, port, tls),
            socket @ Address::Unix(_) => socket,
        };
        Self { address, ..self.clone() }
    }

    /// Host and port, or the socket.
    pub(super) fn place(&self) -> String {
        match &self.address {
            Address::Tcp(host, port) | Address::Tls(host, port, _) => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// The URL as it may be shown: without its password.
    pub(super) fn redacted(&self) -> String {
        let user = self.login();
        match &self.address {
            Address::Tcp(host, port) => format!("redis://{user}{host}:{port}/{}", self.db),
            Address::Tls(host, port, _) => format!("rediss://{user}{host}:{port}/{}", self.db),
            Address::Unix(path) => format!("redis+socket://{user}{}?virtual_host={}", path.display(), self.db),
        }
    }

    /// The login as it may be shown, with its `@`.
    pub(super) fn login(&self) -> String {
        match (&self.username, &self.password) {
            (None, None) => String::new(),
            (name, None) => format!("{}@", name.as_deref().unwrap_or_default()),
            (name, Some(_)) => format!("{}:***@", name.as_deref().unwrap_or_default()),
        }
    }
}

impl Address {
    fn tcp(host: String, port: u16, tls: Option<TlsOptions>) -> Self {
        match tls {
            Some(tls) => Self::Tls(host, port, tls),
            None => Self::Tcp(host, port),
        }
    }
}

/// Why a form of URL that other programs have is none here.
fn refused(scheme: &str, url: &str) -> Option<&'static str> {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if scheme.contains("cluster") {
        Some(
            "Redis Cluster is not supported: a queue, its leases and its results would lie on different nodes and could not change in \
             one step; name one server by redis://, or its sentinels by sentinel://",
        )
    } else if scheme != "sentinel" && scheme.contains("sentinel") {
        Some("sentinels are named by sentinel://; ?ssl_cert_reqs=required behind it asks for TLS to the master")
    } else if hosts.contains(',') {
        Some("it names several hosts; write each as a URL of its own, with `;` between them")
    } else {
        None
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::parse(url, "broker_url").unwrap()
    }

    fn refusal(url: &str) -> String {
        Endpoint::parse(url, "broker_url").unwrap_err().to_string()
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
            ("sentinel://h", tcp("h", 26379), 0),
            ("sentinel://h:1/2", tcp("h", 1), 2),
            ("redis+socket:///run/redis%20a.sock?virtual_host=4", Address::Unix("/run/redis a.sock".into()), 4),
            ("redis+socket:///run/redis.sock", Address::Unix("/run/redis.sock".into()), 0),
        ] {
            let read = endpoint(url);
            assert_eq!((read.address, read.db), (address, db), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded_and_never_shown() {
        let read = endpoint("redis://me%40x:s%2Fec%3Aret@h:1/2");
        assert_eq!((read.username.as_deref(), read.password.as_deref()), (Some("me@x"), Some("s/ec:ret")));
        assert_eq!(format!("{read:?}"), "redis://me@x:***@h:1/2");
        assert_eq!(endpoint("redis://:pw@h").redacted(), "redis://:***@h:6379/0");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name_and_without_the_password() {
        for (url, part) in [
            ("redis://:hunter2@h/seven", "database must be a number"),
            ("sentinels://:hunter2@h:26379/0", "named by sentinel://"),
            ("redis+sentinel://:hunter2@h:26379/0", "named by sentinel://"),
            ("rediscluster://:hunter2@a:1,b:2", "Redis Cluster is not supported"),
            ("redis+cluster://:hunter2@a", "Redis Cluster is not supported"),
            ("redis://:hunter2@a:1,b:2/0", "a URL of its own"),
            ("amqp://me:hunter2@h", "none of memory, redis"),
            ("hunter2", "not a URL"),
            ("rediss://:hunter2@h?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ] {
            let message = refusal(url);
            assert!(message.contains(part) && message.contains("broker_url") && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn options_of_tls_at_a_sentinel_are_the_masters() {
        let read = endpoint("sentinel://:pw@h:1/2?ssl_cert_reqs=none").at("::1".to_owned(), 7);
        assert!(matches!(&read.address, Address::Tls(host, 7, tls) if host == "::1" && tls.insecure), "{read:?}");
        assert_eq!((read.password.as_deref(), read.db), (Some("pw"), 2));
    }
}
