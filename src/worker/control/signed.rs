//! The guard of remote control: where `celeriac.control_key` is set, commands that change something are obeyed only with a signature.
//!
//! A signature counts for a minute around its time by this machine's clock, once, and not from before this worker listened: what was
//! recorded cannot be played again. What merely looks is answered to everybody.
//!
//! # Celery
//! None.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::protocol::control_key::{ControlKey, SIGNATURE, Signed};
use crate::protocol::envelope::Envelope;
use crate::protocol::repr;

/// How far the time of a signature may be from ours, seconds.
const WINDOW: i64 = 60;
/// A key that could be guessed is none.
const SHORTEST: usize = 16;

/// Commands that change nothing, by all their names. `hello` tells what is revoked; what its sender says is revoked counts if it is signed.
const OPEN: &[&str] = &[
    "ping",
    "clock",
    "registered",
    "dump_tasks",
    "active",
    "dump_active",
    "reserved",
    "dump_reserved",
    "scheduled",
    "dump_schedule",
    "query_task",
    "active_queues",
    "revoked",
    "dump_revoked",
    "hello",
    "stats",
    "memsample",
    "memdump",
    "objgraph",
    "conf",
    "dump_conf",
    "report",
    "heartbeat",
    "election",
];

/// Whose word a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Of somebody who has the key; or there is none.
    Trusted,
    /// Of anybody, and why.
    Stranger(String),
    /// Of somebody who repeats what was said before.
    Echo,
}

/// Knows the key, and what was signed with it of late.
#[derive(Debug)]
pub(super) struct Guard {
    key: Option<ControlKey>,
    /// When it began to listen, seconds since 1970.
    since: i64,
    /// Nonces, each with when it was signed.
    seen: Mutex<HashMap<String, i64>>,
}

impl Guard {
    pub(super) fn new(settings: &Settings, now: DateTime<Utc>) -> Self {
        let key = settings.celeriac.control_key.as_deref().map(ControlKey::new);
        Self { key, since: now.timestamp(), seen: Mutex::default() }
    }

    /// Whose word a request is that came through this exchange.
    pub(super) fn standing(&self, envelope: &Envelope, exchange: &str, now: DateTime<Utc>) -> Standing {
        let Some(key) = &self.key else { return Standing::Trusted };
        let Some(signature) = envelope.headers.get(SIGNATURE) else { return Standing::Stranger("it is not signed".to_owned()) };
        let verified =
            signature.as_str().zip(envelope.body_bytes().ok()).and_then(|(text, body)| key.verify(exchange, text, &body));
        match verified {
            Some(signed) => self.judge(signed, now.timestamp()),
            None => Standing::Stranger("it is signed with another key, or was changed on its way".to_owned()),
        }
    }

    fn judge(&self, signed: Signed, now: i64) -> Standing {
        let age = now.saturating_sub(signed.at);
        if age.saturating_abs() > WINDOW {
            return Standing::Stranger(format!("its time is {age} s before this machine's clock; {WINDOW} are allowed"));
        }
        if signed.at < self.since {
            return Standing::Stranger("it was signed before this worker listened".to_owned());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| now.saturating_sub(*at) <= WINDOW);
        match seen.insert(signed.nonce, signed.at) {
            None => Standing::Trusted,
            Some(_) => Standing::Echo,
        }
    }
}

impl Standing {
    /// True for who may change something.
    pub(super) fn is_trusted(&self) -> bool {
        *self == Self::Trusted
    }

    /// Whether a command is obeyed; if not, why.
    pub(super) fn refusal(&self, method: &str) -> Option<String> {
        let why = match self {
            Self::Trusted => return None,
            _ if OPEN.contains(&method) => return None,
            Self::Stranger(why) => why,
            Self::Echo => "it was said before",
        };
        let method = repr::text(method, 100);
        Some(format!("the command {method} needs a signature here (celeriac.control_key): {why}"))
    }
}

/// Whether the key is one.
pub(crate) fn check(app: &App) -> Result<()> {
    match &app.settings().celeriac.control_key {
        Some(key) if key.chars().count() < SHORTEST => Err(Error::config(format!(
            "celeriac.control_key: a key of fewer than {SHORTEST} characters can be guessed; `openssl rand -hex 32` makes one"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::value::{Map, Value};

    const KEY: &str = "a key of sixteen";
    const EXCHANGE: &str = "celery.pidbox";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn guard() -> Guard {
        let mut settings = Settings::default();
        settings.celeriac.control_key = Some(KEY.to_owned());
        Guard::new(&settings, at(0))
    }

    fn request(seconds: i64, nonce: &str) -> Envelope {
        let mut envelope = Envelope::transient(EXCHANGE, "", Map::default(), "\"shutdown\"", "tag".to_owned());
        let signed = Signed { at: at(seconds).timestamp(), nonce: nonce.to_owned() };
        let signature = ControlKey::new(KEY).sign(EXCHANGE, &signed, &envelope.body_bytes().unwrap());
        envelope.headers.insert(SIGNATURE.to_owned(), signature.into());
        envelope
    }

    fn why(standing: &Standing) -> String {
        standing.refusal("shutdown").unwrap_or_else(|| "obeyed".to_owned())
    }

    #[test]
    fn a_signature_counts_once_for_a_minute_and_not_from_before() {
        let guard = guard();
        let judge = |request: &Envelope, now| guard.standing(request, EXCHANGE, at(now));
        assert_eq!(judge(&request(100, "a"), 160), Standing::Trusted);
        assert_eq!(judge(&request(100, "a"), 160), Standing::Echo);
        assert_eq!(judge(&request(100, "b"), 40), Standing::Trusted);
        assert_eq!(judge(&request(100, "b"), 159), Standing::Echo, "remembered until it is too old");
        assert!(why(&judge(&request(100, "b"), 161)).contains("61 s before"));
        assert!(why(&judge(&request(100, "c"), 39)).contains("-61 s before"));
        assert!(why(&judge(&request(-1, "d"), 5)).contains("before this worker listened"));
    }

    #[test]
    fn what_is_remembered_is_forgotten_with_its_minute() {
        let guard = guard();
        (0..1000).for_each(|n| assert!(guard.standing(&request(n, &n.to_string()), EXCHANGE, at(n)).is_trusted()));
        assert_eq!(guard.seen.lock().unwrap().len(), 61);
    }

    #[test]
    fn strangers_may_look_and_nothing_else() {
        let unsigned = Envelope::transient(EXCHANGE, "", Map::default(), "\"shutdown\"", "tag".to_owned());
        let stranger = guard().standing(&unsigned, EXCHANGE, at(1));
        assert!(why(&stranger).contains("not signed") && why(&stranger).contains("celeriac.control_key"), "{stranger:?}");
        assert!(stranger.refusal("ping").is_none() && stranger.refusal("a_command_of_the_app").is_some());
        let mut changed = request(1, "a");
        changed.headers.insert(SIGNATURE.to_owned(), Value::Int(1));
        assert!(why(&guard().standing(&changed, EXCHANGE, at(1))).contains("another key"));
        assert!(guard().standing(&request(1, "a"), "another.pidbox", at(1)).refusal("shutdown").is_some());
        let open = Guard::new(&Settings::default(), at(0));
        assert!(open.standing(&unsigned, EXCHANGE, at(1)).is_trusted());
    }
}
