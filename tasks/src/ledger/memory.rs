//! Entries in this process, for a document from the command line and for tests.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use tokio::sync::broadcast;

use super::entry::Entry;
use super::event::{EventId, Told};
use super::query::Cursor;
use super::shelf::{Chore, Commit, FOLLOWER_LAG, Follower, Index, Shelf, Versioned, WEIGHT};
use crate::error::DocumentError;

type Result<T> = std::result::Result<T, DocumentError>;

/// How many events are kept.
const EVENTS: usize = 20_000;

/// The shelf.
#[derive(Debug)]
pub(super) struct MemoryShelf {
    state: Mutex<State>,
    news: broadcast::Sender<Arc<Told>>,
    /// How many chores of a kind are kept.
    chores_max: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Versioned>,
    indexes: HashMap<Index, BTreeSet<Cursor>>,
    events: VecDeque<Told>,
    last: EventId,
    chores: BTreeMap<(i64, u64), Chore>,
    chores_seen: u64,
    means: HashMap<String, f64>,
}

impl MemoryShelf {
    /// An empty one that keeps so many chores of a kind.
    pub(super) fn new(chores_max: usize) -> Self {
        Self { state: Mutex::default(), news: broadcast::Sender::new(FOLLOWER_LAG), chores_max }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> i64 {
    Utc::now().timestamp_millis()
}

fn after(time: Duration) -> i64 {
    now().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

impl State {
    fn place(&mut self, index: &Index, at: i64, job_id: &str, there: bool) {
        let cursor = Cursor { milliseconds: at, job_id: job_id.to_owned() };
        let list = self.indexes.entry(index.clone()).or_default();
        if there {
            list.insert(cursor)
        } else {
            list.remove(&cursor)
        };
    }

    fn next_id(&mut self) -> EventId {
        let ms = u64::try_from(now()).unwrap_or_default();
        self.last = if ms > self.last.0 { EventId(ms, 0) } else { EventId(self.last.0, self.last.1 + 1) };
        self.last
    }

    /// Forgets those of a kind that are due longest where there are more than so many.
    fn bound(&mut self, kind: &str, most: usize) {
        let of_kind = self.chores.iter().filter(|(_, chore)| chore.kind == kind).map(|(place, _)| *place);
        let (due, later): (Vec<_>, Vec<_>) = of_kind.partition(|(at, _)| *at <= now());
        for place in due.iter().take((due.len() + later.len()).saturating_sub(most)) {
            self.chores.remove(place);
        }
    }

    fn remind(&mut self, chore: Chore, due: i64) {
        self.chores.retain(|_, known| *known != chore);
        self.chores_seen += 1;
        self.chores.insert((due, self.chores_seen), chore);
    }
}

#[async_trait]
impl Shelf for MemoryShelf {
    async fn load(&self, job_id: &str) -> Result<Option<Versioned>> {
        Ok(self.lock().entries.get(job_id).cloned())
    }

    async fn commit(&self, commit: Commit) -> Result<bool> {
        let mut state = self.lock();
        let job_id = commit.entry.job_id.clone();
        if state.entries.get(&job_id).map_or(0, |found| found.version) != commit.version {
            return Ok(false);
        }
        for (index, at) in &commit.leaves {
            state.place(index, *at, &job_id, false);
        }
        for (index, at) in &commit.joins {
            state.place(index, *at, &job_id, true);
        }
        for (chore, delay) in commit.chores {
            let kind = chore.kind.clone();
            state.remind(chore, after(delay));
            state.bound(&kind, self.chores_max);
        }
        if commit.entry.deleted {
            state.events.retain(|told| told.event.job_id != job_id);
        }
        state.entries.insert(job_id, Versioned { entry: commit.entry, version: commit.version + 1 });
        for event in commit.events {
            let told = Told { id: state.next_id(), event };
            // Nobody listens: nobody is told.
            let _ = self.news.send(Arc::new(told.clone()));
            state.events.push_back(told);
            if state.events.len() > EVENTS {
                state.events.pop_front();
            }
        }
        Ok(true)
    }

    async fn remove(&self, job_id: &str, places: &[(Index, i64)]) -> Result<bool> {
        let mut state = self.lock();
        for (index, at) in places {
            state.place(index, *at, job_id, false);
        }
        state.events.retain(|told| told.event.job_id != job_id);
        Ok(state.entries.remove(job_id).is_some())
    }

    async fn ids(&self, index: &Index, from: Cursor, limit: usize, oldest_first: bool) -> Result<Vec<Cursor>> {
        let state = self.lock();
        let Some(list) = state.indexes.get(index) else { return Ok(Vec::new()) };
        let before = list.range(..from);
        Ok(if oldest_first { before.take(limit).cloned().collect() } else { before.rev().take(limit).cloned().collect() })
    }

    async fn count(&self, index: &Index) -> Result<u64> {
        Ok(self.lock().indexes.get(index).map_or(0, |list| list.len() as u64))
    }

    async fn load_all(&self, job_ids: &[String]) -> Result<Vec<Option<Entry>>> {
        let state = self.lock();
        Ok(job_ids.iter().map(|id| state.entries.get(id).map(|found| found.entry.clone())).collect())
    }

    async fn events(&self, job_id: Option<&str>, after: EventId, limit: usize) -> Result<Vec<Told>> {
        let state = self.lock();
        let wanted = |told: &&Told| told.id > after && job_id.is_none_or(|id| told.event.job_id == id);
        Ok(state.events.iter().filter(wanted).take(limit).cloned().collect())
    }

    async fn last_event(&self, job_id: &str) -> Result<EventId> {
        let state = self.lock();
        Ok(state.events.iter().rev().find(|told| told.event.job_id == job_id).map(|told| told.id).unwrap_or_default())
    }

    async fn follow(&self) -> Result<Follower> {
        Ok(self.news.subscribe())
    }

    async fn chores(&self, kind: &str, limit: usize, lease: Duration) -> Result<Vec<Chore>> {
        let mut state = self.lock();
        let due = state.chores.range(..=(now(), u64::MAX)).filter(|(_, chore)| chore.kind == kind).take(limit);
        let due: Vec<Chore> = due.map(|(_, chore)| chore.clone()).collect();
        for chore in &due {
            state.remind(chore.clone(), after(lease));
        }
        Ok(due)
    }

    async fn remind(&self, chore: &Chore, delay: Duration) -> Result<()> {
        self.lock().remind(chore.clone(), after(delay));
        Ok(())
    }

    async fn done(&self, chore: &Chore) -> Result<()> {
        self.lock().chores.retain(|_, known| known != chore);
        Ok(())
    }

    async fn learn(&self, kind: &str, figure: f64) -> Result<()> {
        let mut state = self.lock();
        let mean = state.means.entry(kind.to_owned()).or_insert(figure);
        *mean += WEIGHT * (figure - *mean);
        Ok(())
    }

    async fn learned(&self, kind: &str) -> Result<Option<f64>> {
        Ok(self.lock().means.get(kind).copied())
    }
}
