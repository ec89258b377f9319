//! The dead letters of a memory broker.

use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::state::State;
use crate::broker::{Dead, DeadLetter, Options, envelope};

/// Oldest first, each with when it was given up.
#[derive(Debug, Default)]
pub(super) struct Graveyard(Vec<(Instant, Dead)>);

impl Graveyard {
    pub(super) fn letters(&self) -> impl ExactSizeIterator<Item = &Dead> {
        self.0.iter().map(|(_, dead)| dead)
    }

    /// The ids of letters of these ages.
    pub(super) fn ids(&self, min_age: Duration, max_age: Option<Duration>) -> Vec<String> {
        let fits = |since: &Instant| since.elapsed() >= min_age && max_age.is_none_or(|most| since.elapsed() <= most);
        self.0.iter().filter(|(since, _)| fits(since)).map(|(_, dead)| dead.id.clone()).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<&Dead> {
        self.letters().find(|dead| dead.id == id)
    }

    /// Keeps a letter; one of the same id is replaced.
    pub(super) fn keep(&mut self, dead: Dead) {
        self.discard(&dead.id);
        self.0.push((Instant::now(), dead));
    }

    pub(super) fn discard(&mut self, id: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, dead)| dead.id != id);
        self.0.len() < before
    }

    pub(super) fn trim(&mut self, older: Option<Duration>, most: usize) -> usize {
        let old = self.0.iter().take_while(|(since, _)| older.is_some_and(|older| since.elapsed() > older)).count();
        self.0.drain(..old.max(self.0.len().saturating_sub(most))).count()
    }
}

impl State {
    pub(super) fn bury(&mut self, tag: &str, letter: &DeadLetter) -> bool {
        let Some(lease) = self.leases.remove(tag) else { return false };
        let (id, letter, time) = (tag.to_owned(), letter.clone(), Utc::now());
        self.graveyard.keep(Dead { id, queue: lease.queue, envelope: lease.envelope, letter, time });
        true
    }

    /// Puts a dead letter back to the tail of its queue, as if it were new.
    pub(super) fn revive(&mut self, id: &str, options: &Options) -> bool {
        let Some(dead) = self.graveyard.find(id) else { return false };
        let queue = dead.queue.clone();
        let Some(text) = envelope::renewed(&dead.envelope) else { return false };
        self.list(&queue, envelope::priority(&text), options).push_back(text.into());
        self.graveyard.discard(id)
    }
}
