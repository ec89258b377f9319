//! How writes and chord parts are handed to the scripts that carry them out; `results.lua` is the other half.
//!
//! It stands here because the backend's own scripts and the broker's settle do the same things to the same keys.

use crate::settlement::{ChordPart, ChordState, Write};

/// A script over `results.lua`: the text of the file beside the caller, with the shared functions before it.
macro_rules! results_script {
    ($file:literal) => {
        concat!(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/connection/results.lua")), "\n", include_str!($file))
    };
}
pub(crate) use results_script;

/// The key all keys of a chord begin with.
pub(crate) fn chord_key(prefix: &str, group_id: &str) -> String {
    format!("{prefix}celery-taskset-meta-{group_id}")
}

/// A write as four values.
pub(crate) fn encode_write(arguments: &mut Vec<Vec<u8>>, prefix: &str, write: &Write) {
    let seconds = |ttl: &Option<u64>| ttl.map(|ttl| ttl.to_string()).unwrap_or_default().into_bytes();
    let base = |group_id: &str| chord_key(prefix, group_id).into_bytes();
    arguments.extend(match write {
        Write::State { key, value, ttl } => [b"state".to_vec(), format!("{prefix}{key}").into_bytes(), value.clone(), seconds(ttl)],
        Write::ChordStart { group_id, size, ttl } => {
            [b"start".to_vec(), base(group_id), size.to_string().into_bytes(), seconds(ttl)]
        }
        Write::ChordGrow { group_id, task_id, ttl } => {
            [b"grow".to_vec(), base(group_id), task_id.clone().into_bytes(), seconds(ttl)]
        }
        Write::ChordFail { group_id, token } => [b"fail".to_vec(), base(group_id), token.clone().into_bytes(), Vec::new()],
        Write::ChordClose { group_id, token } => [b"close".to_vec(), base(group_id), token.clone().into_bytes(), Vec::new()],
    });
}

/// A part as the eight arguments of `count_part`.
pub(crate) fn encode_part(arguments: &mut Vec<Vec<u8>>, prefix: &str, part: &ChordPart) {
    let index = part.group_index.map_or_else(|| "+inf".to_owned(), |index| index.to_string());
    arguments.extend([
        chord_key(prefix, &part.group_id).into_bytes(),
        format!("{}:{index}", part.task_id).into_bytes(),
        index.into_bytes(),
        part.entry.clone(),
        part.ttl.unwrap_or(0).to_string().into_bytes(),
        part.token.clone().into_bytes(),
        part.claim_s.max(1).to_string().into_bytes(),
        if part.ordered { b"1".to_vec() } else { b"0".to_vec() },
    ]);
}

/// What `count_part` answers.
pub(crate) fn chord_state(answer: i64) -> ChordState {
    match answer {
        2 => ChordState::Complete,
        3 => ChordState::Busy,
        _ => ChordState::Counted,
    }
}
