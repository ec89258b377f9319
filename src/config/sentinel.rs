//! Options of the connections to the sentinels: the table `sentinel_kwargs`.
//!
//! # Celery
//! redis-py hands `sentinel_kwargs` to each connection it makes to a sentinel. What of it says who we are and how we speak has its
//! effect; options of its connection pool are known and have none.

use std::fmt;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::values::Seconds;

/// How sentinels are spoken to. The login of the URL is the master's; that of the sentinels stands here.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SentinelKwargs {
    /// The user of the sentinels' ACL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its password, or the sentinels' `requirepass`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "password")]
    pub password: Option<String>,
    /// Whether sentinels are spoken to over TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ssl: bool,
    /// `required`, `optional` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_cert_reqs: Option<String>,
    /// A file of authorities, instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_ca_certs: Option<String>,
    /// Our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_certfile: Option<String>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_keyfile: Option<String>,
    /// How long one sentinel has for its answer before the next is asked; none: a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_timeout: Option<Seconds>,
    #[serde(skip_serializing)]
    socket_connect_timeout: IgnoredAny,
    #[serde(skip_serializing)]
    socket_keepalive: IgnoredAny,
    #[serde(skip_serializing)]
    socket_keepalive_options: IgnoredAny,
    #[serde(skip_serializing)]
    retry_on_timeout: IgnoredAny,
    #[serde(skip_serializing)]
    health_check_interval: IgnoredAny,
}

impl fmt::Debug for SentinelKwargs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelKwargs").field("username", &self.username).field("ssl", &self.ssl).finish_non_exhaustive()
    }
}

/// serde's own message would repeat a password that is no text.
fn password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Null => Ok(None),
        Json::String(password) => Ok(Some(password)),
        _ => Err(D::Error::custom("the password of the sentinels must be text, in quotes")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<SentinelKwargs, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_the_pool_are_known_and_typos_are_not() {
        let kwargs = read(json!({"password": "s", "socket_timeout": 0.2, "socket_keepalive": true, "ssl": true})).unwrap();
        assert_eq!((kwargs.password.as_deref(), kwargs.ssl), (Some("s"), true));
        assert_eq!(kwargs.socket_timeout, Some(Seconds::new(0.2)));
        assert!(read(json!({"pasword": "s"})).unwrap_err().contains("`password`"));
        assert!(!read(json!({"password": 12345})).unwrap_err().contains("12345"));
    }
}
