//! Who may do what: every request passes here before its route. Programs send an API key, people log in with one and get a session
//! in a cookie; where there are no keys, this machine may do all, and only this machine is listened to.

mod audit;
mod document;
mod gate;
mod keys;
mod limit;
mod login;
mod origin;
mod rules;
mod session;

use axum::Router;
use celeriac::cli::{Exit, Failure};
use utoipa_axum::router::OpenApiRouter;

use self::audit::Trail;
use self::keys::Keys;
use self::limit::Limit;
use self::origin::Origins;
use self::session::Sessions;
use super::Api;
use crate::settings::Api as Settings;

pub(crate) use self::audit::Deed;
pub(super) use self::document::documented;
pub(crate) use self::gate::Caller;
pub(super) use self::gate::pass;
pub(crate) use self::keys::Role;

/// What is known of who may call.
#[derive(Debug)]
pub(crate) struct Access {
    keys: Keys,
    sessions: Sessions,
    origins: Origins,
    limit: Limit,
    trail: Trail,
    /// Nothing may be changed.
    read_only: bool,
    /// Anybody may read `/metrics`.
    metrics_open: bool,
    /// Without keys: only requests to this machine by its own names are answered.
    own_names_only: bool,
}

impl Access {
    /// From the settings. `insecure` says that a service without keys may be reached from elsewhere.
    pub(super) async fn open(loaded: &celeriac::config::Loaded, insecure: bool) -> Result<Self, Failure> {
        let settings: Settings = loaded.table(Settings::TABLE.path)?;
        let wrong = |name: &'static str| {
            move |why: String| Failure::new(Exit::Config, format!("celeriac.api.{name} cannot be used")).why(why)
        };
        let keys = Keys::parse(&settings.keys).map_err(wrong("keys"))?;
        let local = keys.is_empty() && is_local(&settings).await?;
        if keys.is_empty() && !local && !insecure {
            return Err(unguarded(&settings.host));
        }
        let age = settings.session_age.duration().as_secs();
        Ok(Self {
            sessions: Sessions::new(settings.session_secret.as_deref(), age).map_err(wrong("session_secret"))?,
            origins: Origins::parse(&settings.cors_origins).map_err(wrong("cors_origins"))?,
            limit: Limit::new(settings.rate_limit_per_minute),
            trail: Trail::open(&loaded.settings)
                .map_err(|error| Failure::new(Exit::Config, "the audit trail cannot be kept").why(error))?,
            read_only: settings.read_only,
            metrics_open: settings.metrics_open,
            own_names_only: local && !insecure,
            keys,
        })
    }
}

impl Access {
    /// Whether nothing may be changed.
    pub(super) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// What the keys' owners may do, a key each.
    pub(super) fn roles(&self) -> impl Iterator<Item = Role> {
        self.keys.iter().map(|key| key.role)
    }

    /// The last things that were done, youngest first.
    pub(super) async fn deeds(&self, limit: usize) -> Result<Vec<Deed>, crate::jobs::Refusal> {
        Ok(self.trail.read(None, limit).await?.0)
    }
}

/// Whether only this machine can reach where the service will listen.
async fn is_local(settings: &Settings) -> Result<bool, Failure> {
    let found = tokio::net::lookup_host((settings.host.as_str(), settings.port)).await;
    let mut found = found.map_err(|error| {
        Failure::new(Exit::Config, format!("cannot listen on {}", settings.host))
            .why(error)
            .fix("celeriac.api.host (--host) is an address of this machine, or a name of one")
    })?;
    Ok(found.all(|address| address.ip().is_loopback()))
}

fn unguarded(host: &str) -> Failure {
    Failure::new(Exit::Config, format!("will not listen on {host} without an API key"))
        .why("everybody who reaches that address could hand in, read and delete documents")
        .fix("set CELERIAC_API_KEYS=NAME:admin:KEY, or listen on 127.0.0.1, or say --insecure if something before it decides who comes in")
}

/// Coming in and going out.
pub(super) fn pages() -> Router<Api> {
    login::routes()
}

/// What admins are told.
pub(super) fn routes() -> OpenApiRouter<Api> {
    audit::routes()
}
