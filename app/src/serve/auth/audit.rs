//! Who did what, and how it went: a line in the log, and an entry in a trail that admins read. The trail is in the result backend's
//! Redis, so that all services write one; where results are kept in memory, it is too.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use celeriac::data::{Redis, Reply};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::Query;
use super::super::problem::Problem;
use super::keys::Role;
use crate::jobs::Refusal;

/// About how many entries the trail keeps.
const KEPT: usize = 10_000;
/// How long an answer may wait for its entry to be written; the line in the log is there already.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many entries are told at once unless it is said.
const PAGE: usize = 100;
/// And at most.
const PAGE_MAX: usize = 1000;

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Deed {
    /// When, RFC 3339.
    pub(crate) at: String,
    /// The name of the key; `local` where there are no keys; null: nobody known.
    pub(crate) who: Option<String>,
    /// The key's role.
    pub(crate) role: Option<Role>,
    /// The address the request came from.
    pub(crate) address: Option<String>,
    /// The method.
    pub(crate) method: String,
    /// The path, with its query.
    pub(crate) path: String,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What came into being by it: the answer's `Location`.
    pub(crate) made: Option<String>,
}

/// The trail.
#[derive(Debug)]
pub(super) enum Trail {
    Memory(Mutex<Memory>),
    Redis { redis: Redis, key: String },
}

/// The youngest last, each with its number.
#[derive(Debug, Default)]
pub(super) struct Memory {
    last: u64,
    entries: VecDeque<(u64, Deed)>,
}

impl Trail {
    pub(super) fn open(settings: &celeriac::config::Settings) -> celeriac::Result<Self> {
        Ok(match Redis::open(settings)? {
            Some(redis) => Self::Redis { key: redis.key("celeriac.audit"), redis },
            None => Self::Memory(Mutex::default()),
        })
    }

    /// Writes a line; and an entry, unless nobody known did it: strangers cannot push out what others did.
    pub(super) async fn note(&self, deed: Deed) {
        let Deed { who, address, method, path, status, made, .. } = &deed;
        let (who_text, made, address) = (who.as_deref().unwrap_or("-"), made.as_deref(), address.as_deref());
        tracing::info!(target: "celeriac::audit", who = who_text, address, method, path, status, made, "audit");
        if who.is_none() {
            return;
        }
        match self {
            Self::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).add(deed),
            Self::Redis { redis, key } => {
                let text = serde_json::to_string(&deed).unwrap_or_default();
                let kept = KEPT.to_string();
                let words = [key.as_str(), "MAXLEN", "~", &kept, "*", "deed", &text];
                let written = tokio::time::timeout(PATIENCE, redis.command("XADD", &words)).await;
                if !matches!(written, Ok(Ok(_))) {
                    tracing::warn!("the audit trail cannot be written; the log has it");
                }
            }
        }
    }

    /// The entries before `cursor`, youngest first, and where they end.
    pub(super) async fn read(&self, cursor: Option<&str>, limit: usize) -> Result<(Vec<Deed>, Option<String>), Refusal> {
        let found = match self {
            Self::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).before(cursor, limit),
            Self::Redis { redis, key } => {
                let (from, count) = (cursor.map_or_else(|| "+".to_owned(), |cursor| format!("({cursor}")), limit.to_string());
                let reply = redis.command("XREVRANGE", &[key.as_str(), from.as_str(), "-", "COUNT", &count]).await?;
                reply.list().iter().filter_map(entry).collect()
            }
        };
        let next = found.last().filter(|_| found.len() == limit).map(|(id, _)| id.clone());
        Ok((found.into_iter().map(|(_, deed)| deed).collect(), next))
    }
}

impl Memory {
    fn add(&mut self, deed: Deed) {
        self.last += 1;
        self.entries.push_back((self.last, deed));
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }

    fn before(&self, cursor: Option<&str>, limit: usize) -> Vec<(String, Deed)> {
        // A cursor of ours is `0-NUMBER`, of the form that Redis has.
        let before = cursor.and_then(|cursor| cursor.split_once('-')?.1.parse().ok()).unwrap_or(u64::MAX);
        let older = self.entries.iter().rev().filter(|(id, _)| *id < before);
        older.take(limit).map(|(id, deed)| (format!("0-{id}"), deed.clone())).collect()
    }
}

/// One entry of a stream: its id, and its fields.
fn entry(reply: &Reply) -> Option<(String, Deed)> {
    let [id, fields] = reply.list() else { return None };
    let (_, text) = fields.pairs().find(|(name, _)| *name == "deed")?;
    Some((id.text()?.to_owned(), serde_json::from_str(text.text()?).ok()?))
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(audit))
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Where the page before ended: its `next`.
    #[param(pattern = "^[0-9]{1,15}-[0-9]{1,15}$")]
    cursor: Option<String>,
    /// How many at most, up to 1000.
    limit: Option<usize>,
}

/// A page of the trail.
#[derive(Debug, Serialize, ToSchema)]
struct Deeds {
    /// What was done, or tried, youngest first.
    entries: Vec<Deed>,
    /// The cursor of the next page; null: there is none.
    next: Option<String>,
}

/// Who changed what, and when: the last 10,000 requests that would change something. For admins.
#[utoipa::path(get, path = "/audit", params(Which), responses(
    (status = 200, description = "A page of the trail", body = Deeds),
    (status = 422, description = "It makes no sense", body = Problem),
    (status = 503, description = "Redis does not answer", body = Problem),
))]
async fn audit(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<Deeds>, Problem> {
    let cursor = which.cursor.as_deref();
    let number = |text: &str| text.parse::<u64>().is_ok();
    if cursor.is_some_and(|cursor| !cursor.split_once('-').is_some_and(|(time, count)| number(time) && number(count))) {
        return Err(Problem::invalid("cursor is none of ours"));
    }
    let (entries, next) = api.access.trail.read(cursor, which.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)).await?;
    Ok(Json(Deeds { entries, next }))
}
