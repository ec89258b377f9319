//! Revoking tasks: by id and by stamps, and ending those that run.
//!
//! # Celery
//! `revoke`, `terminate` and `revoke_by_stamped_headers` of `worker/control.py`. Difference: a running task is not killed by a signal, it is
//! dropped (and with it the child process that works for it); the signal's number is what its event says.

use std::time::Duration;

use chrono::Utc;

use super::arguments::Arguments;
use super::signals::signum;
use super::{Panel, ok};
use crate::error::Result;
use crate::protocol::exception::Exception;
use crate::protocol::meta::{Meta, meta_key};
use crate::protocol::pidbox::Request;
use crate::protocol::repr;
use crate::protocol::state::State;
use crate::protocol::time::Timestamp;
use crate::protocol::value::{Map, Value};
use crate::revocations::{listed, stamps, texts};
use crate::worker::state::{Held, Phase, common};

/// How long the backend may take before a revocation is only remembered.
const BACKEND: Duration = Duration::from_secs(5);

impl Panel {
    pub(super) async fn revoke(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [ids] = arguments.required(["task_id"])?;
        if arguments.flag("terminate") {
            return self.revoke_and_terminate(ids, arguments.get("signal")).await;
        }
        let ids = self.flag(ids).await;
        tracing::info!("Tasks flagged as revoked: {}", ids.join(", "));
        Ok(ok(format!("tasks {} flagged as revoked", set(&ids))))
    }

    pub(super) async fn terminate(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [signal, ids] = arguments.required(["signal", "task_id"])?;
        self.revoke_and_terminate(ids, Some(signal).filter(|signal| !signal.is_null())).await
    }

    async fn revoke_and_terminate(&self, ids: &Value, signal: Option<&Value>) -> Result<Value, Exception> {
        let ids = self.flag(ids).await;
        let signum = signum(signal)?;
        let mut terminated = Vec::new();
        for held in self.shared.state.requests.all() {
            if ids.contains(&held.id) {
                tracing::info!("Terminating {} ({signum})", held.id);
                held.terminate(signum);
                terminated.push(held.id);
            }
        }
        terminated.dedup();
        Ok(match terminated.as_slice() {
            [] => ok("terminate: tasks unknown"),
            ids => ok(format!("terminate: {}", ids.join(", "))),
        })
    }

    /// Remembers ids as revoked, and stores that for those no worker has begun.
    async fn flag(&self, ids: &Value) -> Vec<String> {
        let mut ids = texts(ids);
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        self.shared.state.revoked().add(ids.iter().cloned());
        let active: Vec<String> = self.running().into_iter().map(|held| held.id).collect();
        let idle: Vec<&String> = ids.iter().filter(|id| !active.contains(id)).collect();
        match tokio::time::timeout(BACKEND, self.store_revoked(&idle)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Failed to mark tasks as revoked in backend");
            }
            Err(_) => tracing::warn!("Failed to mark tasks as revoked in backend: no answer within {BACKEND:?}"),
        }
        ids
    }

    /// Keeps what a command revoked for workers that do not hear of it now. This one knows it, so a failure is no more than a line.
    pub(super) async fn keep(&self, request: &Request) {
        if !request.is_for_all() {
            return;
        }
        match tokio::time::timeout(BACKEND, self.aside.revocations().keep(&request.method, &request.arguments)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep on the broker what was revoked")
            }
            Err(_) => tracing::warn!("cannot keep on the broker what was revoked: no answer within {BACKEND:?}"),
        }
    }

    async fn store_revoked(&self, ids: &[&String]) -> Result<()> {
        let options = self.shared.app.result_options();
        let keys: Vec<String> = ids.iter().map(|id| meta_key(id)).collect();
        let mut writes = Vec::new();
        for (id, stored) in ids.iter().zip(self.aside.backend.get(&keys).await?) {
            let status = stored.map(|data| options.decode(&data)).transpose()?.map_or(State::Pending, |meta| meta.status);
            if matches!(status, State::Pending | State::Received | State::Retry | State::Rejected) {
                let result = Exception::revoked("revoked").to_value();
                let done = Some(Timestamp::utc(Utc::now()));
                writes.push(options.state(&Meta { children: None, date_done: done, ..Meta::new(*id, State::Revoked, result) })?);
            }
        }
        self.aside.backend.apply(&writes).await
    }

    pub(super) fn revoke_by_stamped_headers(&self, arguments: Arguments<'_>) -> Result<Value, Exception> {
        let [headers] = arguments.required(["headers"])?;
        let signum = signum(arguments.get("signal"))?;
        let headers = stamps(headers)?;
        {
            let mut revoked = self.shared.state.revoked();
            headers.iter().for_each(|(name, values)| revoked.add_stamps(name, values));
        }
        let shown = repr::kwargs(&headers);
        if !arguments.flag("terminate") {
            return Ok(ok(format!("headers {shown} flagged as revoked, but not terminated")));
        }
        let terminated = self.terminate_stamped(&headers, signum);
        Ok(match terminated.as_map() {
            Some(map) if !map.is_empty() => ok(format!("headers {} revoked", default_dict(map))),
            _ => ok(format!("headers {shown} were not terminated")),
        })
    }

    /// Ends what runs with one of these stamps; the stamps that were found.
    fn terminate_stamped(&self, headers: &Map, signum: i64) -> Value {
        let mut found = Map::default();
        for held in self.running() {
            let Some(message) = self.message(&held.envelope) else { continue };
            for (name, wanted) in headers {
                let matching = message.headers.stamps.get(name).map(|stamps| common(stamps, wanted)).unwrap_or_default();
                if matching.is_empty() {
                    continue;
                }
                held.terminate(signum);
                if let Value::List(known) = found.entry(name.clone()).or_insert_with(|| Value::List(Vec::new())) {
                    known.extend(matching.into_iter().filter(|value| !known.contains(value)).collect::<Vec<_>>());
                }
            }
        }
        Value::Map(found)
    }

    fn running(&self) -> Vec<Held> {
        self.shared.state.requests.all().into_iter().filter(|held| held.phase == Phase::Active).collect()
    }
}

/// Ids as Python shows a set of them.
fn set(ids: &[String]) -> String {
    match ids {
        [] => "set()".to_owned(),
        ids => format!("{{{}}}", ids.iter().map(|id| repr::string(id)).collect::<Vec<_>>().join(", ")),
    }
}

/// As Python shows the `defaultdict(set)` it keeps them in.
fn default_dict(found: &Map) -> String {
    let values = |values: &Value| listed(values).iter().map(|value| repr::value(value, repr::MAX_LENGTH)).collect::<Vec<_>>();
    let entry = |(name, found): (&String, &Value)| format!("{}: {{{}}}", repr::string(name), values(found).join(", "));
    format!("defaultdict(<class 'set'>, {{{}}})", found.iter().map(entry).collect::<Vec<_>>().join(", "))
}
