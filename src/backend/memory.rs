//! A result backend in this process's memory: complete, without a server, on tokio's clock (so that tests can pause it).
//!
//! Clones share one backend.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Backend, Look, Open, is_success};
use crate::error::{Error, Result};
use crate::settlement::{ChordPart, ChordState, Eviction, Location, Write};

/// How long a closed chord is remembered.
const DONE: Duration = Duration::from_secs(300);

/// The backend. Clones share everything.
#[derive(Debug, Clone)]
pub struct MemoryBackend {
    state: Arc<Mutex<Results>>,
    /// Wakes whoever waits for a state.
    stored: Arc<Notify>,
    location: Location,
}

impl Default for MemoryBackend {
    fn default() -> Self {
        let server = format!("memory:{}", Uuid::new_v4().simple());
        Self::at(Location { server, db: 0, key_prefix: String::new() })
    }
}

impl MemoryBackend {
    /// An empty backend with a location of its own.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn at(location: Location) -> Self {
        let stored = Arc::<Notify>::default();
        let state = Results { stored: stored.clone(), ..Results::default() };
        Self { state: Arc::new(Mutex::new(state)), stored, location }
    }

    /// The keys that hold a value, sorted.
    pub fn keys(&self) -> Vec<String> {
        let results = self.lock();
        let mut keys: Vec<String> = results.values.keys().filter(|key| results.value(key).is_some()).cloned().collect();
        keys.sort();
        keys
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Results> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn sibling(&self) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(self.clone()))
    }

    async fn apply(&self, writes: &[Write]) -> Result<()> {
        let mut results = self.lock();
        writes.iter().for_each(|write| results.apply(write));
        Ok(())
    }

    async fn chord_part(&self, part: &ChordPart) -> Result<ChordState> {
        Ok(self.lock().chord_part(part))
    }

    async fn chord_entries(&self, group_id: &str, _ordered: bool) -> Result<Vec<Vec<u8>>> {
        Ok(self.lock().chord(group_id).map(|chord| chord.parts.values().cloned().collect()).unwrap_or_default())
    }

    async fn extend_claim(&self, group_id: &str, token: &str, claim_s: u64) -> Result<bool> {
        Ok(self.lock().claim(group_id, token, claim_s))
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let results = self.lock();
        Ok(keys.iter().map(|key| results.value(key).map(<[u8]>::to_vec)).collect())
    }

    async fn watch(&self, keys: &[String], timeout: Duration, look: Look<'_>) -> Result<()> {
        let mut open = Open::new(keys.len());
        let watch = async {
            loop {
                // Made before the look, so that what is stored in between wakes it.
                let change = self.stored.notified();
                {
                    let results = self.lock();
                    for place in open.places().collect::<Vec<_>>() {
                        if let Some(value) = results.value(&keys[place]).filter(|_| !open.is_over()) {
                            open.show(look, place, value);
                        }
                    }
                }
                if open.is_over() {
                    return;
                }
                change.await;
            }
        };
        let ended = tokio::time::timeout(timeout, watch).await;
        ended.map_err(|_| Error::Timeout { context: format!("waiting for {}", keys.join(", ")) })
    }

    async fn mark(&self, key: &str, marks: &[(usize, u8)], ttl: Option<u64>) -> Result<Vec<u8>> {
        let mut results = self.lock();
        let mut row = results.value(key).map(<[u8]>::to_vec).unwrap_or_default();
        for (place, mark) in marks {
            row.resize(row.len().max(place + 1), 0);
            row[*place] = *mark;
        }
        results.values.insert(key.to_owned(), (row.clone(), after(ttl)));
        Ok(row)
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        let mut results = self.lock();
        keys.iter().for_each(|key| drop(results.values.remove(key)));
        Ok(())
    }

    async fn eviction(&self) -> Result<Option<Eviction>> {
        Ok(None)
    }

    async fn location(&self) -> Result<Location> {
        Ok(self.location.clone())
    }
}

/// Everything a memory backend holds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    values: HashMap<String, (Vec<u8>, Option<Instant>)>,
    chords: HashMap<String, Chord>,
    stored: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Chord {
    size: Option<u64>,
    /// By index (the last if there is none), then by arrival.
    parts: BTreeMap<(i64, usize), Vec<u8>>,
    seen: HashSet<String>,
    /// Tasks added to what it waits for.
    added: HashSet<String>,
    claim: Option<(Claim, Instant)>,
    expires: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Claim {
    Held(String),
    Done,
}

fn after(seconds: Option<u64>) -> Option<Instant> {
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Instant::now() + Duration::from_secs(seconds))
}

