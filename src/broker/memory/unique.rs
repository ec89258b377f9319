//! Unique keys, and the runs whose messages were acked before they began.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::state::State;
use crate::broker::{KeyTaken, UniqueKey};
use crate::settlement::{HeldKey, KeyFate};

/// Who holds a key.
#[derive(Debug)]
struct Holder {
    id: String,
    tag: String,
    /// Its message was acked, and it runs.
    early: bool,
    until: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    held: HashMap<String, Holder>,
    /// By tag, when its worker last renewed it.
    running: HashMap<String, Instant>,
}

impl Keys {
    /// Renews a run whose message is acked; false: there is none.
    pub(super) fn renew(&mut self, tag: &str, now: Instant) -> bool {
        self.running.get_mut(tag).map(|renewed| *renewed = now).is_some()
    }

    /// Forgets the runs of workers that died.
    pub(super) fn forget_orphans(&mut self, lease: Duration) {
        self.running.retain(|_, renewed| renewed.elapsed() <= lease);
    }

    /// Who holds a key now.
    fn holder(&mut self, key: &UniqueKey<'_>) -> Option<&Holder> {
        let (now, running) = (Instant::now(), &self.running);
        let lives = |tag: &str| running.get(tag).is_some_and(|renewed| renewed.elapsed() <= key.lease);
        self.held.retain(|_, holder| holder.until > now);
        self.held.get(key.name).filter(|holder| !holder.early || lives(&holder.tag))
    }
}

impl State {
    pub(super) fn take_key(&mut self, tag: &str, key: &UniqueKey<'_>) -> KeyTaken {
        if !self.leases.contains_key(tag) {
            return KeyTaken::Lost;
        }
        if let Some(holder) = self.keys.holder(key) {
            let leased = holder.early || self.leases.contains_key(&holder.tag);
            if holder.id != key.holder && (leased || key.revoked != Some(&holder.id)) {
                return KeyTaken::Held(holder.id.clone());
            }
            if holder.id == key.holder && holder.tag != tag && leased {
                return KeyTaken::Copy;
            }
        }
        let (id, tag, until) = (key.holder.to_owned(), tag.to_owned(), Instant::now() + key.lasts);
        self.keys.held.insert(key.name.to_owned(), Holder { id, tag, early: false, until });
        KeyTaken::Ours
    }

    /// What becomes of a key when its holder's delivery is settled; `acked` says that its message was acked before it ran.
    pub(super) fn settle_key(&mut self, key: &HeldKey, acked: bool) {
        let Keys { held, running } = &mut self.keys;
        if acked {
            running.remove(&key.tag);
        }
        if key.fate == KeyFate::Run {
            running.insert(key.tag.clone(), Instant::now());
        }
        match held.get_mut(&key.name).filter(|holder| holder.id == key.holder) {
            Some(_) if key.fate == KeyFate::Free => drop(held.remove(&key.name)),
            Some(holder) => holder.early = key.fate == KeyFate::Run,
            None => {}
        }
    }
}
