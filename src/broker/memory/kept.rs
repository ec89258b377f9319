//! Shared texts in memory.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::Kept;

/// The sets, each with its texts and when they were last kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: HashMap<String, Vec<(Instant, String)>>,
    /// What times are counted from.
    began: Option<Instant>,
}

impl Sets {
    pub(super) fn keep(&mut self, set: &str, texts: &[String], expires: Duration, most: usize) {
        let now = Instant::now();
        self.began.get_or_insert(now);
        let kept = self.sets.entry(set.to_owned()).or_default();
        // Of one that is named twice the last counts.
        let mut named = HashSet::new();
        let fresh: Vec<&String> = texts.iter().rev().filter(|text| named.insert(text.as_str())).collect();
        kept.retain(|(_, known)| !named.contains(known.as_str()));
        kept.extend(fresh.into_iter().rev().map(|text| (now, text.clone())));
        kept.retain(|(at, _)| now.duration_since(*at) < expires);
        kept.drain(..kept.len().saturating_sub(most));
    }

    pub(super) fn kept(&mut self, set: &str, since: u64, expires: Duration, most: usize) -> Kept {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let millis = |at: Instant| u64::try_from(at.duration_since(began).as_millis()).unwrap_or(u64::MAX);
        let fits = |(at, _): &&(Instant, String)| millis(*at) >= since && now.duration_since(*at) < expires;
        let known = self.sets.get(set).map(Vec::as_slice).unwrap_or_default();
        let texts = known.iter().filter(fits).map(|(at, text)| (text.clone(), now.duration_since(*at)));
        let mut texts: Vec<_> = texts.collect();
        texts.drain(..texts.len().saturating_sub(most));
        Kept { now: millis(now), texts }
    }
}