fn over(expires: Option<Instant>) -> bool {
    expires.is_some_and(|expires| expires <= Instant::now())
}

impl Chord {
    fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref().filter(|(_, until)| !over(Some(*until))).map(|(claim, _)| claim)
    }

    fn is_claimed_by(&self, token: &str) -> bool {
        self.claim() == Some(&Claim::Held(token.to_owned()))
    }

    /// Whether this token may end it: unless another holds its claim.
    fn is_ended_by(&self, token: &str) -> bool {
        self.claim().is_none() || self.is_claimed_by(token)
    }

    fn set_claim(&mut self, claim: Claim, lasts: Duration) {
        self.claim = Some((claim, Instant::now() + lasts));
    }
}

impl Results {
    fn value(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key).filter(|(_, expires)| !over(*expires)).map(|(value, _)| value.as_slice())
    }

    fn chord(&self, group_id: &str) -> Option<&Chord> {
        self.chords.get(group_id).filter(|chord| !over(chord.expires))
    }

    fn chord_mut(&mut self, group_id: &str) -> &mut Chord {
        if self.chord(group_id).is_none() {
            self.chords.remove(group_id);
        }
        self.chords.entry(group_id.to_owned()).or_default()
    }

    pub(crate) fn apply(&mut self, write: &Write) {
        match write {
            Write::State { key, value, ttl } => {
                if !self.value(key).is_some_and(is_success) {
                    self.values.insert(key.clone(), (value.clone(), after(*ttl)));
                    self.stored.notify_waiters();
                }
            }
            Write::ChordStart { group_id, size, ttl } => {
                let chord = self.chord_mut(group_id);
                (chord.size, chord.claim, chord.expires) = (Some(*size), None, after(*ttl));
            }
            Write::ChordGrow { group_id, task_id, ttl } => {
                let chord = self.chord_mut(group_id);
                chord.added.insert(task_id.clone());
                chord.expires = after(*ttl).or(chord.expires);
            }
            Write::ChordClose { group_id, token } => {
                if self.chord(group_id).is_some_and(|chord| chord.is_ended_by(token)) {
                    let mut closed = Chord { expires: after(Some(DONE.as_secs())), ..Chord::default() };
                    closed.set_claim(Claim::Done, DONE);
                    self.chords.insert(group_id.clone(), closed);
                }
            }
            Write::ChordFail { group_id, token } => {
                let chord = self.chord_mut(group_id);
                if chord.is_ended_by(token) {
                    chord.size = None;
                }
            }
        }
    }

    pub(crate) fn chord_part(&mut self, part: &ChordPart) -> ChordState {
        let chord = self.chord_mut(&part.group_id);
        let index = part.group_index.unwrap_or(i64::MAX);
        if chord.seen.insert(format!("{}:{index}", part.task_id)) {
            let place = if part.ordered { index } else { 0 };
            chord.parts.insert((place, chord.seen.len()), part.entry.clone());
        }
        if chord.claim() == Some(&Claim::Done) {
            chord.expires = after(Some(DONE.as_secs()));
            return ChordState::Counted;
        }
        chord.expires = after(part.ttl).or(chord.expires);
        if chord.size.map(|size| size + chord.added.len() as u64) != Some(chord.parts.len() as u64) {
            return ChordState::Counted;
        }
        if chord.claim().is_some() && !chord.is_claimed_by(&part.token) {
            return ChordState::Busy;
        }
        chord.set_claim(Claim::Held(part.token.clone()), Duration::from_secs(part.claim_s));
        ChordState::Complete
    }

    /// Takes or keeps the claim of an open chord.
    fn claim(&mut self, group_id: &str, token: &str, claim_s: u64) -> bool {
        let chord = self.chord_mut(group_id);
        let ours = chord.is_claimed_by(token) || (chord.claim().is_none() && chord.size.is_some());
        if ours {
            chord.set_claim(Claim::Held(token.to_owned()), Duration::from_secs(claim_s));
        }
        ours
    }

    /// True for every write but the ending of a chord that another has claimed or ended.
    pub(crate) fn may_close(&mut self, write: &Write) -> bool {
        write.closes().is_none_or(|(group_id, token)| self.claim(group_id, token, 1))
    }
}
