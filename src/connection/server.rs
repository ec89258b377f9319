//! What a whole URL names: one server, several that are tried in turn, or the master that sentinels watch.
//!
//! # Celery
//! kombu's `Connection` takes `a;b` as alternates and a transport of its own for `sentinel://`; the login and the database of a sentinel's
//! URL are the master's there too. Differences: what kombu would pass over in silence (a database or a login that only a later URL of a
//! list names) is refused.

use std::fmt;

use super::sentinel::Watch;
use super::url::Endpoint;
use crate::config::{BrokerTransportOptions, ResultTransportOptions, SentinelKwargs};
use crate::error::{Error, Result};

/// Where a link leads.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// Always there.
    One(Endpoint),
    /// To the first that can be reached and is a master.
    Several(Vec<Endpoint>),
    /// To whom the sentinels name.
    Master(Watch),
}

/// What a `sentinel://` URL does not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SentinelOptions {
    /// The name of the master that the sentinels watch.
    pub master_name: Option<String>,
    /// How many other sentinels a sentinel must know to be believed.
    pub min_other_sentinels: u32,
    /// How the sentinels are spoken to.
    pub kwargs: SentinelKwargs,
}

impl From<&BrokerTransportOptions> for SentinelOptions {
    fn from(asked: &BrokerTransportOptions) -> Self {
        let (master_name, kwargs) = (asked.master_name.clone(), asked.sentinel_kwargs.clone().unwrap_or_default());
        Self { master_name, min_other_sentinels: asked.min_other_sentinels, kwargs }
    }
}

impl From<&ResultTransportOptions> for SentinelOptions {
    fn from(asked: &ResultTransportOptions) -> Self {
        let (master_name, kwargs) = (asked.master_name.clone(), asked.sentinel_kwargs.clone().unwrap_or_default());
        Self { master_name, min_other_sentinels: asked.min_other_sentinels, kwargs }
    }
}

impl Server {
    /// Reads a URL, or several with `;` between them; an error names `setting` and never shows a password.
    pub(crate) fn parse(url: &str, setting: &str, options: &SentinelOptions) -> Result<Self> {
        let urls: Vec<&str> = url.split(';').map(str::trim).filter(|url| !url.is_empty()).collect();
        let endpoints = urls.iter().map(|url| Endpoint::parse(url, setting)).collect::<Result<Vec<_>>>()?;
        let sentinels = urls.iter().filter(|url| url.starts_with("sentinel://")).count();
        let wrong = |what: &str| Err(Error::config(format!("{setting}: {what}")));
        match &endpoints[..] {
            [] => wrong("it is empty; write redis://host:6379/0"),
            [first, others @ ..] if sentinels == urls.len() => {
                agree(first, others, setting)?;
                Watch::new(first, &endpoints, options, setting).map(Self::Master)
            }
            _ if sentinels > 0 => wrong("a list is of sentinels or of servers, not of both"),
            [one] => Ok(Self::One(one.clone())),
            [first, others @ ..] if others.iter().any(|other| other.db != first.db) => {
                wrong("the URLs of a list must name the same database")
            }
            _ => Ok(Self::Several(endpoints)),
        }
    }

    /// The same, for results: they are read where they were written.
    pub(crate) fn parse_single(url: &str, setting: &str, options: &SentinelOptions) -> Result<Self> {
        match Self::parse(url, setting, options)? {
            Self::Several(_) => Err(Error::config(format!(
                "{setting}: results need one place, or who waits for one might ask another server; name one server, or its sentinels"
            ))),
            server => Ok(server),
        }
    }

    /// The database.
    pub(crate) fn db(&self) -> i64 {
        match self {
            Self::One(server) => server.db,
            Self::Several(servers) => servers.first().map_or(0, |server| server.db),
            Self::Master(watch) => watch.master.db,
        }
    }

    /// What tells the server from others, now and after every change of master: two links with the same identity lead to one server.
    /// `run_id` is what the present one calls itself, if it says so.
    pub(super) fn identity(&self, run_id: Option<String>) -> String {
        match self {
            Self::One(server) => run_id.unwrap_or_else(|| server.place()),
            Self::Several(_) => format!("{self:?}"),
            Self::Master(watch) => format!("{}@{}", watch.master_name, run_id.unwrap_or_default()),
        }
    }

    /// The server as it may be shown: without its password.
    pub(crate) fn redacted(&self) -> String {
        match self {
            Self::One(server) => server.redacted(),
            Self::Several(servers) => servers.iter().map(Endpoint::redacted).collect::<Vec<_>>().join(";"),
            Self::Master(watch) => watch.redacted(),
        }
    }
}

/// The login and the database are the master's, so that a list has one of each: that of its first URL.
fn agree(first: &Endpoint, others: &[Endpoint], setting: &str) -> Result<()> {
    let says_else = |other: &Endpoint| {
        let login = (&other.username, &other.password);
        (other.db != 0 && other.db != first.db) || (login != (&None, &None) && login != (&first.username, &first.password))
    };
    if others.iter().any(says_else) {
        return Err(Error::config(format!(
            "{setting}: login and database of a sentinel:// URL are the master's and are taken from the first of the list; write \
             the same in each (the login of the sentinels stands in sentinel_kwargs)"
        )));
    }
    Ok(())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server> {
        let options = SentinelOptions { master_name: Some("mymaster".to_owned()), ..SentinelOptions::default() };
        Server::parse(url, "broker_url", &options)
    }

    #[test]
    fn a_list_is_of_servers_or_of_sentinels() {
        for (url, shown, db) in [
            ("redis://:pw@a/3", "redis://:***@a:6379/3", 3),
            ("redis://a/3; rediss://:pw@b/3", "redis://a:6379/3;rediss://:***@b:6379/3", 3),
            ("sentinel://:pw@a/3;", "sentinel://:***@a:26379/3 (mymaster)", 3),
            ("sentinel://me:pw@a:1/3;sentinel://b", "sentinel://me:***@a:1/3;sentinel://b:26379 (mymaster)", 3),
        ] {
            let server = parse(url).unwrap();
            assert_eq!((format!("{server:?}").as_str(), server.db()), (shown, db));
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_without_the_password() {
        for (url, part) in [
            (" ; ", "empty"),
            ("sentinel://:hunter2@a;redis://b", "not of both"),
            ("redis://:hunter2@a/1;redis://b/2", "same database"),
            ("sentinel://a;sentinel://:hunter2@b", "taken from the first"),
            ("sentinel://a;sentinel://b/3", "taken from the first"),
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("broker_url") && !message.contains("hunter2"), "{message}");
        }
        let unnamed = Server::parse("sentinel://a", "broker_url", &SentinelOptions::default()).unwrap_err().to_string();
        assert!(unnamed.contains("[broker_transport_options]") && unnamed.contains("master_name"), "{unnamed}");
        let split = Server::parse_single("redis://a;redis://b", "result_backend", &SentinelOptions::default()).unwrap_err();
        assert!(split.to_string().contains("one place"), "{split}");
    }

    #[test]
    fn a_master_is_one_place_for_all_who_follow_it_and_for_no_one_else() {
        let run = || Some("run".to_owned());
        let (one, master) = (parse("redis://a").unwrap(), parse("sentinel://a").unwrap());
        assert_eq!(master.identity(run()), parse("sentinel://b/1;sentinel://c").unwrap().identity(run()));
        assert_ne!(one.identity(run()), master.identity(run()));
        assert_ne!(one.identity(run()), parse("redis://a;redis://b").unwrap().identity(run()));
    }
}
