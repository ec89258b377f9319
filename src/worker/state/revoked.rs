//! What was revoked: ids, which are bounded and expire, and stamps.
//!
//! # Celery
//! `revoked` and `revoked_stamps` of `worker/state.py`. Stamps do not expire, as there; of each name no more values are kept than ids.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::value::{Map, Value};
use crate::revocations::listed;

/// When an id was revoked, and a number that tells those of one moment apart.
type Since = (Instant, u64);

/// What was revoked.
#[derive(Debug)]
pub(in crate::worker) struct Revoked {
    /// How many ids are kept.
    most: usize,
    /// How long an id is kept.
    expires: Duration,
    /// Each id with its last revocation.
    ids: HashMap<String, Since>,
    /// The revocations, oldest first.
    order: BTreeMap<Since, String>,
    ever: u64,
    stamps: Map,
}

impl Revoked {
    /// Nothing revoked yet.
    pub(in crate::worker) fn new(most: usize, expires: Duration) -> Self {
        Self { most, expires, ids: HashMap::new(), order: BTreeMap::new(), ever: 0, stamps: Map::default() }
    }

    /// Revokes ids from now on.
    pub(in crate::worker) fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        self.add_aged(ids.into_iter().map(|id| (id, Duration::ZERO)));
    }

    /// Revokes ids that were revoked so long ago.
    pub(in crate::worker) fn add_aged(&mut self, ids: impl IntoIterator<Item = (String, Duration)>) {
        let now = Instant::now();
        for (id, age) in ids {
            self.ever += 1;
            let since = (now.checked_sub(age).unwrap_or(now), self.ever);
            match self.ids.insert(id.clone(), since) {
                // Revoked again since: younger than this tells.
                Some(known) if known > since => drop(self.ids.insert(id, known)),
                Some(known) => {
                    self.order.remove(&known);
                    self.order.insert(since, id);
                }
                None => drop(self.order.insert(since, id)),
            }
        }
        self.purge();
    }

    /// Revokes ids that another worker knows of. Whoever knows one already keeps its age: workers that tell each other of it again and
    /// again must not keep it for ever.
    pub(in crate::worker) fn add_unknown(&mut self, ids: impl IntoIterator<Item = String>) {
        let unknown: Vec<String> = ids.into_iter().filter(|id| !self.ids.contains_key(id)).collect();
        self.add(unknown);
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
        self.order.values().cloned().collect()
    }

    /// Revokes whatever bears one of these stamps under this name.
    pub(in crate::worker) fn add_stamps(&mut self, name: &str, values: &Value) {
        let known = self.stamps.entry(name.to_owned()).or_insert_with(|| Value::List(Vec::new()));
        if let Value::List(known) = known {
            for value in listed(values) {
                if !known.contains(value) {
                    known.push(value.clone());
                }
            }
            known.drain(..known.len().saturating_sub(self.most));
        }
    }

    /// Whether one of a task's stamps is revoked.
    pub(in crate::worker) fn holds_stamps(&self, stamps: &Map) -> bool {
        stamps.iter().any(|(name, values)| self.stamps.get(name).is_some_and(|revoked| !common(revoked, values).is_empty()))
    }

    fn purge(&mut self) {
        while let Some(oldest) = self.order.first_entry() {
            let (since, _) = oldest.key();
            if self.ids.len() <= self.most && since.elapsed() < self.expires {
                return;
            }
            self.ids.remove(&oldest.remove());
        }
    }
}

/// The values two stamps have in common; each may be one value or a list.
pub(in crate::worker) fn common(one: &Value, other: &Value) -> Vec<Value> {
    listed(one).iter().filter(|value| listed(other).contains(value)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1000;
    const EXPIRES: Duration = Duration::from_secs(10_800);

    fn revoked() -> Revoked {
        Revoked::new(MOST, EXPIRES)
    }

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_id_expires_and_revoking_it_again_makes_it_young() {
        let mut revoked = revoked();
        revoked.add(ids(&["a", "b"]));
        tokio::time::advance(EXPIRES / 2).await;
        revoked.add(ids(&["a"]));
        assert_eq!(revoked.ids(), ["b", "a"]);
        tokio::time::advance(EXPIRES / 2).await;
        assert!(!revoked.holds("b"));
        assert!(revoked.holds("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_was_revoked_before_is_as_old_as_its_last_revocation() {
        let mut revoked = revoked();
        revoked.add(ids(&["now"]));
        revoked.add_aged([("old".to_owned(), EXPIRES / 2), ("now".to_owned(), EXPIRES / 2), ("gone".to_owned(), EXPIRES)]);
        assert_eq!(revoked.ids(), ["old", "now"]);
        tokio::time::advance(EXPIRES / 2).await;
        assert_eq!(revoked.ids(), ["now"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_ids_go_when_there_are_too_many() {
        let mut revoked = revoked();
        revoked.add((0..=MOST).map(|number| number.to_string()));
        assert_eq!(revoked.ids().len(), MOST);
        assert!(!revoked.holds("0") && revoked.holds("1"));
    }

    #[test]
    fn a_stamp_is_revoked_by_any_value_in_common() {
        let mut revoked = revoked();
        revoked.add_stamps("tenant", &Value::from("t1"));
        revoked.add_stamps("tenant", &Value::from(["t2"]));
        let stamps = |value: Value| Map::from_iter([("tenant".to_owned(), value)]);
        assert!(revoked.holds_stamps(&stamps("t2".into())));
        assert!(revoked.holds_stamps(&stamps(["x", "t1"].into())));
        assert!(!revoked.holds_stamps(&stamps("t3".into())));
        assert!(!revoked.holds_stamps(&Map::from_iter([("other".to_owned(), Value::from("t1"))])));
    }
}
