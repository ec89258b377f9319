//! What was revoked: ids, which are bounded and expire, and stamps.
//!
//! # Celery
//! `revoked` and `revoked_stamps` of `worker/state.py`, with its defaults for `CELERY_WORKER_REVOKES_MAX` and
//! `CELERY_WORKER_REVOKE_EXPIRES`. Stamps are unlimited and do not expire, as there.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::value::{Map, Value};

/// How many ids are kept.
const MOST: usize = 50_000;
/// How long an id is kept.
const EXPIRES: Duration = Duration::from_secs(10_800);

/// What was revoked.
#[derive(Debug, Default)]
pub(in crate::worker) struct Revoked {
    /// Each id with the number of its last revocation.
    ids: HashMap<String, u64>,
    /// The revocations, oldest first.
    order: BTreeMap<u64, (Instant, String)>,
    ever: u64,
    stamps: Map,
}

impl Revoked {
    /// Revokes ids from now on.
    pub(in crate::worker) fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.ever += 1;
            if let Some(older) = self.ids.insert(id.clone(), self.ever) {
                self.order.remove(&older);
            }
            self.order.insert(self.ever, (Instant::now(), id));
        }
        self.purge();
    }

    /// Whether an id is revoked.
    pub(in crate::worker) fn holds(&mut self, id: &str) -> bool {
        if self.ids.is_empty() {
            return false;
        }
        self.purge();
        self.ids.contains_key(id)
    }

    /// The ids, oldest first.
    pub(in crate::worker) fn ids(&mut self) -> Vec<String> {
        self.purge();
        self.order.values().map(|(_, id)| id.clone()).collect()
    }

    /// Revokes whatever bears one of these stamps under this name.
    pub(in crate::worker) fn add_stamps(&mut self, name: &str, values: &Value) {
        let known = self.stamps.entry(name.to_owned()).or_insert_with(|| Value::List(Vec::new()));
        if let Value::List(known) = known {
            known.extend(listed(values).iter().cloned());
        }
    }

    /// Whether one of a task's stamps is revoked.
    pub(in crate::worker) fn holds_stamps(&self, stamps: &Map) -> bool {
        stamps.iter().any(|(name, values)| self.stamps.get(name).is_some_and(|revoked| !common(revoked, values).is_empty()))
    }

    fn purge(&mut self) {
        while let Some(oldest) = self.order.first_entry() {
            let (since, _) = oldest.get();
            if self.ids.len() <= MOST && since.elapsed() < EXPIRES {
                return;
            }
            let (_, id) = oldest.remove();
            self.ids.remove(&id);
        }
    }
}

/// One value as a list of one, a list as it is.
pub(in crate::worker) fn listed(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// The values two stamps have in common; each may be one value or a list.
pub(in crate::worker) fn common(one: &Value, other: &Value) -> Vec<Value> {
    listed(one).iter().filter(|value| listed(other).contains(value)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_id_expires_and_revoking_it_again_makes_it_young() {
        let mut revoked = Revoked::default();
        revoked.add(ids(&["a", "b"]));
        tokio::time::advance(EXPIRES / 2).await;
        revoked.add(ids(&["a"]));
        assert_eq!(revoked.ids(), ["b", "a"]);
        tokio::time::advance(EXPIRES / 2).await;
        assert!(!revoked.holds("b"));
        assert!(revoked.holds("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_ids_go_when_there_are_too_many() {
        let mut revoked = Revoked::default();
        revoked.add((0..=MOST).map(|number| number.to_string()));
        assert_eq!(revoked.ids().len(), MOST);
        assert!(!revoked.holds("0") && revoked.holds("1"));
    }

    #[test]
    fn a_stamp_is_revoked_by_any_value_in_common() {
        let mut revoked = Revoked::default();
        revoked.add_stamps("tenant", &Value::from("t1"));
        revoked.add_stamps("tenant", &Value::from(["t2"]));
        let stamps = |value: Value| Map::from_iter([("tenant".to_owned(), value)]);
        assert!(revoked.holds_stamps(&stamps("t2".into())));
        assert!(revoked.holds_stamps(&stamps(["x", "t1"].into())));
        assert!(!revoked.holds_stamps(&stamps("t3".into())));
        assert!(!revoked.holds_stamps(&Map::from_iter([("other".to_owned(), Value::from("t1"))])));
    }
}
